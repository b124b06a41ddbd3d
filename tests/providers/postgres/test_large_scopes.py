"""Scopes beyond the exact limit: candidates by index and postings, and still the answers of the exact."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
from numpy.typing import NDArray

from engramia.core.model import Classification, Scope
from engramia.core.ports import ScopedStorage
from engramia.core.query import Filter, Search
from engramia.providers.postgres.storage import PostgresStorage
from engramia.providers.postgres.vector_plan import VectorPlan
from tests.contract.samples import MODEL, key, record, search

pytestmark = pytest.mark.slow  # a database server

_DIMENSION = 32
_SIZE = 1500
_TOPICS = 60
BIG, SMALL = Scope("big", "one"), Scope("small", "one")


def vectors(count: int, seed: int) -> NDArray[np.float32]:
    """Return unit vectors around some topics, as embeddings of real tasks lie."""
    draw = np.random.default_rng(seed)
    topics = np.random.default_rng(0).standard_normal((_TOPICS, _DIMENSION))
    made = topics[draw.integers(0, _TOPICS, count)] + 0.6 * draw.standard_normal((count, _DIMENSION))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def fill(scope: ScopedStorage, count: int, seed: int) -> None:
    with scope.writing() as stores:
        for number, vector in enumerate(vectors(count, seed)):
            one = record(
                number,
                f"task w{number} about t{number % 90} and u{number % 7}",
                code=f"call_{number % 300}(x{number % 11})",
                scores=(float(number % 11),),
                classification=Classification.PUBLIC if number % 50 == 0 else Classification.INTERNAL,
                embedding_model=MODEL,
            )
            stores.patterns.add(one, vector)


@pytest.fixture
def by_index(postgres_url: str) -> Iterator[PostgresStorage]:
    """A storage that takes the index wherever it is there, over a big scope and a small one."""
    storage = PostgresStorage(database_url=postgres_url)
    fill(storage.scoped(BIG), _SIZE, 1)
    fill(storage.scoped(SMALL), 40, 2)
    storage.plan = VectorPlan(exact_limit=100, index_worth=0.0)
    yield storage
    storage.close()


@pytest.fixture
def exact(postgres_url: str) -> Iterator[PostgresStorage]:
    storage = PostgresStorage(database_url=postgres_url, exact_limit=10**9)
    yield storage
    storage.close()


def keys(storage: PostgresStorage, scope: Scope, question: Search) -> list[str]:
    with storage.scoped(scope).reading() as stores:
        return [hit.pattern.key for hit in stores.patterns.search(question)]


def questions(**options: Any) -> list[Search]:
    return [
        search(f"task about t{number} and call {number * 3}", vector, min_similarity=0.1, **options)
        for number, vector in enumerate(vectors(20, 3))
    ]


def make_index(storage: PostgresStorage) -> None:
    """Search the big scope, which misses the index, and wait until it is there."""
    keys(storage, BIG, questions()[0])
    storage.indexes.wait(30.0)


def test_the_index_finds_what_comparing_all_finds(by_index: PostgresStorage, exact: PostgresStorage) -> None:
    make_index(by_index)
    asked = questions(limit=10)
    before = by_index.plan.uses
    found = [keys(by_index, BIG, question) for question in asked]
    assert by_index.plan.uses == before + len(asked)
    expected = [keys(exact, BIG, question) for question in asked]
    shared = sum(len(set(ours) & set(theirs)) for ours, theirs in zip(found, expected, strict=True))
    assert shared >= 0.97 * 10 * len(asked)


def test_pages_stay_full_under_a_filter(by_index: PostgresStorage, exact: PostgresStorage) -> None:
    make_index(by_index)
    for offset in (0, 20):
        for question in questions(filter=Filter(Classification.PUBLIC), limit=10, offset=offset)[:4]:
            ours, theirs = keys(by_index, BIG, question), keys(exact, BIG, question)
            assert len(ours) == len(theirs)
            assert len(set(ours) & set(theirs)) >= 0.9 * len(theirs)


def test_a_small_scope_beside_a_big_one_gets_all_its_matches(
    by_index: PostgresStorage, exact: PostgresStorage
) -> None:
    make_index(by_index)
    for question in questions(limit=50, deduplicate=False):
        assert keys(by_index, SMALL, question) == keys(exact, SMALL, question)


type Counts = dict[tuple[int, int], int]

_KEPT = "SELECT field, root, patterns FROM word_counts WHERE tenant_id = 'big'"
_HELD = (
    "SELECT field, root, sum(octet_length(members)) / 2 FROM word_postings "
    "WHERE tenant_id = 'big' GROUP BY 1, 2"
)


def counted(url: str) -> tuple[Counts, Counts]:
    """Return how many patterns of the big scope have each root, as is counted and by the postings."""
    with psycopg.connect(url) as connection:
        kept, held = (connection.execute(asked).fetchall() for asked in (_KEPT, _HELD))
    return {(row[0], row[1]): row[2] for row in kept}, {(row[0], row[1]): int(row[2]) for row in held}


def test_the_counts_of_roots_are_those_of_the_postings(by_index: PostgresStorage, postgres_url: str) -> None:
    kept, held = counted(postgres_url)
    assert len(kept) > _SIZE
    assert kept == held
    with by_index.scoped(BIG).writing() as stores:
        stores.patterns.delete([key(number) for number in range(0, _SIZE, 3)])
        stores.patterns.add(record(5000, "task w5000 about t3", embedding_model=MODEL), vectors(1, 9)[0])
    after, held = counted(postgres_url)
    assert after == held
    assert len(after) < len(kept)
    assert min(after.values()) > 0
    by_index.scoped(BIG).erase()
    assert counted(postgres_url)[0] == {}


def has_index(url: str) -> bool:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT to_regclass('pattern_vectors_signs_32') IS NOT NULL").fetchone()
    assert found is not None
    return bool(found[0])


def test_the_index_is_made_once_it_is_missed(by_index: PostgresStorage, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("DROP INDEX IF EXISTS pattern_vectors_signs_32")
    keys(by_index, SMALL, questions()[0])
    assert not has_index(postgres_url)
    assert by_index.describe()["wrong"]
    make_index(by_index)
    assert has_index(postgres_url)
    assert by_index.plan.take_missing() is None
    assert not by_index.describe()["wrong"]


def test_what_was_learned_and_deleted_since_is_known_at_the_next_recall(
    by_index: PostgresStorage, exact: PostgresStorage
) -> None:
    question = questions(limit=10)[5]
    for storage in (by_index, exact):
        first = keys(storage, BIG, question)
        new = record(9999, question.task, embedding_model=MODEL)
        assert question.vector is not None
        with storage.scoped(BIG).writing() as stores:
            stores.patterns.add(new, question.vector)
        assert keys(storage, BIG, question)[0] == key(9999)
        with storage.scoped(BIG).writing() as stores:
            stores.patterns.delete([key(9999)])
        assert keys(storage, BIG, question) == first
