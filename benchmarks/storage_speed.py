"""How fast the JSON storage is, beside what the machine itself needs for the same bytes.

    python -m benchmarks.storage_speed [--sizes 1000 10000 50000 100000] [--json FILE]

Random unit vectors of 384 dimensions, generated tasks and codes (fixed seed); no embedding model is involved.
What is timed: learning (transaction, near-identical check, write, sync) beside append + fdatasync of the same
bytes in turn with it; recall of the best 5 with words, guards, groups and the whole page beside the bare pass
over the matrix, one by one and eight at once; opening, the first recall (with a copy of the word indexes, and
without) and the first check for near-identical tasks, which builds its index; bytes on disk and in memory. On
a busy machine look at processor time (cpu_ms) and at what is timed in turn: `learn_by_append` and
`recall_beside_pass_ms`.
"""

import argparse
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import batched
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engramia.core.calibration import calibration_for
from engramia.core.model import Event, EventKind, Observation, Pattern, PatternRecord, Scope
from engramia.core.query import Search
from engramia.providers.json.storage import JSONScopedStorage, JSONStorage
from engramia.providers.json.word_file import FILE as WORD_FILE

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_DIMENSION = 384
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_SETTLE, _REPEATS, _TURN = 20, 220, 10
_TOGETHER = 8


@dataclass(frozen=True, slots=True)
class Corpus:
    """Generated runs: words drawn from a vocabulary by Zipf's law, as in natural text."""

    vocabulary: tuple[str, ...]
    weights: tuple[float, ...]

    @classmethod
    def make(cls) -> "Corpus":
        chance = random.Random(7)  # noqa: S311 - test data
        letters = "etaoinshrdlucmfwypvbgkjqxz"
        words = {"".join(chance.choices(letters, k=chance.randint(2, 10))) for _ in range(20_000)}
        ordered = tuple(sorted(words))
        return cls(ordered, tuple(1.0 / (rank + 5) for rank in range(len(ordered))))

    def record(self, number: int) -> PatternRecord:
        """Return a run of about 100 characters of task and 1 kB of code."""
        chance = random.Random(number)  # noqa: S311 - test data
        task = " ".join(chance.choices(self.vocabulary, self.weights, k=17))
        names = chance.choices(self.vocabulary, self.weights, k=40)
        lines = [f"{names[line % 40]} = {names[line % 37]}({names[line % 31]}, {line})" for line in range(40)]
        pattern = Pattern(
            key(number), task, "\n".join(lines)[:1000], "ok", 7.0, _NOW + timedelta(seconds=number), _NOW,
            embedding_model="random",
        )  # fmt: skip
        return PatternRecord(pattern, observations=(Observation(7.0, _NOW),))


def key(number: int) -> str:
    letters = ""
    for _ in range(26):
        letters, number = _ALPHABET[number % 32] + letters, number // 32
    return f"patterns/{letters}"


def vector(number: int) -> NDArray[np.float32]:
    drawn = np.random.default_rng(number).standard_normal(_DIMENSION, dtype=np.float32)
    return drawn / np.linalg.norm(drawn)


class Taken(NamedTuple):
    """Seconds by the clock, and of this process's processor time."""

    wall: float
    cpu: float


def timed(action: Callable[[], object]) -> Taken:
    """Return what `action` takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return Taken(time.perf_counter() - wall, time.process_time() - cpu)


def spread(taken: Sequence[Taken]) -> dict[str, float]:
    """Return median and 95th percentile by the clock, and the median of processor time, in milliseconds."""
    ordered = sorted(one.wall for one in taken)
    return {
        "p50_ms": round(statistics.median(ordered) * 1e3, 3),
        "p95_ms": round(ordered[int(len(ordered) * 0.95)] * 1e3, 3),
        "cpu_ms": round(statistics.median(one.cpu for one in taken) * 1e3, 3),
    }


def compared(whole: Sequence[Taken], part: Sequence[Taken]) -> tuple[float, float]:
    """Return the median of how many times, and of how many milliseconds more, `whole` took than `part`."""
    pairs = list(zip(whole, part, strict=True))
    times = statistics.median(one.wall / other.wall for one, other in pairs)
    return round(times, 2), round(statistics.median(one.wall - other.wall for one, other in pairs) * 1e3, 3)


def fill(scope: JSONScopedStorage, corpus: Corpus, size: int) -> int:
    """Store `size` patterns and return the bytes of their texts."""
    text = 0
    for start in range(0, size, 500):
        with scope.writing(durable=False) as stores:
            for number in range(start, min(size, start + 500)):
                record = corpus.record(number)
                text += len(record.pattern.task) + len(record.pattern.code)
                stores.patterns.add(record, vector(number))
    return text


def learning(scope: JSONScopedStorage, corpus: Corpus, size: int, raw: Path) -> dict[str, Any]:
    """Time learning and, ten by ten in turn, append + fdatasync of as many bytes."""
    runs = [(corpus.record(10**7 + size + turn), vector(10**7 + turn)) for turn in range(_REPEATS)]
    before = scope.describe()["bytes"]
    for record, made in runs[:_SETTLE]:
        learn(scope, record, made)
    line = b"x" * ((scope.describe()["bytes"] - before) // _SETTLE)
    learned, appended = [], []
    descriptor = os.open(raw, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for some in batched(runs[_SETTLE:], _TURN):
        learned += [timed(partial(learn, scope, record, made)) for record, made in some]
        appended += [timed(partial(append, descriptor, line)) for _ in some]
    os.close(descriptor)
    times, _ = compared(learned, appended)
    return {"learn": spread(learned), "append_and_fdatasync": spread(appended), "learn_by_append": times}


def append(descriptor: int, line: bytes) -> None:
    os.write(descriptor, line)
    os.fdatasync(descriptor)


def learn(scope: JSONScopedStorage, record: PatternRecord, made: NDArray[np.float32]) -> None:
    with scope.writing() as stores:
        stores.patterns.near_identical(record.pattern.task, 0.92)
        stores.patterns.add(record, made)
        stores.activity.record(Event(EventKind.LEARN, _NOW, eval_score=7.0, pattern_key=record.pattern.key))


def recalling(scope: JSONScopedStorage, corpus: Corpus, size: int) -> dict[str, Any]:
    """Time recalls of the best 5 and, ten by ten in turn, the bare pass that each contains."""
    matrix = np.stack([vector(number % 1000) for number in range(size)])
    searches = [search_for(corpus, turn, size) for turn in range(_REPEATS)]
    for search in searches[:_SETTLE]:
        recall(scope, search)
    whole, bare = [], []
    for some in batched(searches[_SETTLE:], _TURN):
        whole += [timed(partial(recall, scope, search)) for search in some]
        bare += [timed(partial(np.vecdot, matrix, search.vector)) for search in some]
    _, beside = compared(whole, bare)
    together = [timed(partial(recall_many, scope, some)) for some in batched(searches[_SETTLE:], _TOGETHER)]
    each = [Taken(one.wall / _TOGETHER, one.cpu / _TOGETHER) for one in together]
    return {
        "recall": spread(whole),
        f"recall_of_{_TOGETHER}_at_once": spread(each),
        "bare_pass": spread(bare),
        "recall_beside_pass_ms": beside,
    }


def search_for(corpus: Corpus, turn: int, size: int) -> Search:
    """Return a recall that asks for a stored task in some of its words, by a vector near its own."""
    wanted = turn * 97 % size
    query = vector(wanted) * np.float32(0.8) + vector(10**8 + turn) * np.float32(0.6)
    task = " ".join(corpus.record(wanted).pattern.task.split()[:10])
    fusion = calibration_for("all-MiniLM-L6-v2").fusion
    query /= np.linalg.norm(query)
    return Search(task, query, _NOW, fusion, min_similarity=0.2, limit=5)


def recall(scope: JSONScopedStorage, search: Search) -> None:
    with scope.reading() as stores:
        if not stores.patterns.search(search).items:
            raise AssertionError("a recall found nothing")


def recall_many(scope: JSONScopedStorage, searches: Sequence[Search]) -> None:
    with scope.reading() as stores:
        if not all(page.items for page in stores.patterns.search_many(searches)):
            raise AssertionError("a recall found nothing")


def opening(path: Path, size: int) -> dict[str, float]:
    """Open in a fresh process: milliseconds until patterns can be read, and for the first recall.

    Once without the copy of the word indexes, then with it.
    """
    command = [sys.executable, "-m", "benchmarks.storage_speed", "--open", str(path)]
    for copy in path.glob(f"*/{WORD_FILE}"):
        copy.unlink()
    first = json.loads(subprocess.check_output(command, text=True))  # it leaves the copy behind
    runs = [json.loads(subprocess.check_output(command, text=True)) for _ in range(3)]
    best = {name: min(run[name] for run in runs) for name in runs[0]}
    best["first_recall_without_copy_ms"] = first["first_recall_ms"]
    vectors = size * _DIMENSION * 4
    text = best.pop("text_mb")
    used = best["memory_mb"] - text
    return best | {"memory_beside_text_by_vectors": round(used * 1e6 / vectors, 2)}


def open_once(path: Path) -> dict[str, float]:
    """Return what opening takes here; the module is loaded already."""
    before = resident_mb()
    storage = JSONStorage(path)
    scope = storage.scoped(Scope())

    def read() -> None:
        with scope.reading() as stores:
            stores.patterns.count()

    opened = timed(read)
    fusion = calibration_for("all-MiniLM-L6-v2").fusion
    with scope.reading() as stores:
        pattern = stores.patterns.get(key(0))
    task = pattern.pattern.task if pattern else ""
    search = Search(task, vector(0), _NOW, fusion, min_similarity=0.2, limit=5)
    first = timed(lambda: recall(scope, search))

    def compare() -> None:
        with scope.reading() as stores:
            stores.patterns.near_identical(task, 0.92)

    met = timed(compare)
    with scope.writing(durable=False):
        pass  # where the counts of a recall are written
    memory = resident_mb() - before
    bodies = scope._state.patterns.bodies  # noqa: SLF001 - to tell text from what is made of it
    text = sum(len(body.task) + len(body.code) for body in bodies if body)
    storage.close()
    return {
        "open_ms": round(opened.wall * 1e3, 1),
        "open_cpu_ms": round(opened.cpu * 1e3, 1),
        "first_recall_ms": round(first.wall * 1e3, 1),
        "first_recall_cpu_ms": round(first.cpu * 1e3, 1),
        "first_near_identical_ms": round(met.wall * 1e3, 1),
        "memory_mb": round(memory, 1),
        "text_mb": text / 1e6,
    }


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def measure(size: int, corpus: Corpus, place: Path) -> dict[str, Any]:
    path = place / str(size)
    storage = JSONStorage(path)
    scope = storage.scoped(Scope())
    text = fill(scope, corpus, size)
    scope.compact()
    disk = scope.describe()["bytes"]
    figures = recalling(scope, corpus, size) | learning(scope, corpus, size, place / "raw")
    scope.compact()
    storage.close()
    figures |= {"disk_bytes_per_pattern_beside_text": round((disk - text) / size)} | opening(path, size)
    shutil.rmtree(path)
    return {"patterns": size} | figures


def table(rows: Sequence[dict[str, Any]]) -> str:
    lines: list[str] = []
    for name, first in rows[0].items():
        if isinstance(first, dict):
            parts = ("p50_ms", "cpu_ms")
            lines.extend(_line(f"{name} {part}", [row[name][part] for row in rows]) for part in parts)
        else:
            lines.append(_line(name, [row[name] for row in rows]))
    return "\n".join(lines)


def _line(name: str, cells: Sequence[float]) -> str:
    return f"{name:40}" + "".join(f"{cell:>12}" for cell in cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 50_000, 100_000])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--place", type=Path, help="a folder on the disk to measure; not a tmpfs")
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.open:
        print(json.dumps(open_once(given.open)))
        return
    with tempfile.TemporaryDirectory(dir=given.place) as place:
        corpus = Corpus.make()
        rows = [measure(size, corpus, Path(place)) for size in given.sizes]
    print(table(rows))
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
