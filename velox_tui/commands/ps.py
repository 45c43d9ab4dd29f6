"""``velox-tui ps``: the engines that run, and those that have died and left their telemetry."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from velox_tui.options import Parser
from velox_tui.streams import complain, put

if TYPE_CHECKING:
    from velox_engine.discovery import Found

_ABOUT: Final = """\
exit codes:
  0  listed, also when there is nothing to list
  1  something dead could not be removed, or the directory of the regions is not this user's alone
  2  wrong use
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    what = "List the engines of this user on this machine, and those that have died and left their telemetry."
    parser = Parser("velox-tui ps", "velox-tui ps [options]", what, _ABOUT)
    parser.option("--json", action="store_true", help="list them as JSON")
    parser.option("--remove-dead", action="store_true", help="take away what dead engines left, and say so")
    asked = parser.read(arguments)

    from velox_tui.finding import engines
    from velox_tui.listing import row_of

    found = engines()
    removed = _remove([each for each in found if not each.alive]) if asked.remove_dead else []
    rows = [row_of(each) for each in found if each not in removed]
    if asked.json:
        code = put(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
    else:
        code = put(_told(rows, removed))
    left = asked.remove_dead and any(not each.alive for each in found if each not in removed)
    return 1 if left else code


def _remove(dead: list[Found]) -> list[Found]:
    """Remove what dead engines left; return those that are gone, and complain of the others."""
    from velox_engine.discovery import remove
    from velox_tui.finding import who

    gone = []
    for each in dead:
        try:
            if remove(each):
                gone.append(each)
        except OSError as error:
            complain(f"{who(each)} cannot be removed: {error}")
    return gone


def _told(rows: list[dict[str, Any]], removed: list[Found]) -> str:
    """Write the list for people."""
    from velox_tui.finding import who
    from velox_tui.listing import table

    lines = [f"removed {who(each)}\n" for each in removed]
    if rows:
        lines += [f"{line}\n" for line in table(rows)]
    elif not removed:
        lines.append("no engine runs\n")
    if any(not row["alive"] for row in rows):
        lines.append("dead: velox-tui snapshot or attach still reads them; velox-tui ps --remove-dead removes them\n")
    return "".join(lines)
