"""Counts of roots that are read behind the first recall: those of the database, in every snapshot."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import psycopg
import pytest

from engramia.providers.postgres.beginning import begin_reading
from engramia.providers.postgres.frequencies import ScopeFrequencies, parts
from engramia.providers.postgres.sketches import Sketches, read_sketches
from engramia.providers.postgres.storage import PostgresStorage
from engramia.providers.postgres.transaction import ScopeTransaction
from engramia.providers.postgres.vector_plan import VectorPlan
from engramia.providers.postgres.words import CODE, TASK, Codes
from tests.contract.samples import MODEL, key, record
from tests.providers.postgres.test_large_scopes import BIG, fill, keys, make_index, questions, vectors

_SIZE = 1200


@pytest.fixture
def storage(postgres_url: str) -> Iterator[PostgresStorage]:
    storage = PostgresStorage(database_url=postgres_url)
    fill(storage.scoped(BIG), _SIZE, 1)
    yield storage
    storage.close()


def read(storage: PostgresStorage, before: Sketches | None = None) -> Sketches:
    found = read_sketches(storage.database, BIG, before=before)
    assert found is not None
    return found


def counted(url: str) -> dict[tuple[int, int], int]:
    with psycopg.connect(url) as connection:
        asked = "SELECT field, root, patterns FROM word_counts WHERE tenant_id = 'big'"
        return {(field, root): count for field, root, count in connection.execute(asked).fetchall()}


def known(storage: PostgresStorage, counts: ScopeFrequencies, url: str) -> dict[tuple[int, int], int]:
    """Return what `counts` says now of every root that the database counts."""
    asked = {
        field: np.array(sorted(root for of, root in counted(url) if of == field), np.int64)
        for field in (TASK, CODE)
    }
    with storage.database.transaction(begin_reading(BIG)) as (connection, row):
        found = counts.of(ScopeTransaction(connection, BIG, row, writable=False), asked)
    return {
        (field, root): count
        for field, roots in asked.items()
        for root, count in zip(roots.tolist(), found[field].tolist(), strict=True)
    }


@pytest.mark.parametrize("patterns", [0, 1, 10_000, 250_000, 10**7])
def test_the_parts_are_all_roots(patterns: int) -> None:
    ranges = list(parts(patterns))
    assert ranges[0][0] == -(2**63)
    assert ranges[-1][1] == 2**63 - 1
    assert all(one[1] + 1 == other[0] for one, other in pairwise(ranges))
    assert len(ranges) <= 2 + patterns // 8192


@pytest.mark.slow
def test_they_are_those_of_the_database(storage: PostgresStorage, postgres_url: str) -> None:
    counts = read(storage).counts
    assert len(counts) == len(counted(postgres_url)) > _SIZE
    assert known(storage, counts, postgres_url) == counted(postgres_url)


@pytest.mark.slow
def test_a_copy_goes_on_by_itself(storage: PostgresStorage, postgres_url: str) -> None:
    sketches = read(storage)
    copy, before = sketches.counts.copy(), counted(postgres_url)
    with storage.scoped(BIG).writing() as stores:
        stores.patterns.add(
            record(7000, "more about it", code="x1 y1", embedding_model=MODEL), vectors(1, 9)[0]
        )
    assert known(storage, copy, postgres_url) == counted(postgres_url) != before
    again = read(storage, sketches).counts
    assert known(storage, again, postgres_url) == counted(postgres_url)
    with storage.scoped(BIG).writing() as stores:
        stores.patterns.delete([key(number) for number in range(50)])
    for one in (copy, again, sketches.counts.copy(), read(storage, sketches).counts):
        assert known(storage, one, postgres_url) == counted(postgres_url)


@pytest.mark.slow
def test_searches_begin_with_them(storage: PostgresStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.plan = VectorPlan(exact_limit=100, index_worth=0.0)
    make_index(storage)
    keys(storage, BIG, questions()[0])
    storage.sketches.wait(30.0)
    looked_up = list[int]()
    look_up = ScopeFrequencies._look_up

    def counting(self: ScopeFrequencies, asked: ScopeTransaction, roots: dict[int, Codes]) -> None:
        looked_up.append(sum(len(some) for some in roots.values()))
        look_up(self, asked, roots)

    monkeypatch.setattr(ScopeFrequencies, "_look_up", counting)
    for question in questions(limit=10):
        keys(storage, BIG, question)
    assert len(looked_up) >= 2 * 20
    assert sum(looked_up) < 100  # words of the questions that no pattern has
