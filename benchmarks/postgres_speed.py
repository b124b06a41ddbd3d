"""How fast the Postgres storage is: import, learn, recall, by the size of the scope.

    python -m benchmarks.postgres_speed [--sizes 1000 10000] [--url postgresql://...] [--json FILE]
    python -m benchmarks.postgres_speed --large [--patterns 500000] [--tenants 1000] [--url ...] [--json FILE]

Without `--url` a private server is started in a folder of its own; writes are synced. With `--large` an
address must be that of a superuser, and its database empty or filled by an earlier run.
Tasks and codes are generated (fixed seed); a task's vector is the sum of random vectors of its words, so that
tasks with common words are near, as embeddings have it. Import goes as `Memory.import_data` does, without
redaction and embedding: transactions of 256 records. Recall is measured twice: the search alone, and
`Memory.recall` with its accounting, with vectors looked up. In turn with them goes the least of its kind on
the same server: a round trip beside recall, a committed insert of one row of a pattern's size beside learning
(`learn_over_insert_ms` is what the rest of learning takes). On a busy machine look at processor time.
"""

import argparse
import contextlib
import json
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import batched
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from benchmarks.postgres_large import SETTINGS, learn, measure_large
from benchmarks.storage_speed import Corpus, Known, Taken, compared, spread, timed
from engramia import Memory
from engramia.core.calibration import calibration_for
from engramia.core.embedding import unit_rows
from engramia.core.model import PatternRecord, Scope
from engramia.core.query import Search
from engramia.core.words import words
from engramia.db import schema
from engramia.db.private_server import PrivateServer
from engramia.providers.postgres.storage import PostgresScopedStorage, PostgresStorage

type Vectors = NDArray[np.float32]

_MODEL = "random"
_DIMENSION = 384
_SETTLE, _REPEATS = 30, 230
_ROW = b"x" * 2700  # a vector of 1.5 kB, a code of 1 kB, a task


class WordSums:
    """Embeddings whose vectors are the normalised sums of their words' random vectors."""

    model = _MODEL
    dimension = _DIMENSION

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        sums = np.array([np.sum([_word(word) for word in words(text)], axis=0) for text in texts])
        return unit_rows(sums)


@cache
def _word(word: str) -> NDArray[np.float64]:
    return np.random.default_rng(list(word.encode())).standard_normal(_DIMENSION)


def queries(corpus: Corpus, size: int) -> list[str]:
    """Return tasks that share words with stored ones: half of one, some of another, two more words."""
    chance = random.Random(11)  # noqa: S311 - test data
    made = []
    for _ in range(_REPEATS):
        some = (corpus.record(chance.randrange(size)) for _ in range(2))
        first, second = (one.pattern.task.split() for one in some)
        own = chance.choices(corpus.vocabulary, corpus.weights, k=2)
        made.append(" ".join(first[:9] + second[:4] + own))
    return made


def fill(
    scope: PostgresScopedStorage, records: Sequence[PatternRecord], vectors: NDArray[np.float32]
) -> None:
    """Import records as `Memory.import_data` does."""
    for some in batched(zip(records, vectors, strict=True), 256):
        with scope.writing() as stores:
            taken = stores.patterns.present([record.pattern.key for record, _ in some])
            for record, vector in some:
                if record.pattern.key not in taken:
                    stores.patterns.add(record, vector)


def search(
    scope: PostgresScopedStorage, task: str, vector: NDArray[np.float32], record: PatternRecord
) -> None:
    calibration = calibration_for("all-MiniLM-L6-v2")
    asked = Search(
        task, vector, record.pattern.created_at, calibration.fusion, calibration.min_similarity, limit=5
    )
    with scope.reading() as stores:
        stores.patterns.search(asked)


class Bare:
    """The least that the server can be asked, on a connection of its own."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute("CREATE TABLE IF NOT EXISTS bare (row bytea)")

    def trip(self) -> None:
        self._connection.execute("SELECT 1")

    def insert(self) -> None:
        self._connection.execute("INSERT INTO bare VALUES (%s)", [_ROW])

    def close(self) -> None:
        self._connection.execute("DROP TABLE bare")
        self._connection.close()


type Action = Callable[[], object]


def in_turn(actions: Sequence[Action], bare: Action) -> tuple[list[Taken], list[Taken]]:
    """Time each action and then `bare`, past the first ones."""
    taken = [(timed(action), timed(bare)) for action in actions][_SETTLE:]
    return [one for one, _ in taken], [other for _, other in taken]


def measure(storage: PostgresStorage, bare: Bare, corpus: Corpus, size: int) -> dict[str, Any]:
    """Return the figures of one scope of this size."""
    embeddings, scope = WordSums(), storage.scoped(Scope("bench", f"p{size}"))
    records = [corpus.record(number) for number in range(size)]
    vectors = embeddings.embed([record.pattern.task for record in records])
    imported = timed(partial(fill, scope, records, vectors))
    new = [corpus.record(10**7 + turn) for turn in range(_REPEATS)]
    new_vectors = embeddings.embed([record.pattern.task for record in new])
    asked = queries(corpus, size)
    known = Known()
    known.vectors = dict(zip(asked, embeddings.embed(asked), strict=True))
    searches = [partial(search, scope, task, vector, new[0]) for task, vector in known.vectors.items()]
    first = timed(searches[0])
    searched, trips = in_turn(searches, bare.trip)
    recalled, _ = in_turn(recalls(storage, f"p{size}", known, asked), bare.trip)
    learned, inserted = in_turn(
        [partial(learn, scope, *one) for one in zip(new, new_vectors, strict=True)], bare.insert
    )
    again, _ = in_turn(searches, bare.trip)
    return {
        "patterns": size,
        "import_s": round(imported.wall, 2),
        "first_search_ms": round(first.wall * 1e3, 1),
        "round_trip": spread(trips),
        "search": spread(searched),
        "memory_recall": spread(recalled),
        "committed_insert": spread(inserted),
        "learn": spread(learned),
        "learn_over_insert_ms": compared(learned, inserted)[1],
        "search_after_learning": spread(again),
    }


def recalls(storage: PostgresStorage, project: str, known: Known, asked: Sequence[str]) -> list[Action]:
    """Return calls of `Memory.recall`."""
    memory = Memory(storage=storage, embeddings=known, llm=None, scope=Scope("bench", project))
    return [partial(memory.recall, task) for task in asked]


@contextlib.contextmanager
def database(url: str | None) -> Iterator[str]:
    """Yield the address of a database to measure in."""
    if url is not None:
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="engramia-bench-") as folder:
        Path(folder).chmod(0o755)
        with PrivateServer(Path(folder) / "server", options=SETTINGS) as server:
            yield server.create_database("bench")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--url")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--large", action="store_true", help="many tenants in one table; see postgres_large")
    parser.add_argument("--patterns", type=int, default=500_000, help="with --large: how many in all")
    parser.add_argument("--tenants", type=int, default=1000, help="with --large: of how many tenants")
    options = parser.parse_args()
    corpus, found = Corpus.make(), []
    with database(options.url) as url:
        schema.upgrade(url)
        if options.large:
            found.append(measure_large(url, options.patterns, options.tenants))
            print(json.dumps(found[-1], indent=1))
            options.sizes = []
        storage, bare = PostgresStorage(database_url=url), Bare(url)
        for size in options.sizes:
            found.append(measure(storage, bare, corpus, size))
            print(json.dumps(found[-1], indent=1))
        bare.close()
        storage.close()
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
