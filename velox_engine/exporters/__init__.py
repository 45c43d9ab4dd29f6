"""What other programs are given of a running engine, each made from a snapshot. Imports no numba."""
