"""A long run of the real command, watched from outside: ``python -m tests.soak --help``."""
