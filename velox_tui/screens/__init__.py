"""The screens: start, dashboard, and the dialogs above it."""
