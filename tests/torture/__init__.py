"""Torture of the real command: signals at random moments, and surroundings in which nothing works as it should."""
