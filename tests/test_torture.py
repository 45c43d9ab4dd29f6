"""A short form of ``python -m tests.torture``: most cases once, at moments of its seed."""

import random

import pytest

from tests.torture.cases import CASES
from tests.torture.namespaces import Skipped

# the others have tests of their own: the terminal's in test_ui_terminal, the device's in test_headless
SHORT = (
    "signals",
    "stopped_and_continued",
    "killed",
    "file_too_large",
    "few_descriptors",
    "one_name_twice",
    "no_place",
    "disk_fills",
    "no_shared_memory",
    "suspended",
    "cold_compile",
)
SHORTER = {"suspended": {"seconds": 3.0}, "cold_compile": {"finish": False}}


@pytest.mark.parametrize("name", SHORT)
def test_whatever_is_done_to_it_it_ends_as_designed(tmp_path, name):
    try:
        assert CASES[name](tmp_path, random.Random(f"2026 {name}"), **SHORTER.get(name, {}))
    except Skipped as reason:
        pytest.skip(str(reason))
