"""How fast the JSON storage is, beside what the machine itself needs for the same bytes.

    python -m benchmarks.storage_speed [--sizes 1000 10000 50000 100000] [--json FILE]

Random unit vectors of 384 dimensions, generated tasks and codes (fixed seed); no embedding model is involved.
What is timed: `Memory.learn` (redaction, near-identical check, write, sync) beside append + fdatasync of the
same bytes in turn with it; `Memory.recall` of the best 5 (redaction, words, guards, groups, accounting)
beside the bare pass over the matrix, one by one and eight at once; opening, the first recall (with a copy of
the word indexes, and without) and the first check for near-identical tasks, which builds its index; bytes on
disk and in memory. On a busy machine look at processor time (cpu_ms) and at what is timed in turn:
`learn_by_append` and `recall_beside_pass_ms`.
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

from engramia import Memory
from engramia.core.embedding import unit_rows
from engramia.core.model import Observation, Pattern, PatternRecord, Recall, Scope
from engramia.memory import recall as operations
from engramia.memory.recall import Query
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


class Known:
    """Embeddings that are looked up: what a model would take is not in the figures."""

    model = "random"
    dimension = _DIMENSION

    def __init__(self) -> None:
        self.vectors: dict[str, NDArray[np.float32]] = {}

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if len(texts) == 1:
            return self.vectors[texts[0]][None]
        return np.stack([self.vectors[text] for text in texts])


class Store:
    """A storage, and the memory over its only scope."""

    def __init__(self, path: Path) -> None:
        self.storage = JSONStorage(path)
        self.scope = self.storage.scoped(Scope())
        self.known = Known()
        self.memory = Memory(storage=self.storage, embeddings=self.known, llm=None)


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


def learning(store: Store, corpus: Corpus, size: int, raw: Path) -> dict[str, Any]:
    """Time learning and, ten by ten in turn, append + fdatasync of as many bytes."""
    runs = [corpus.record(10**7 + size + turn).pattern for turn in range(_REPEATS)]
    store.known.vectors |= {run.task: vector(10**7 + turn) for turn, run in enumerate(runs)}
    before = store.scope.describe()["bytes"]
    for run in runs[:_SETTLE]:
        learn(store.memory, run)
    line = b"x" * ((store.scope.describe()["bytes"] - before) // _SETTLE)
    learned, appended = [], []
    descriptor = os.open(raw, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for some in batched(runs[_SETTLE:], _TURN):
        learned += [timed(partial(learn, store.memory, run)) for run in some]
        appended += [timed(partial(append, descriptor, line)) for _ in some]
    os.close(descriptor)
    times, _ = compared(learned, appended)
    return {"learn": spread(learned), "append_and_fdatasync": spread(appended), "learn_by_append": times}


def append(descriptor: int, line: bytes) -> None:
    os.write(descriptor, line)
    os.fdatasync(descriptor)


def learn(memory: Memory, run: Pattern) -> None:
    if not memory.learn(task=run.task, code=run.code, eval_score=run.success_score).stored:
        raise AssertionError("a run passed for another's near-duplicate")


def recalling(store: Store, corpus: Corpus, size: int) -> dict[str, Any]:
    """Time recalls of the best 5 and, ten by ten in turn, the bare pass that each contains."""
    matrix = np.stack([vector(number % 1000) for number in range(size)])
    memory, known = store.memory, store.known
    queries = [query_for(known, corpus, turn, size) for turn in range(_REPEATS)]
    for query in queries[:_SETTLE]:
        recall(memory, query)
    whole, bare = [], []
    for some in batched(queries[_SETTLE:], _TURN):
        whole += [timed(partial(recall, memory, query)) for query in some]
        bare += [timed(partial(np.vecdot, matrix, known.vectors[query.task])) for query in some]
    _, beside = compared(whole, bare)
    together = [timed(partial(recall_many, memory, some)) for some in batched(queries[_SETTLE:], _TOGETHER)]
    each = [Taken(one.wall / _TOGETHER, one.cpu / _TOGETHER) for one in together]
    return {
        "recall": spread(whole),
        f"recall_of_{_TOGETHER}_at_once": spread(each),
        "bare_pass": spread(bare),
        "recall_beside_pass_ms": beside,
    }


def query_for(known: Known, corpus: Corpus, turn: int, size: int) -> Query:
    """Return a recall that asks for a stored task in some of its words, by a vector near its own."""
    wanted = turn * 97 % size
    near = vector(wanted) * np.float32(0.8) + vector(10**8 + turn) * np.float32(0.6)
    task = " ".join(corpus.record(wanted).pattern.task.split()[:10])
    known.vectors[task] = unit_rows(near[None])[0]
    return Query(task, limit=5)


def recall(memory: Memory, query: Query) -> None:
    if not memory.recall(query.task, limit=query.limit).matches:
        raise AssertionError("a recall found nothing")


def recall_many(memory: Memory, queries: Sequence[Query]) -> None:
    answers = operations.recall_many(memory.engine, queries)
    if not all(isinstance(answer, Recall) and answer.matches for answer in answers):
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
    store = Store(path)
    scope = store.scope

    def read() -> None:
        with scope.reading() as stores:
            stores.patterns.count()

    opened = timed(read)
    with scope.reading() as stores:
        pattern = stores.patterns.get(key(0))
    task = pattern.pattern.task if pattern else ""
    store.known.vectors[task] = vector(0)
    first = timed(partial(recall, store.memory, Query(task, limit=5)))

    def compare() -> None:
        with scope.reading() as stores:
            stores.patterns.near_identical(task, 0.92)

    met = timed(compare)
    used = resident_mb() - before
    bodies = scope._state.patterns.bodies  # noqa: SLF001 - to tell text from what is made of it
    text = sum(len(body.task) + len(body.code) for body in bodies if body)
    store.storage.close()
    return {
        "open_ms": round(opened.wall * 1e3, 1),
        "open_cpu_ms": round(opened.cpu * 1e3, 1),
        "first_recall_ms": round(first.wall * 1e3, 1),
        "first_recall_cpu_ms": round(first.cpu * 1e3, 1),
        "first_near_identical_ms": round(met.wall * 1e3, 1),
        "memory_mb": round(used, 1),
        "text_mb": text / 1e6,
    }


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def measure(size: int, corpus: Corpus, place: Path) -> dict[str, Any]:
    path = place / str(size)
    store = Store(path)
    scope = store.scope
    text = fill(scope, corpus, size)
    scope.compact()
    disk = scope.describe()["bytes"]
    figures = recalling(store, corpus, size) | learning(store, corpus, size, place / "raw")
    scope.compact()
    store.storage.close()
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
