"""Settings and command lines: whatever is given, it is taken or refused in one readable line."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.command import ROOT
from tests.fuzz.feeds import check_message
from tests.fuzz.mutation import mutated
from velox_engine.config import KEYS, Origin, read_text, resolve
from velox_engine.config_rules import Text, printable
from velox_engine.errors import ConfigError
from velox_tui.cli import _parser
from velox_tui.commands import COMMANDS
from velox_tui.options import UsageError

_VALUES = (
    b'1 0 -1 1.5 "max" max true false "wait" drop exact [] [1,2] {} 1e9 1e400 nan inf 0x10 1_000 +1 1979-05-27'.split()
)


class ConfigTarget:
    """A configuration file."""

    def __init__(self) -> None:
        whole = (ROOT / "config.toml").read_bytes()
        parts = [b"[" + part for part in whole.split(b"\n[")[1:]]
        self._corpus = [
            whole,
            *parts,
            whole.replace(b"\n", b"\r\n"),
            b"pipeline.count = 5\n",
            b"[pipeline]\n[pipeline]\n",
        ]
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name, "config.toml")

    def close(self) -> None:
        """Let go of what it holds."""
        self._folder.cleanup()

    def make(self, choose: random.Random) -> bytes:
        """A damaged file; short ones are read faster, so they are more."""
        corpus = self._corpus[:1] if choose.random() < 0.02 else self._corpus[1:]
        return mutated(choose, corpus, text=True)

    def run(self, data: bytes) -> str:
        """Read it."""
        self._path.write_bytes(data)
        try:
            resolve(self._path, [], {})
        except ConfigError as error:
            check_message(error)
            return "refused"
        return "taken"


class WordsTarget:
    """Words with NUL between them: settings in the environment, after ``--set``, or a whole command line."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        keys = list(KEYS.values())
        pairs = [(key, value) for key in keys for value in _VALUES]
        if kind == "environment":
            self._corpus = [f"{key.variable}=".encode() + value for key, value in pairs]
        else:
            self._corpus = [b"--set\0" + key.full.encode() + b"=" + value for key, value in pairs]
            self._corpus += [
                b"--no-ui\0--count\0100\0--seed\07\0--rate\0max",
                b"--report\0r.json\0--sink\0out.journal\0--hlog\0out.hlog",
                b"--source\0file.csv:lobster\0--symbols\0A,B\0--book\0exact\0--on-full\0drop",
                b"--max-drop-rate\00.5\0--min-throughput\01000\0--max-p99-us\050\0--ascii\0--no-mouse\0--read-only",
                b"--duration\0-1e9\0--name\0a b/c\0--config\0x.toml",
            ]

    def close(self) -> None:
        """Let go of what it holds."""

    def make(self, choose: random.Random) -> bytes:
        """Words."""
        several = [choose.choice(self._corpus) for _ in range(choose.choice((1, 1, 2, 4)))]
        return mutated(choose, [b"\0".join(several)], text=True)

    def run(self, data: bytes) -> str:
        """Have them read as the program does, without running anything."""
        words = [word.decode("utf-8", "surrogateescape") for word in data.split(b"\0")]
        try:
            if self._kind == "environment":
                # the operating system lets no other names through
                pairs = [word.partition("=")[::2] for word in words]
                resolve("/dev/null", [], {name: value for name, value in pairs if name})
            else:
                self._command_line(words)
        except (ConfigError, UsageError) as error:
            check_message(UsageError(printable(str(error))))  # as it is shown
            return "refused"
        return "taken"

    @staticmethod
    def _command_line(words: Sequence[str]) -> None:
        if {"--help", "-h", "--version"} & set(words):
            return  # answered on standard output
        asked = _parser().read(words, tuple(COMMANDS))
        resolve("/dev/null", asked.given, {})


class ValueTarget:
    """The value of each setting as text."""

    def close(self) -> None:
        """Let go of what it holds."""

    def make(self, choose: random.Random) -> bytes:
        """A key's number and a text."""
        return bytes([choose.randrange(len(KEYS))]) + mutated(choose, _VALUES, text=True)

    def run(self, data: bytes) -> str:
        """Give it to the key."""
        key = list(KEYS.values())[data[0] % len(KEYS)]
        text = data[1:].decode("utf-8", "surrogateescape")
        try:
            resolve("/dev/null", [read_text(key.full, text, Origin("--set"))], {})
        except ConfigError as error:
            check_message(error)
            return "refused"
        return "taken as text" if isinstance(key.rule, Text) else "taken"
