"""Timings of the memory's operations on made-up runs, each by the wall clock."""

import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from engramia.bootstrap import Memory, SystemClock, embeddings_from, new_pattern_key
from engramia.cli.terminal import Bar
from engramia.core.embedding import Embeddings, unit_rows
from engramia.errors import ProviderError
from engramia.settings import Settings

DIMENSION = 384
TOPICS = 200
NOISE = 0.6
"""Length of the noise beside a topic's direction: runs of one topic have a cosine near 1 / (1 + NOISE²)."""

RECALLS = 100
LEARNS = 50
SHORT_TEXT = "Sum the amounts of an invoice by customer."

_VERBS = ("parse", "merge", "count", "sort", "convert", "rename", "compress", "validate", "plot", "fetch")
_THINGS = (
    "csv files",
    "log lines",
    "invoices",
    "json records",
    "images",
    "orders",
    "tables",
    "metrics",
    "users",
)
_WAYS = (
    "by date",
    "by customer",
    "without duplicates",
    "in parallel",
    "with retries",
    "per region",
    "as a report",
)


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one operation took, run by run, at a number of patterns (0 where it does not matter)."""

    operation: str
    patterns: int
    milliseconds: tuple[float, ...]

    def percentile(self, share: float) -> float:
        """Return the value that `share` (0 to 1) of the runs do not exceed."""
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class TopicVectors:
    """Vectors made from the text's checksum, near those of its topic; counts the time it takes itself."""

    model = "bench-topics"
    dimension = DIMENSION

    def __init__(self, seed: int) -> None:
        self._topics = np.random.default_rng(seed).standard_normal((TOPICS, DIMENSION)).astype(np.float32)
        self._topics = unit_rows(self._topics)
        self.seconds = 0.0

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        started = time.perf_counter()
        rows = np.stack([self._row(text) for text in texts])
        self.seconds += time.perf_counter() - started
        return unit_rows(rows)

    def _row(self, text: str) -> NDArray[np.float32]:
        checksum = crc32(text.encode())
        noise = np.random.default_rng(checksum).standard_normal(DIMENSION).astype(np.float32)
        row: NDArray[np.float32] = self._topics[checksum % TOPICS] + noise * (NOISE / DIMENSION**0.5)
        return row


class Runs:
    """Made-up runs; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - made-up texts, no secret
        self._clock = SystemClock()

    def task(self) -> str:
        pick = self._random.choice
        return f"{pick(_VERBS)} the {pick(_THINGS)} of team {self._random.randrange(10**6)} {pick(_WAYS)}"

    def code(self) -> str:
        least = self._random.randrange(10**6)
        return f"def run(rows):\n    return [row for row in rows if row['n'] > {least}]\n"

    def records(self, count: int) -> Iterator[dict[str, Any]]:
        for _ in range(count):
            yield {
                "version": 1,
                "key": new_pattern_key(self._clock.now()),
                "data": {
                    "task": self.task(),
                    "code": self.code(),
                    "success_score": self._random.randrange(11),
                },
            }


def measure(settings: Settings, sizes: Sequence[int], seed: int, bar: Bar) -> list[Timing]:
    """Return every timing; `bar` shows how far it is."""
    timings = list(_embedding(settings, bar))
    for size in sizes:
        with TemporaryDirectory(prefix="engramia-bench-") as name:
            timings += _at_size(settings.model_copy(update={"data_path": Path(name)}), size, seed, bar)
    return timings


def _embedding(settings: Settings, bar: Bar) -> Iterator[Timing]:
    """Time the configured model, as far as it is there without asking a network."""
    bar.update(0, note="embedding")
    if settings.openai_api_key and not settings.local_embeddings:
        return
    try:
        embeddings: Embeddings | None = embeddings_from(settings.model_copy(update={"model_download": False}))
        if embeddings is None:
            return
        yield Timing("embed: load the model", 0, tuple(_times(1, lambda: embeddings.embed([SHORT_TEXT]))))
    except ProviderError:  # Not on this machine: `engramia doctor` says so, and there is nothing to time.
        return
    yield Timing("embed: one short text", 0, tuple(_times(50, lambda: embeddings.embed([SHORT_TEXT]))))
    batch = [f"{SHORT_TEXT} {number}" for number in range(64)]
    yield Timing("embed: 64 short texts", 0, tuple(_times(5, lambda: embeddings.embed(batch))))


def _at_size(settings: Settings, size: int, seed: int, bar: Bar) -> Iterator[Timing]:
    runs, vectors = Runs(seed), TopicVectors(seed)
    with Memory(settings=settings, embeddings=vectors) as memory:
        memory.import_data(
            runs.records(size), progress=lambda done, _total: bar.update(done, size, note=f"filling {size:,}")
        )
    opening = tuple(_times(3, lambda: _opened(settings, vectors)))
    yield Timing("open and recall once", size, opening)
    with Memory(settings=settings, embeddings=vectors) as memory:
        bar.update(0, RECALLS, note=f"recall at {size:,}")
        tasks = [runs.task() for _ in range(RECALLS)]
        yield Timing("recall, top 5", size, tuple(_apart(vectors, [_recall(memory, task) for task in tasks])))
        yield Timing("  one pass over the vectors", size, _pass(size, vectors))
        bar.update(0, LEARNS, note=f"learn at {size:,}")
        learns = [_learn(memory, runs) for _ in range(LEARNS)]
        learned, synced = _beside_the_disk(settings.data_path, _apart(vectors, learns))
    yield Timing("learn", size, learned)
    yield Timing("  the disk's append + fdatasync", size, synced)


def _opened(settings: Settings, vectors: TopicVectors) -> None:
    with Memory(settings=settings, embeddings=vectors) as memory:
        memory.recall(SHORT_TEXT, readonly=True)


def _recall(memory: Memory, task: str) -> Callable[[], object]:
    return lambda: memory.recall(task, readonly=True)


def _learn(memory: Memory, runs: Runs) -> Callable[[], object]:
    task, code = runs.task(), runs.code()
    return lambda: memory.learn(task=task, code=code, eval_score=7)


def _times(count: int, call: Callable[[], object]) -> Iterator[float]:
    for _ in range(count):
        started = time.perf_counter()
        call()
        yield (time.perf_counter() - started) * 1000


def _apart(vectors: TopicVectors, calls: Sequence[Callable[[], object]]) -> Iterator[float]:
    """Yield each call's milliseconds without those that `vectors` took in it."""
    for call in calls:
        before = vectors.seconds
        started = time.perf_counter()
        call()
        yield (time.perf_counter() - started - (vectors.seconds - before)) * 1000


def _pass(size: int, vectors: TopicVectors) -> tuple[float, ...]:
    matrix = np.random.default_rng(size).standard_normal((size, DIMENSION)).astype(np.float32)
    query = vectors.embed([SHORT_TEXT])[0]
    return tuple(_times(20, lambda: matrix @ query))


def _beside_the_disk(folder: Path, timed: Iterable[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return `timed`, and what an append with fdatasync took after each, while the disk was as busy."""
    with NamedTemporaryFile(dir=folder) as file:

        def append() -> None:
            file.write(b"x" * 2500)
            file.flush()
            os.fdatasync(file.fileno())

        pairs = [(taken, *_times(1, append)) for taken in timed]
    return tuple(taken for taken, _ in pairs), tuple(synced for _, synced in pairs)
