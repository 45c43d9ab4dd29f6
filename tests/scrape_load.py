"""Measure what being scraped costs a run, and whether hostile clients hold a scrape up.

``python tests/scrape_load.py [--rate N] [--scrapes 50] [--seconds 60] [--hostile]`` runs ``velox-tui --no-ui``,
which drops where its first ring is full, once alone and once scraped so many times a second, in either format by turns;
scrapes are parsed when the run is over, so that parsing takes no core from it. With ``--hostile`` a third run is
scraped beside clients that send a byte a second, a header of 10 MB again and again, and open a thousand connections.
The exit code is 1 where a scrape failed, did not parse, went back or took a second, or something was dropped.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.scraping import OPENMETRICS, get, scraped, values

ROOT = Path(__file__).resolve().parent.parent
_CLIENTS = 4
_COUNTED = ("counter", "histogram")


class Run:
    """A run as a process, until it serves."""

    def __init__(self, home: str, rate: str, seconds: float) -> None:
        self.report = Path(home, "r.json")
        words = [
            "--no-ui",
            "--rate",
            rate,
            "--duration",
            str(seconds),
            "--on-full",
            "drop",
            "--report",
            str(self.report),
        ]
        served = ["--set", "metrics.enabled=true", "--set", "metrics.port=0"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "velox_tui", *words, *served],
            cwd=home, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stderr is not None
        self.url = re.search(r"http://\S+(?=/metrics)", self.process.stderr.readline())[0]  # type: ignore[index]
        while get(f"{self.url}/readyz")[0] != 200:
            time.sleep(0.05)

    def end(self) -> dict[str, object]:
        """Wait for its end; return the report."""
        self.process.wait()
        assert self.process.stderr is not None
        said = self.process.stderr.read()
        if said:
            print(f"  it said: {said.strip()}")
        held: dict[str, object] = json.loads(self.report.read_text())
        return held


def scrape_steadily(
    url: str, per_second: float, seconds: float
) -> tuple[list[float], list[list[tuple[str, str]]], list[str]]:
    """Scrape on an absolute schedule, by several clients in turn so that a slow answer delays no other scrape.

    Return how long each took, every client's answers, and what went wrong.
    """
    took: list[float] = []
    answers: list[list[tuple[str, str]]] = [[] for _ in range(_CLIENTS)]
    wrong: list[str] = []
    begun = time.monotonic()

    def scrape(client: int) -> None:
        for number in range(client, int(per_second * seconds), _CLIENTS):
            due = begun + number / per_second
            time.sleep(max(due - time.monotonic(), 0))
            try:
                status, headers, text = get(f"{url}/metrics", accept=OPENMETRICS if client % 2 else None)
                if status == 200:
                    answers[client].append((text, headers["Content-Type"]))
                else:
                    wrong.append(f"status {status}")
            except OSError as error:
                wrong.append(repr(error))
            took.append(time.monotonic() - due)

    clients = [threading.Thread(target=scrape, args=(client,)) for client in range(_CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return took, answers, wrong


def check(answers: list[tuple[str, str]]) -> list[str]:
    """Parse every answer, and compare its counters with those before."""
    wrong, before = [], {}
    for text, kind in answers:
        try:
            counted = {
                key: value
                for name, family in scraped(text, kind).items()
                if family.type in _COUNTED
                for key, value in values({name: family}).items()
            }
        except ValueError as error:
            wrong.append(repr(error))
            continue
        wrong += [f"{key} went back" for key in counted.keys() & before.keys() if counted[key] < before[key]]
        before = counted
    return wrong


@contextlib.contextmanager
def hostile(url: str, ended: threading.Event):
    """Be hostile meanwhile."""
    host, _, port = url.removeprefix("http://").rpartition(":")

    def connect() -> socket.socket:
        return socket.create_connection((host, int(port)), timeout=5)

    def repeat(act) -> None:
        while not ended.is_set():
            with contextlib.suppress(OSError), connect() as connection:
                act(connection)

    def dawdle(connection: socket.socket) -> None:
        for byte in itertools.cycle(b"GET /metrics HTTP/1.1\r\nX: "):
            connection.send(bytes([byte]))
            if ended.wait(1):
                return

    def swell(connection: socket.socket) -> None:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nX: " + b"a" * 10_000_000)
        ended.wait(0.1)

    def crowd() -> None:
        while not ended.is_set():
            with contextlib.ExitStack() as held:
                for _ in range(1000):
                    with contextlib.suppress(OSError):
                        held.enter_context(connect())
                ended.wait(5)

    threads = [threading.Thread(target=repeat, args=(act,), daemon=True) for act in (dawdle, swell)]
    threads.append(threading.Thread(target=crowd, daemon=True))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def measured(name: str, rate: str, scrapes: float, seconds: float, enemies: bool = False) -> bool:
    """Do one run and tell what it was like; say whether all was well."""
    with tempfile.TemporaryDirectory() as home:
        run = Run(home, rate, seconds + 5)
        took, answers, wrong = [], [], []
        with hostile(run.url, threading.Event()) if enemies else contextlib.nullcontext():
            if scrapes:
                took, answers, wrong = scrape_steadily(run.url, scrapes, seconds)
        report = run.end()
    latency, ingress = report["latency_ns"]["end_to_end"], report["ingress"]  # type: ignore[index]
    print(
        f"{name}: {report['throughput_per_s']:,.0f} transactions/s, {ingress['dropped']} dropped, conserved "
        f"{report['conserved']}, p50 {latency['p50'] / 1000:,.0f} us, p99 {latency['p99'] / 1000:,.0f} us, "
        f"{report['cpu']['percent_of_a_core']} % of a core"  # type: ignore[index,operator]
    )
    well = ingress["dropped"] == 0 and report["conserved"] is True
    if scrapes:
        wrong += [each for client in answers for each in check(client)]
        p50, p99 = statistics.median(took), statistics.quantiles(took, n=100)[98]
        print(
            f"  {len(took)} scrapes, {sum(map(len, answers))} answered, {len(wrong)} faults {wrong[:3] or ''}\n"
            f"  took p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms, max {max(took) * 1000:.0f} ms; "
            f"{len(answers[0][-1][0]) / 1000:.0f} kB each"
        )
        well &= not wrong and max(took) < 1
    return well


def main() -> int:
    """Measure; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", default="100000")
    parser.add_argument("--scrapes", type=float, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--hostile", action="store_true")
    asked = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 8192), most))
    well = measured("alone", asked.rate, 0, asked.seconds)
    well &= measured("scraped", asked.rate, asked.scrapes, asked.seconds)
    if asked.hostile:
        well &= measured("hostile", asked.rate, min(asked.scrapes, 10), asked.seconds, enemies=True)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
