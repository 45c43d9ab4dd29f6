"""The primitives that two threads meet in: each alone in a file, each alone tested."""
