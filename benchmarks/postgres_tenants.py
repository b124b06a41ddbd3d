"""Many tenants of uneven size in one database, made from a seed and loaded by COPY as the owner.

Sizes fall by Zipf's law behind one tenant that holds half of all. Vectors have 384 dimensions and lie in
clusters: the direction of a topic, a smaller part along 32 hidden ones, and noise; so the
nearest are of one topic and still differ.
"""

import io
import random
import struct
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import pairwise

import numpy as np
import psycopg
from numpy.typing import NDArray

from benchmarks.storage_speed import Corpus, key
from engramia.core.ranking import quality_factor
from engramia.core.roots import root
from engramia.providers.postgres.words import BLOCK, BLOCKS_IN_ONE, CODE, NARROW, TASK, code_of

type Vectors = NDArray[np.float32]
type Codes = NDArray[np.int64]

DIMENSION = 384
MODEL = "made"
PROJECT = "default"
_TOPICS, _TOPIC_WORDS, _HIDDEN = 3000, 24, 32
_TASK_WORDS, _CODE_WORDS = 12, 18
_SPREAD, _NOISE = 0.75, 0.35
_BATCH = 10_000
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_QUALITY = quality_factor([7.0])


def tenant_sizes(total: int, tenants: int, small: int = 60) -> list[int]:
    """Return sizes of about `total` together: half in the first, the rest by Zipf's law, `small` at least."""
    weights = 1.0 / (np.arange(1, tenants) + 5.0)
    rest = np.maximum(small, weights / weights.sum() * (total - total // 2)).astype(int)
    return [total // 2, *rest.tolist()]


def name(tenant: int) -> str:
    return f"t{tenant:04}"


@dataclass(frozen=True)
class World:
    """What all tenants' patterns are drawn from."""

    corpus: Corpus

    @cached_property
    def topics(self) -> Vectors:
        return _unit(np.random.default_rng(1).standard_normal((_TOPICS, DIMENSION)))

    @cached_property
    def hidden(self) -> Vectors:
        return _unit(np.random.default_rng(2).standard_normal((_HIDDEN, DIMENSION)))

    @cached_property
    def topic_words(self) -> NDArray[np.intp]:
        return np.random.default_rng(3).integers(0, len(self.corpus.vocabulary), (_TOPICS, _TOPIC_WORDS))

    @cached_property
    def chances(self) -> NDArray[np.float64]:
        weights = np.array(self.corpus.weights)
        return np.asarray(np.cumsum(weights / weights.sum()))

    @cached_property
    def codes(self) -> Codes:
        """The root of each word of the vocabulary."""
        return np.array([code_of(root(word)) for word in self.corpus.vocabulary], np.int64)

    def draw(self, tenant: int, count: int, seed: int = 0) -> "Drawn":
        """Return `count` runs of a tenant, which works on some of the topics; another seed, other runs."""
        own = np.random.default_rng([tenant, 7]).integers(0, _TOPICS, max(8, min(_TOPICS, count // 20 + 8)))
        chance = np.random.default_rng([tenant, seed, 8])
        topics = own[chance.integers(0, len(own), count)]
        apart = chance.standard_normal((count, _HIDDEN), dtype=np.float32) @ self.hidden
        noise = chance.standard_normal((count, DIMENSION), dtype=np.float32)
        vectors = self.topics[topics] + _SPREAD * _unit(apart) + _NOISE * _unit(noise)
        anywhere = np.searchsorted(self.chances, chance.random((count, _TASK_WORDS + _CODE_WORDS)))
        places = np.minimum(anywhere, len(self.corpus.vocabulary) - 1)
        topical = self.topic_words[topics[:, None], chance.integers(0, _TOPIC_WORDS, places.shape)]
        said = np.where(chance.random(places.shape) < 0.5, topical, places)
        return Drawn(self, _unit(vectors), said[:, :_TASK_WORDS], said[:, _TASK_WORDS:])


@dataclass(frozen=True)
class Drawn:
    """Some runs: their vectors, and their words as places in the vocabulary."""

    world: World
    vectors: Vectors
    task: NDArray[np.intp]
    code: NDArray[np.intp]

    def tasks(self) -> Iterator[str]:
        vocabulary = self.world.corpus.vocabulary
        return (" ".join([vocabulary[place] for place in row]) for row in self.task.tolist())

    def texts(self) -> Iterator[str]:
        vocabulary = self.world.corpus.vocabulary
        for row in self.code.tolist():
            names = [vocabulary[place] for place in row]
            yield "".join(f"{left} = {right}\\n" for left, right in pairwise(names))


def load(url: str, sizes: Sequence[int], world: World) -> None:
    """Fill the empty tables of a migrated database, as a superuser; writes progress to stderr."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica; SET synchronous_commit = off")
        begun, done = time.monotonic(), 0
        for tenant, size in enumerate(sizes):
            _load_tenant(connection, tenant, size, world)
            done += size
            if tenant < 5 or tenant % 100 == 0:
                spent = time.monotonic() - begun
                print(f"  loaded {done:,} of {sum(sizes):,} patterns, {spent:.0f} s", file=sys.stderr)
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def _load_tenant(connection: psycopg.Connection, tenant: int, size: int, world: World) -> None:
    pairs: list[tuple[int, Codes, Codes]] = []
    for start in range(0, size, _BATCH):
        count = min(_BATCH, size - start)
        drawn = world.draw(tenant, count, seed=start // _BATCH)
        pairs += _load_batch(connection, tenant, start, drawn)
    _copy(
        connection,
        "word_postings (tenant_id, project_id, field, root, block, members)",
        _posting_rows(tenant, pairs),
    )
    connection.execute(
        "INSERT INTO word_counts SELECT tenant_id, project_id, field, root, sum(octet_length(members) / 2) "
        "FROM word_postings WHERE tenant_id = %s AND project_id = %s GROUP BY 1, 2, 3, 4",
        [name(tenant), PROJECT],
    )
    connection.execute(
        "INSERT INTO scopes (tenant_id, project_id, embedding_model, dimension, next_number, patterns, "
        "dense, revision) VALUES (%s, %s, %s, %s, %s, %s, %s, nextval('engramia_revisions'))",
        [name(tenant), PROJECT, MODEL, DIMENSION, size, size, size],
    )


def _load_batch(
    connection: psycopg.Connection, tenant: int, start: int, drawn: Drawn
) -> list[tuple[int, Codes, Codes]]:
    count = len(drawn.vectors)
    numbers = np.arange(start, start + count)
    of = f"{name(tenant)}\t{PROJECT}"
    base = int(np.random.default_rng(tenant).integers(0, 2**40)) * 2**20
    made = [(_NOW + timedelta(seconds=int(number))).isoformat() for number in numbers]
    _copy(
        connection,
        "patterns (tenant_id, project_id, number, key, success_score, quality, reuse_count, created_at, "
        "decayed_at, classification, source, skills, dense)",
        (
            f"{of}\t{number}\t{key(base + number)}\t7\t{_QUALITY}\t0\t{at}\t{at}\tinternal\tapi\t{{}}\tt\n"
            for number, at in zip(numbers.tolist(), made, strict=True)
        ),
    )
    roots = {TASK: _rows_of(drawn.world.codes[drawn.task]), CODE: _rows_of(drawn.world.codes[drawn.code])}
    _copy(
        connection,
        "pattern_texts (tenant_id, project_id, number, task, code, output, task_size, task_roots, "
        "code_roots)",
        (
            f"{of}\t{number}\t{task}\t{code}\tok\t{len(set(task.split()))}\t{_hex(first)}\t{_hex(second)}\n"
            for number, task, code, first, second in zip(
                numbers.tolist(), drawn.tasks(), drawn.texts(), roots[TASK], roots[CODE], strict=True
            )
        ),
    )
    _copy_vectors(connection, tenant, numbers, drawn.vectors)
    found = []
    for field, rows in roots.items():
        lengths = [len(row) for row in rows]
        found.append((field, np.concatenate(rows), np.repeat(numbers, lengths)))
    return found


def _rows_of(codes: Codes) -> list[Codes]:
    ordered = np.sort(codes, axis=1)
    new = np.concatenate((np.ones((len(codes), 1), np.bool_), ordered[:, 1:] != ordered[:, :-1]), axis=1)
    return [row[first] for row, first in zip(ordered, new, strict=True)]


def _hex(codes: Codes) -> str:
    return "\\\\x" + codes.astype("<i8").tobytes().hex()


def _posting_rows(tenant: int, pairs: Iterable[tuple[int, Codes, Codes]]) -> Iterator[str]:
    of = f"{name(tenant)}\t{PROJECT}"
    for field in (TASK, CODE):
        roots = np.concatenate([one[1] for one in pairs if one[0] == field])
        numbers = np.concatenate([one[2] for one in pairs if one[0] == field])
        order = np.lexsort((numbers, roots))
        roots, numbers = roots[order], numbers[order]
        _, place, counts = np.unique(roots, return_inverse=True, return_counts=True)
        common = counts[place] > max(NARROW, (int(numbers.max()) + 1) // BLOCKS_IN_ONE)
        blocks = np.where(common, -1 - numbers // NARROW, numbers // BLOCK)
        firsts = np.flatnonzero(
            np.concatenate(([True], (roots[1:] != roots[:-1]) | (blocks[1:] != blocks[:-1])))
        )
        ends = np.append(firsts[1:], len(roots)).tolist()
        members = (numbers % BLOCK).astype("<u2").tobytes().hex()
        named = zip(roots[firsts].tolist(), blocks[firsts].tolist(), firsts.tolist(), ends, strict=True)
        for code, block, first, end in named:
            yield f"{of}\t{field}\t{code}\t{block}\t\\\\x{members[first * 4 : end * 4]}\n"


def _copy(connection: psycopg.Connection, into: str, lines: Iterable[str]) -> None:
    with connection.cursor().copy(f"COPY {into} FROM STDIN") as copy:
        buffer = io.StringIO()
        for place, line in enumerate(lines):
            buffer.write(line)
            if place % 2000 == 1999:
                copy.write(buffer.getvalue())
                buffer = io.StringIO()
        copy.write(buffer.getvalue())


def _copy_vectors(
    connection: psycopg.Connection, tenant: int, numbers: NDArray[np.int64], vectors: Vectors
) -> None:
    """Send vectors in COPY's binary format, a batch made by numpy in one piece."""
    owner, project = name(tenant).encode(), PROJECT.encode()
    layout = np.dtype(
        [
            ("fields", ">i2"),
            ("tenant_size", ">i4"), ("tenant", f"S{len(owner)}"),
            ("project_size", ">i4"), ("project", f"S{len(project)}"),
            ("number_size", ">i4"), ("number", ">i8"),
            ("dimension_size", ">i4"), ("dimension", ">i4"),
            ("vector_size", ">i4"), ("length", ">i2"), ("unused", ">i2"), ("vector", ">f4", (DIMENSION,)),
        ]
    )  # fmt: skip
    rows = np.zeros(len(numbers), layout)
    rows["fields"], rows["tenant_size"], rows["tenant"] = 5, len(owner), owner
    rows["project_size"], rows["project"] = len(project), project
    rows["number_size"], rows["number"], rows["dimension_size"], rows["dimension"] = 8, numbers, 4, DIMENSION
    rows["vector_size"], rows["length"], rows["vector"] = 4 + 4 * DIMENSION, DIMENSION, vectors
    with connection.cursor().copy(
        "COPY pattern_vectors (tenant_id, project_id, number, dimension, embedding) "
        "FROM STDIN (FORMAT binary)"
    ) as copy:
        copy.write(_SIGNATURE + rows.tobytes() + struct.pack(">h", -1))


def asked(world: World, tenant: int, size: int, count: int, seed: int = 0) -> list[tuple[str, Vectors]]:
    """Return `count` recalls of a tenant: tasks in half of a stored one's words, vectors near its own."""
    chance = random.Random(tenant + seed * 10**6)  # noqa: S311 - test data
    batch = chance.randrange((size + _BATCH - 1) // _BATCH)
    stored = world.draw(tenant, min(_BATCH, size - batch * _BATCH), seed=batch)
    others = world.draw(tenant, count, seed=10**6 + seed)
    wanted = np.array([chance.randrange(len(stored.vectors)) for _ in range(count)])
    vectors = _unit(0.85 * stored.vectors[wanted] + 0.5 * others.vectors)
    half = _TASK_WORDS // 2
    said = np.concatenate((stored.task[wanted][:, :half], others.task[:, :half]), axis=1)
    tasks = Drawn(world, vectors, said, said).tasks()
    return list(zip(tasks, vectors, strict=True))


def _unit(values: NDArray[np.floating]) -> Vectors:
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), np.float32)
