"""Telemetry regions as ``ps``, ``snapshot`` and ``attach`` see them: nothing in one is believed."""

from __future__ import annotations

import json
import os
import random
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.fuzz.feeds import check_message
from tests.fuzz.mutation import mutated
from velox_engine.assembly import write_instruments
from velox_engine.attached import AttachedEngine, damage_told
from velox_engine.discovery import Found, find_engines
from velox_engine.errors import RegionError
from velox_engine.records import Instrument
from velox_engine.telemetry import layout, region
from velox_engine.telemetry.layout import GUARD_WORDS, checksum_of
from velox_tui.commands.snapshot import as_json, told
from velox_tui.listing import row_of, table
from velox_tui.past import past_rows

_VALUES = [0, 1, -1, 2, 77, -5, 10**9, 2**31, 2**32, 2**40, 2**53, 2**62, 2**63 - 1, -(2**63)]
_TEXTS = b'{"a":1} {"source":3} [1,2] nan "x" {"book_outcomes":{"a":1}} {"limits":{"max_p99_us":"z"}}'.split()
_TEXTS += [b"[" * 5000, b"1" * 5000, b'{"a":' * 1500, b'{"source":{"kind":"\x1b[2J"}}', b'{"source":{"kind":["a"]}}']


class RegionTarget:
    """A region whose header, directory and blocks hold anything, mostly with right checksums."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name, "regions")
        folder.mkdir(mode=0o700)
        os.environ["VELOX_RUN_DIR"] = str(folder)
        made, problem = region.make_region("fuzzed", 2, 2)
        assert problem is None
        assert made.path is not None
        assert made.path.parent == folder
        made.words[layout.HEADER_NS_PER_TICK : layout.HEADER_NS_PER_TICK + 1].view(np.float64)[0] = 1.0
        made.words[layout.HEADER_ZERO_UNIX_NS] = time.time_ns()
        made.words[layout.HEADER_ZERO_MONOTONIC_NS] = time.monotonic_ns()
        write_instruments(made, [Instrument("A", 2, 0, 1), Instrument("B", 4, 8, 0)])
        region.open_for_readers(made)
        self._whole = made.path.read_bytes()
        self._places = [(kind, place.at, place.length) for (kind, _), place in made.places.items()]
        self._name = made.path.name
        made.path.unlink()
        self._folder_path = folder

    def close(self) -> None:
        """Let go of what it holds."""
        self._folder.cleanup()

    def make(self, choose: random.Random) -> bytes:
        """What is to be changed: how, and words that say where and what. (A whole region is half a megabyte.)"""
        return choose.randbytes(8)

    def spoiled(self, data: bytes) -> bytes:
        """The region that an input stands for."""
        choose = random.Random(data)
        words = np.frombuffer(self._whole, np.int64).copy()
        first = min(at for _, at, _ in self._places)
        how = choose.random()
        if how < 0.2:
            for _ in range(choose.randint(1, 4)):
                words[choose.randrange(first)] = choose.choice(_VALUES)
        elif how < 0.25:
            return words.tobytes()[: choose.randrange(words.nbytes)]
        elif how < 0.3:
            head = mutated(choose, [words[:first].tobytes()], text=False, most=8 * first)
            return head + words.tobytes()[len(head) :]
        else:
            for _ in range(choose.randint(1, 6)):
                self._spoil_block(choose, words)
        return words.tobytes()

    def _spoil_block(self, choose: random.Random, words: NDArray[np.int64]) -> None:
        kind, at, length = choose.choice(self._places)
        inside = at + GUARD_WORDS
        for _ in range(choose.randint(1, 8)):
            where = choose.randrange(min(length, 64) if choose.random() < 0.7 else length)
            words[inside + where] = choose.choice(_VALUES) if choose.random() < 0.8 else choose.getrandbits(62)
        if choose.random() < 0.2:
            text = choose.choice(_TEXTS)[: (length - 1) * 8]
            words[inside] = len(text)
            words[inside + 1 : inside + length].view(np.uint8)[: len(text)] = list(text)
        if choose.random() < 0.9:
            lock = words[at] = int(words[at]) & ~1 or 2
            if kind is not layout.Block.CURSORS:
                words[at + 1] = checksum_of(words[inside : inside + length], int(lock))

    def run(self, data: bytes) -> str:
        """Look at it in every way that the commands do."""
        path = self._folder_path / self._name
        path.write_bytes(self.spoiled(data))
        path.chmod(0o600)
        word = "refused"
        for found in find_engines():
            row = row_of(found)
            for line in table([row]):
                assert line.isprintable()
            json.dumps(row)
            try:
                with damage_told(found.path):  # as the commands have it
                    word = self._look(found)
            except RegionError as error:
                check_message(error)
        path.unlink()
        return word

    @staticmethod
    def _look(found: Found) -> str:
        engine = AttachedEngine(found)
        _ = engine.state, engine.died
        reader = engine.reader()
        snapshot = reader.read()
        text = told(found, snapshot, reader.throughput(), 1.0)
        assert text.replace("\n", "").isprintable(), text
        json.loads(as_json(found, snapshot, 1.0, 1.0))
        reader.events(), reader.instruments()
        past_rows(reader.samples(), snapshot, 2)
        return "read"
