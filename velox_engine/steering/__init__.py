"""Steering an engine from other processes: a Unix socket beside its telemetry region. Imports no numba."""
