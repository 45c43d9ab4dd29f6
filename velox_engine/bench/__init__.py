"""What this machine can do with this engine: measures, the rounds that alternate between them, and their results."""
