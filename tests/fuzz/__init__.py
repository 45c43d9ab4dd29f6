"""Fuzzing of everything that reads bytes or text: ``python -m tests.fuzz --target NAME --minutes N --seed S``."""
