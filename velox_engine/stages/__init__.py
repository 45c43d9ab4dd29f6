"""Ingress, order book, bundle and output as step functions, and the worker's duty cycle that runs them."""
