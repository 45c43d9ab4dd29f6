"""What the tests of the configuration share."""

import pytest

from velox_engine.config import load_config
from velox_engine.config_rules import shown
from velox_engine.errors import ConfigError


def written(tmp_path, text):
    """Write a configuration file of this text or these bytes."""
    path = tmp_path / "velox.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def error_of(tmp_path, text):
    """Load a configuration file that is wrong; its error is one line that names the file."""
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, text), environ={})
    error = caught.value
    assert "\n" not in str(error)
    assert str(tmp_path / "velox.toml") in str(error)
    return error


def names(keys):
    """Name tests by their keys."""
    return [key.full for key in keys]


def short(value):
    """Name a test by its value; Python refuses to write the longest ones."""
    return shown(value)[:40]
