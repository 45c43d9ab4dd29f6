"""Our engine beside hand-written C++ on the same machine, in alternating rounds: ``python -m tests.yardstick -h``."""
