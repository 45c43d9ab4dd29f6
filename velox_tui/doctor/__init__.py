"""What decides how well the engine runs on this machine: one file a theme, each check a function."""
