"""The whole engine in one thread, its threads and its time made up from a seed: see `tests.simulation.world`."""
