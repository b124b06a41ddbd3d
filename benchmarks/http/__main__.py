"""Recalls and learns a second over HTTP, beside the bare framework's echo in the same run.

    python -m benchmarks.http [--patterns 1000 10000] [--clients 1 8 32] [--seconds 5] [--json FILE]

One server process, one process that loads it, both on this machine. `share` is the throughput beside that of
the framework's `async def` echo with as many clients; `cpu ms` is the server's processor time for a request.
"""

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.http.load import Measured, measure, post
from benchmarks.report import Table
from benchmarks.storage_speed import Corpus

_PLACE = Path(".cache/benchmarks")
_READY_SECONDS = 120
_TASKS = 512
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs."""

    port: int
    pid: int

    def processor_seconds(self) -> float:
        """Return the processor time it has taken so far, all its threads together."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def measure(self, requests: Sequence[bytes], clients: int, seconds: float) -> tuple[Measured, float]:
        """Return what a load found, and the processor time that the server took for it."""
        before = self.processor_seconds()
        return measure(
            self.port, requests, clients=clients, seconds=seconds
        ), self.processor_seconds() - before


@contextlib.contextmanager
def serving(*arguments: str) -> Iterator["Served"]:
    """Run one of `benchmarks.http.servers`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    kind, *options = arguments
    # Beside the project: a disk's speed counts, not that of a file system in memory.
    _PLACE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_PLACE) as folder:
        command = [sys.executable, "-m", "benchmarks.http.servers", kind, str(port), "--folder", folder]
        server = subprocess.Popen([*command, *options])
        try:
            _wait_for(port, server)
            yield Served(port, server.pid)
        finally:
            server.terminate()
            server.wait(timeout=60)


def _wait_for(port: int, server: "subprocess.Popen[bytes]") -> None:
    ends = time.monotonic() + _READY_SECONDS
    while time.monotonic() < ends:
        if server.poll() is not None:
            raise RuntimeError("the server ended by itself")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise RuntimeError("the server did not come up")


def _recalls(embedding: str) -> list[bytes]:
    """Return recalls of generated tasks, or for the model of sentences: a made-up word has many tokens."""
    corpus = Corpus.make()
    tasks = {
        "stub": [corpus.record(10**6 + number).pattern.task for number in range(_TASKS)],
        "local": [
            f"Read table {number} of the report and write its totals to a CSV file"
            for number in range(_TASKS)
        ],
    }
    return [post("/v1/recall", json.dumps({"task": task}).encode()) for task in tasks[embedding]]


def _learns(start: int, count: int, embedding: str) -> list[bytes]:
    corpus = Corpus.make()
    patterns = [corpus.record(start + number).pattern for number in range(count)]
    tasks = {
        "stub": [one.task for one in patterns],
        "local": [f"Write the totals of table {start + number} to a CSV file" for number in range(count)],
    }
    return [
        post("/v1/learn", json.dumps({"task": task, "code": one.code, "eval_score": 7}).encode())
        for task, one in zip(tasks[embedding], patterns, strict=True)
    ]


class _Report:
    """Rows as they are measured, shown and kept."""

    def __init__(self, echo: dict[int, float]) -> None:
        self.rows = list[dict[str, Any]]()
        self._echo = echo
        self._table = Table()
        self._table.start(
            "HTTP", ["what", "clients", "per second", "p50 ms", "p99 ms", "cpu ms", "share", "failed"]
        )

    def add(self, what: str, measured: tuple[Measured, float]) -> None:
        found, processor = measured
        each = processor / found.answered * 1e3
        base = self._echo.setdefault(found.clients, found.per_second)
        share = found.per_second / base
        self.rows.append({"what": what, "share_of_echo": share, "cpu_ms": each, **asdict(found)})
        self._table.row(
            what,
            found.clients,
            round(found.per_second),
            found.p50_ms,
            found.p99_ms,
            each,
            share,
            found.failed,
        )


def run(sizes: Sequence[int], clients: Sequence[int], seconds: float) -> list[dict[str, Any]]:
    """Measure everything and return the rows."""
    report = _Report({})
    body = [post("/echo", b'{"task": "Parse a CSV file", "limit": 5}')]
    for kind in ("echo-async", "echo-def"):
        with serving(kind) as server:
            for count in clients:
                report.add(kind, server.measure(body, count, seconds))
    learned = 2 * 10**6
    for size in sizes:
        for embedding in ("stub", "local"):
            with serving("engramia", "--patterns", str(size), "--embedding", embedding) as server:
                for count in clients:
                    what = f"recall, {size:,}, {embedding}"
                    report.add(what, server.measure(_recalls(embedding), count, seconds))
                for count in clients:
                    fresh = _learns(learned, int(1_500 * seconds), embedding)
                    learned += len(fresh)
                    what = f"learn, {size:,}, {embedding}"
                    report.add(what, server.measure(fresh, count, seconds))
    return report.rows


def main() -> None:
    """Measure as the arguments say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patterns", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rows = run(asked.patterns, asked.clients, asked.seconds)
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
