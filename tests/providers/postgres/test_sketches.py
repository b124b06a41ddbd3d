"""Sketches of a large scope: what they tell, how they follow it, and what searches make of them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import batched
from unittest.mock import Mock

import numpy as np
import pytest
from numpy.typing import NDArray

from engramia.core.model import Classification
from engramia.core.query import Filter, Search
from engramia.providers.postgres import database_source
from engramia.providers.postgres.beginning import begin_reading
from engramia.providers.postgres.sketches import Compared, Sketches, read_sketches
from engramia.providers.postgres.storage import PostgresStorage
from engramia.providers.postgres.transaction import ScopeTransaction
from engramia.providers.postgres.vector_plan import VectorPlan
from engramia.providers.postgres.words import CODE, TASK
from tests.contract.samples import MODEL, key, record
from tests.providers.postgres.test_large_scopes import BIG, fill, keys, make_index, questions, vectors

pytestmark = pytest.mark.slow  # a database server

_SIZE, _DIMENSION = 1500, 32


@pytest.fixture
def storage(postgres_url: str) -> Iterator[PostgresStorage]:
    """A storage with a big scope that it searches by index and sketches."""
    storage = PostgresStorage(database_url=postgres_url)
    fill(storage.scoped(BIG), _SIZE, 1)
    storage.plan = VectorPlan(exact_limit=100, index_worth=0.0)
    yield storage
    storage.close()


def sketched(storage: PostgresStorage) -> None:
    """Search until index and sketches are there."""
    make_index(storage)
    keys(storage, BIG, questions()[0])
    storage.sketches.wait(30.0)


def held(storage: PostgresStorage) -> Sketches | None:
    """Return the sketches that a search would use now."""
    with storage.database.transaction(begin_reading(BIG)) as (connection, row):
        return storage.memory.sketches(ScopeTransaction(connection, BIG, row, writable=False))


def read(storage: PostgresStorage, before: Sketches | None = None) -> Sketches:
    found = read_sketches(storage.database, BIG, before=before)
    assert found is not None
    return found


def made_of(stored: NDArray[np.float32], known: Sequence[bool]) -> Sketches:
    """Return sketches of vectors, of those that are `known`."""
    packed = np.packbits(stored > 0, axis=1).view(np.uint64)
    sizes = np.zeros((2, len(stored)), np.uint16)
    return Sketches("m", stored.shape[1], 1, np.ascontiguousarray(packed.T), np.array(known), sizes)


def test_they_guess_cosines(storage: PostgresStorage) -> None:
    question = vectors(1, 3)[0]
    compared = Compared(read(storage), question)
    differing = ((vectors(_SIZE, 1) > 0) != (question > 0)).sum(axis=1)
    expected = np.cos(np.pi * differing / _DIMENSION)
    np.testing.assert_allclose(compared.cosines(np.arange(_SIZE)), expected, atol=1e-6)
    assert np.isnan(compared.cosines(np.array([_SIZE, _SIZE + 10**6]))).all()


def test_they_guess_cosines_more_closely_by_the_whole_of_the_vector_asked() -> None:
    draw = np.random.default_rng(5)
    question, *stored = draw.standard_normal((201, 384))
    question /= np.linalg.norm(question)
    near = np.array([one / np.linalg.norm(one) + draw.random() * question for one in stored])
    near = (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32)
    compared = Compared(made_of(near, [True] * 199 + [False]), question.astype(np.float32))
    numbers = np.arange(199)
    cosines = near[:199] @ question
    by_signs, closely = (guess(numbers) - cosines for guess in (compared.cosines, compared.closer))
    assert np.abs(closely).max() < compared.error < 0.12
    assert closely.std() < 0.7 * by_signs.std()
    assert np.isnan(compared.closer(np.array([199, 10**6]))).all()


def test_they_know_how_many_roots_patterns_have(storage: PostgresStorage) -> None:
    otherwise = {TASK: np.float32(7.0), CODE: np.float32(9.0)}
    asked = np.array([0, _SIZE - 1, _SIZE, _SIZE + 10**6])
    found = read(storage).relative_sizes(asked, 2, otherwise)
    # Six roots of a task like "task w0 about t0 and u0", three of a code like "call_0(x0)", beside two asked.
    assert found[TASK].tolist() == [3.0, 3.0, 7.0, 7.0]
    assert found[CODE].tolist() == [1.5, 1.5, 9.0, 9.0]


@pytest.mark.parametrize("dimension", [128, 512])
@pytest.mark.parametrize("count", [1, 10, 400, 999, 1000, 5000])
def test_the_nearest_are_those_of_fewest_differing_signs(count: int, dimension: int) -> None:
    draw = np.random.default_rng(4)
    stored = draw.standard_normal((1000, dimension), np.float32)
    known = draw.random(1000) < 0.9
    question = draw.standard_normal(dimension, np.float32)
    found = Compared(made_of(stored, known.tolist()), question).nearest(count)
    assert known[found].all()
    assert len(found) >= min(count, int(known.sum()))
    differing = ((stored > 0) != (question > 0))[:, :256].sum(axis=1)  # of the first ones
    others = np.setdiff1d(np.flatnonzero(known), found)
    assert differing[found].max() < differing[others].min(initial=dimension + 1)
    assert len(found) < count + 120 or count == 1  # as many as share the last number of signs


def test_they_are_read_behind_the_first_recall_and_kept(storage: PostgresStorage) -> None:
    make_index(storage)
    before = len(storage.memory)
    keys(storage, BIG, questions()[0])
    storage.sketches.wait(30.0)
    assert len(storage.memory) >= before + _SIZE * 8
    asked = questions(limit=10)
    assert [len(keys(storage, BIG, question)) for question in asked] == [10] * len(asked)


def test_those_of_a_scope_that_was_erased_are_not_used(storage: PostgresStorage) -> None:
    sketched(storage)
    assert held(storage) is not None
    storage.scoped(BIG).erase()
    fill(storage.scoped(BIG), 400, 5)
    assert held(storage) is None


def test_those_of_a_scope_of_which_much_was_deleted_are_not_used(storage: PostgresStorage) -> None:
    sketched(storage)
    with storage.scoped(BIG).writing() as stores:
        stores.patterns.delete([key(number) for number in range(200)])
    assert held(storage) is None


def test_read_again_they_are_as_if_read_anew(storage: PostgresStorage) -> None:
    before = read(storage)
    kept = before.bits.copy()
    with storage.scoped(BIG).writing() as stores:
        new = vectors(40, 8)
        for place in range(20):  # in place of some, and beside them
            stores.patterns.add(record(place, f"other {place}", embedding_model=MODEL), new[place])
            stores.patterns.add(record(7000 + place, "more of it", embedding_model=MODEL), new[20 + place])
        stores.patterns.add(record(8000, "waits for its vector"), None)
    again, anew = read(storage, before), read(storage)
    assert again.revision == anew.revision > before.revision
    assert len(again.known) == len(anew.known) > len(before.known)
    np.testing.assert_array_equal(again.bits[:, anew.known], anew.bits[:, anew.known])
    np.testing.assert_array_equal(again.sizes[:, anew.known], anew.sizes[:, anew.known])
    assert again.known[anew.known].all()
    np.testing.assert_array_equal(before.bits, kept)


def nearest_to(vector: NDArray[np.float32]) -> Search:
    """Return a question with no word that is stored."""
    asked = questions(limit=5)[0]
    return Search("zzz", vector, asked.now, asked.fusion, min_similarity=0.1, limit=5)


def test_what_changed_since_they_were_read_is_found_by_its_vector(storage: PostgresStorage) -> None:
    sketched(storage)
    far, other = -vectors(2, 21)
    assert key(9000) not in keys(storage, BIG, nearest_to(far))
    with storage.scoped(BIG).writing() as stores:
        stores.patterns.add(record(9000, "of another kind", embedding_model=MODEL), far)
        stores.patterns.add(record(9001, "waits"), None)
    assert held(storage) is not None
    assert keys(storage, BIG, nearest_to(far))[0] == key(9000)
    with storage.scoped(BIG).writing() as stores:
        stores.patterns.set_vectors(MODEL, [(key(9001), other)])
    assert keys(storage, BIG, nearest_to(other))[0] == key(9001)
    with storage.scoped(BIG).writing() as stores:
        stores.patterns.delete([key(9000)])
    assert key(9000) not in keys(storage, BIG, nearest_to(far))


@pytest.mark.parametrize(
    ("classification", "by_index"), [(Classification.INTERNAL, False), (Classification.PUBLIC, True)]
)
def test_under_a_filter_that_most_pass_they_tell_the_nearest(
    storage: PostgresStorage,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
    classification: Classification,
    *,
    by_index: bool,
) -> None:
    sketched(storage)
    asked = questions(filter=Filter(classification), limit=10)
    ask_index = Mock(wraps=database_source._nearest_statement)
    monkeypatch.setattr(database_source, "_nearest_statement", ask_index)
    found = [keys(storage, BIG, question) for question in asked]
    assert ask_index.called == by_index
    exact = PostgresStorage(database_url=postgres_url, exact_limit=10**9)
    expected = [keys(exact, BIG, question) for question in asked]
    exact.close()
    shared = sum(len(set(ours) & set(theirs)) for ours, theirs in zip(found, expected, strict=True))
    assert shared >= 0.97 * sum(map(len, expected))


@pytest.mark.parametrize("least", [0.45, 0.6, 0.8])
def test_all_matches_come_where_they_are_asked_for(
    storage: PostgresStorage, postgres_url: str, least: float
) -> None:
    sketched(storage)
    exact = PostgresStorage(database_url=postgres_url, exact_limit=10**9)
    asked = [replace(one, min_similarity=least) for one in questions(limit=300, deduplicate=False)]
    for question in asked:
        assert keys(storage, BIG, question) == keys(exact, BIG, question)
    exact.close()


def test_where_more_changed_than_is_compared_the_index_answers(
    storage: PostgresStorage, postgres_url: str
) -> None:
    storage.scoped(BIG).erase()
    fill(storage.scoped(BIG), 6000, 1)
    sketched(storage)
    for some in batched(enumerate(vectors(6000, 77)), 500):
        with storage.scoped(BIG).writing() as stores:
            stores.patterns.set_vectors(MODEL, [(key(place), new) for place, new in some])
    assert held(storage) is not None
    asked = [nearest_to(vector) for vector in vectors(20, 78)]
    found = [keys(storage, BIG, question) for question in asked]
    exact = PostgresStorage(database_url=postgres_url, exact_limit=10**9)
    expected = [keys(exact, BIG, question) for question in asked]
    exact.close()
    shared = sum(len(set(ours) & set(theirs)) for ours, theirs in zip(found, expected, strict=True))
    assert shared >= 0.95 * 5 * len(asked)
