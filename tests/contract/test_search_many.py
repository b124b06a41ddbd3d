"""Many searches at once are each search alone: the same keys, order, scores, crowd and lead."""

import random
from dataclasses import replace
from itertools import batched

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engramia.core.model import Classification, Scope
from engramia.core.ports import ScopedStorage
from engramia.core.query import Filter, Search
from engramia.errors import EmbeddingModelMismatchError
from engramia.providers.json.storage import JSONStorage
from tests.contract.samples import NOW, Vector, dense, key, record, search, unit

pytestmark = pytest.mark.slow

_WORDS = "read sort merge rows columns json csv users by date in reverse 7 12 not every file".split()
_DIMENSION = 8


def _vector(seed: int) -> Vector:
    return unit(*np.random.default_rng(seed).standard_normal(_DIMENSION).tolist())


def _task(seed: int) -> str:
    return " ".join(random.Random(seed).choices(_WORDS, k=5))  # noqa: S311 - test data


def _fill(scope: ScopedStorage, count: int) -> None:
    with scope.writing() as stores:
        for number in range(count):
            kind = (Classification.PUBLIC, Classification.INTERNAL)[number % 2]
            code = f"{_task(number + 7)} {number}"
            if number % 11 == 3:
                stores.patterns.add(record(number, _task(number), code=code, classification=kind), None)
            else:
                scores = (float(number % 10),)
                one = dense(number, _task(number), scores=scores, code=code, classification=kind)
                stores.patterns.add(one, _vector(number % 40))
        stores.patterns.delete([key(number) for number in range(0, count, 17)])


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> ScopedStorage:
    scope = JSONStorage(tmp_path_factory.mktemp("many") / "data").scoped(Scope())
    _fill(scope, 700)
    return scope


_searches = st.builds(
    lambda seed, blind, **fields: search(_task(seed), None if blind else _vector(seed), **fields),
    st.integers(0, 300),
    st.sampled_from([False, False, False, True]),
    limit=st.integers(1, 50),
    offset=st.integers(0, 60),
    deduplicate=st.booleans(),
    eval_weighted=st.booleans(),
    min_similarity=st.sampled_from([0.0, 0.2, 0.6]),
    recency_weight=st.sampled_from([0.0, 0.5]),
    filter=st.sampled_from([Filter(), Filter(classification=Classification.PUBLIC), Filter(min_score=99.0)]),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.lists(_searches, min_size=1, max_size=20))
def test_each_answer_is_that_of_the_search_alone(filled: ScopedStorage, asked: list[Search]) -> None:
    with filled.reading() as stores:
        together = stores.patterns.search_many(asked)
        alone = [stores.patterns.search(one) for one in asked]
    assert list(together) == alone


@pytest.mark.parametrize("dimension", [3, 384, 1000])
def test_no_company_changes_an_answer_in_many_dimensions(scope: ScopedStorage, dimension: int) -> None:
    made = np.random.default_rng(1).standard_normal((260, dimension)).astype(np.float32)
    made /= np.linalg.norm(made, axis=1)[:, None]
    with scope.writing() as stores:
        for number, vector in enumerate(made[:200]):
            stores.patterns.add(dense(number, _task(number)), vector)
    asked = [search(_task(number), vector) for number, vector in enumerate(made[200:])]
    with scope.reading() as stores:
        alone = [stores.patterns.search(one) for one in asked]
        for size in (2, 5, 12, 17, 60):
            groups = [stores.patterns.search_many(some) for some in batched(asked, size)]
            assert [page for group in groups for page in group] == alone


def test_nothing_asked_is_nothing_answered(scope: ScopedStorage) -> None:
    with scope.reading() as stores:
        assert list(stores.patterns.search_many([])) == []
        pages = stores.patterns.search_many([search(), search(offset=3)])
    assert [(page.items, page.offset) for page in pages] == [((), 0), ((), 3)]


def test_one_vector_of_another_dimension_is_refused(scope: ScopedStorage) -> None:
    _fill(scope, 5)
    asked = [search(vector=_vector(1)), search(vector=unit(1, 0))]
    with scope.reading() as stores, pytest.raises(EmbeddingModelMismatchError, match="2 dimensions"):
        stores.patterns.search_many(asked)


def test_each_search_has_its_own_moment(filled: ScopedStorage) -> None:
    early = search(_task(3), _vector(3), recency_weight=1.0, recency_half_life_days=0.001)
    late = replace(early, now=NOW.replace(year=2030))
    with filled.reading() as stores:
        first, second = stores.patterns.search_many([early, late])
    assert first.items[0].recency > second.items[0].recency


def test_reuse_is_counted_as_often_as_it_is_named(scope: ScopedStorage) -> None:
    _fill(scope, 5)
    with scope.writing() as stores:
        stores.patterns.count_reuse([key(1), key(2), key(1)])
    with scope.reading() as stores:
        found = [stores.patterns.get(key(number)) for number in (1, 2)]
    assert [one.pattern.reuse_count for one in found if one] == [2, 1]
