"""``velox-tui`` in a pseudo-terminal: what it draws, what state it leaves the terminal in, how it ends."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

from tests.command import environment
from velox_engine.jit import cache_directory


def shared_cache():
    """Return the setting by which a process with a home of its own finds what this one has compiled."""
    directory = cache_directory()
    return {"VELOX_CACHE_DIR": str(directory.parents[1])} if directory is not None else {}


class Terminal:
    """A process with the screen in a pseudo-terminal of its own."""

    def __init__(self, home, *arguments, size=(100, 30), env=None, controlling=True):
        self.master, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.follower = follower
        self.before = termios.tcgetattr(follower)
        settings = {"TERM": "xterm-256color", "LANG": "C.UTF-8", **(env or {})}
        clean = environment(home, **settings)
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            if name not in (env or {}):
                clean.pop(name, None)
        clean |= shared_cache()

        def prepare():
            os.setsid()
            if controlling:
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [sys.executable, "-m", "velox_tui", *arguments],
            cwd=home,
            env=clean,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            preexec_fn=prepare,
        )
        self.output = b""

    def read(self, seconds=0.0):
        """Take in what it wrote, waiting so long for something."""
        try:
            while select.select([self.master], [], [], seconds)[0]:
                data = os.read(self.master, 1 << 16)
                if not data:
                    break
                self.output += data
                seconds = 0.0
        except OSError:
            pass

    def until(self, text, seconds=90.0, living=True):
        """Read until it has written a text; ``living``: and as long as it lives."""
        wanted = text.encode()
        end = time.monotonic() + seconds
        while wanted not in self.output:
            assert time.monotonic() < end, f"never wrote {text!r}; the last was {self.output[-600:]!r}"
            assert not living or self.process.poll() is None or select.select([self.master], [], [], 0)[0], self.output[
                -2000:
            ]
            self.read(0.1)

    def press(self, keys):
        """Type."""
        os.write(self.master, keys.encode())

    def send(self, number):
        """Send a signal to the process."""
        self.process.send_signal(number)

    def ends(self, seconds=60.0, reading=True):
        """Wait for the end; return the exit code."""
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < end, f"did not end; the last was {self.output[-600:]!r}"
            if reading:
                self.read(0.05)
            else:
                time.sleep(0.05)
        if reading:
            self.read(0.2)
        return self.process.returncode

    def restored(self):
        """Say what is not as it was: a list of words."""
        wrong = []
        for word, on, off in (
            ("alternate screen", b"\x1b[?1049h", b"\x1b[?1049l"),
            ("cursor", b"\x1b[?25l", b"\x1b[?25h"),
            ("mouse", b"\x1b[?1000h", b"\x1b[?1000l"),
        ):
            if self.output.rfind(on) > self.output.rfind(off):
                wrong.append(word)
        if termios.tcgetattr(self.follower)[3] != self.before[3]:
            wrong.append("echo")
        return wrong

    def close(self):
        """Make sure that nothing stays."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        for descriptor in (self.master, self.follower):
            if descriptor >= 0:
                os.close(descriptor)
