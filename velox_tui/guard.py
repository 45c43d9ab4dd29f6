"""What restores the terminal when this process can no longer do so: killed, or crashed in compiled code.

A shell of some hundred kilobytes waits at a pipe. When the pipe ends without a word, whoever held its other end has
gone in the middle of things; then it leaves the alternate screen, shows the cursor, gives the mouse back, and says
where the crash was written down. It never touches the process: exit codes and signals are what they would be without.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import select
import subprocess
from pathlib import Path
from typing import IO, Final

_SHELL: Final = "/bin/sh"
_READY_S: Final = 0.5
_KEPT: Final = 5  # crash files
# a shell with job control restores the settings itself, and would be disturbed by somebody else who does: $1 is empty
_SCRIPT: Final = """\
trap '' HUP INT QUIT TERM TSTP TTIN TTOU PIPE
[ -n "$1" ] && saved=$(stty -g <&2 2>/dev/null)
echo
exec >&2
read -r word && exit
[ -n "$saved" ] && stty "$saved" <&2 2>/dev/null
printf '%s' "$2"
echo "velox-tui: it ended in the middle of its work; the terminal is restored"
[ -s "$3" ] && echo "velox-tui: what its threads did then is in $3"
"""


class Guard:
    """Watches over the terminal from `start` until `dismiss`. ``restore`` is what leaves the screen's modes."""

    def __init__(self, restore: bytes) -> None:
        self._restore = restore
        self._process: subprocess.Popen[bytes] | None = None
        self._crash: IO[str] | None = None

    def start(self) -> None:
        """Begin; where there is no shell or no room for a file, do without."""
        path = self._write_crashes()
        own = os.getsid(0) in (os.getpid(), os.getpgrp())  # no shell with job control between the terminal and us
        with contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                [_SHELL, "-c", _SCRIPT, "vx-guard", "own" if own else "", self._restore, path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            if own and self._process.stdout is not None:  # it must have seen the settings before they change
                select.select([self._process.stdout], [], [], _READY_S)

    def dismiss(self) -> None:
        """End it: the terminal is as it was. A second time nothing happens."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                process.communicate(b"done\n", _READY_S)
        crash, self._crash = self._crash, None
        if crash is not None:
            faulthandler.disable()
            crash.close()
            Path(crash.name).unlink(missing_ok=True)

    def _write_crashes(self) -> str:
        """Have a crash write down what each thread did; return into which file, nothing where there can be none."""
        import platformdirs

        with contextlib.suppress(OSError):
            folder = Path(platformdirs.user_state_dir("velox-tui"))
            folder.mkdir(parents=True, exist_ok=True)
            for old in sorted(folder.glob("crash-*.txt"), key=lambda each: each.stat().st_mtime)[:-_KEPT]:
                old.unlink(missing_ok=True)
            self._crash = (folder / f"crash-{os.getpid()}.txt").open("w", encoding="utf-8")
            faulthandler.enable(self._crash)
            return self._crash.name
        return ""
