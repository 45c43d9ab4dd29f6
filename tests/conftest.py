"""What all tests share: one state directory, one calibrated clock, one way to try examples."""

import os
from pathlib import Path

import pytest
from hypothesis import settings


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory):
    """Let nothing that runs inside this process write into the developer's state directory."""
    names = ("XDG_STATE_HOME", "STATE_DIRECTORY", "LOGS_DIRECTORY")
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
    yield
    del os.environ["XDG_STATE_HOME"]
    os.environ.update(before)


settings.register_profile("velox", deadline=None, max_examples=60)
settings.load_profile("velox")


@pytest.fixture(scope="session")
def compile_cache():
    """The directory of the session's compile cache, to be given to processes as ``VELOX_CACHE_DIR``."""
    return Path(os.environ["VELOX_CACHE_DIR"])


@pytest.fixture(scope="session")
def calibrated():
    """The engine's clock, calibrated once for all tests."""
    from velox_engine.lockfree.clock import calibrate

    return calibrate()


@pytest.fixture
def region_folder(tmp_path, monkeypatch):
    """Where this test's regions lie."""
    from velox_engine.telemetry import region

    path = tmp_path / "regions"
    monkeypatch.setattr(region, "region_directory", lambda: path)
    return path
