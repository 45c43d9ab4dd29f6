"""``velox-tui doctor``: what will keep this machine from doing well, and how to mend it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from velox_engine.config import resolve
from velox_tui import __version__
from velox_tui.options import Parser, add_settings
from velox_tui.streams import put

_EPILOG = """\
Each line is ok, could be better, will hurt, or not checked where this system does not tell.

exit codes:
  0  nothing will hurt
  1  something will hurt
  2  wrong use
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    parser = Parser(
        "velox-tui doctor",
        "velox-tui doctor [--json] [settings]",
        "Check what decides how well a run with these settings would go here, and say what mends it.",
        _EPILOG,
    )
    parser.option("--json", action="store_true", help="say it as JSON")
    add_settings(parser)
    asked = parser.read(arguments)
    config = resolve(asked.config, asked.given, os.environ).config

    from velox_tui.doctor.examining import examine
    from velox_tui.doctor.findings import Verdict, as_json, as_text, worst
    from velox_tui.doctor.system import this_system

    findings = examine(this_system(), config)
    text = json.dumps(as_json(findings, __version__), indent=2) + "\n" if asked.json else as_text(findings)
    return put(text) or int(worst(findings) is Verdict.HURTS)
