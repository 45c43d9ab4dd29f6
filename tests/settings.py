"""Configurations for tests: the repository's own file and what a test sets, whatever the developer has at home."""

from pathlib import Path

from velox_engine.config import load_config

ROOT = Path(__file__).parent.parent


def configured(**given):
    """Make a configuration; ``section__key`` stands for ``section.key``."""
    overrides = {name.replace("__", "."): value for name, value in given.items()}
    return load_config(ROOT / "config.toml", overrides=overrides, environ={})
