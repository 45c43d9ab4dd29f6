"""The log of a run: what happened, with its values, in a file that rotates, or on standard error."""
