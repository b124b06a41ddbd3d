"""What a process keeps of scopes in memory: as true as what the database says at each search, and bounded."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from engramia.core.model import Classification, Observation, Scope
from engramia.core.ports import PatternStore
from engramia.core.query import DecayPolicy, Filter, Search
from engramia.providers.postgres.storage import MEMORY, PostgresStorage
from tests.contract.samples import MODEL, NOW, at_cosine, dense, key, pattern, search, unit, version

pytestmark = pytest.mark.slow  # a database server

_SCOPE = Scope("cached")
_QUESTION = search("task number 4", unit(1, 0, 0))


@pytest.fixture
def ours(postgres_url: str) -> Iterator[PostgresStorage]:
    yield from opened(postgres_url)


@pytest.fixture
def theirs(postgres_url: str) -> Iterator[PostgresStorage]:
    """What another process has open."""
    yield from opened(postgres_url)


def opened(url: str, memory: int = MEMORY) -> Iterator[PostgresStorage]:
    storage = PostgresStorage(database_url=url, memory=memory)
    yield storage
    storage.close()


class _Stop(Exception):
    """Ends a transaction."""


def keys(found: list[tuple[str, float]]) -> list[str]:
    return [key for key, _ in found]


def fill(storage: PostgresStorage, scope: Scope = _SCOPE, count: int = 12) -> None:
    with storage.scoped(scope).writing() as stores:
        for number in range(count):
            stores.patterns.add(dense(number, scores=(6.0,)), at_cosine(0.95 - number / 20))


def found(
    storage: PostgresStorage, question: Search = _QUESTION, scope: Scope = _SCOPE
) -> list[tuple[str, float]]:
    with storage.scoped(scope).reading() as stores:
        return [(hit.pattern.key, hit.score) for hit in stores.patterns.search(question)]


def learn(patterns: PatternStore) -> None:
    patterns.add(dense(50, "task number 4"), at_cosine(0.9))


def observe(patterns: PatternStore) -> None:
    patterns.observe(key(4), Observation(1.0, NOW))


def classify(patterns: PatternStore) -> None:
    patterns.classify(key(4), Classification.CONFIDENTIAL)


def change_code(patterns: PatternStore) -> None:
    patterns.replace(pattern(4, code="number(4)", embedding_model=MODEL), version(1))


def change_task(patterns: PatternStore) -> None:
    patterns.replace(pattern(0, "something else", embedding_model=MODEL), version(1))


def delete(patterns: PatternStore) -> None:
    patterns.delete([key(4), key(0)])


def delete_and_learn(patterns: PatternStore) -> None:
    delete(patterns)
    learn(patterns)


def overwrite(patterns: PatternStore) -> None:
    patterns.add(dense(4, "task number 9"), at_cosine(0.1))


def change_vector(patterns: PatternStore) -> None:
    patterns.set_vectors(MODEL, [(key(4), at_cosine(0.1))])


def change_model(patterns: PatternStore) -> None:
    patterns.use_embedding_model("another")
    patterns.set_vectors("another", [(key(number), unit(0, 1)) for number in range(5)])


def age(patterns: PatternStore) -> None:
    patterns.age(DecayPolicy(0.5, 3.0), replace(_QUESTION, now=NOW.replace(year=2027)).now)


@pytest.mark.parametrize(
    "write",
    [
        learn, observe, classify, change_code, change_task, delete, delete_and_learn, overwrite,
        change_vector, age,
    ],
)  # fmt: skip
@pytest.mark.parametrize("filter", [Filter(), Filter(Classification.INTERNAL, min_score=1.0)])
def test_what_another_process_wrote_shows_in_the_next_search(
    ours: PostgresStorage,
    theirs: PostgresStorage,
    postgres_url: str,
    write: Callable[[PatternStore], None],
    filter: Filter,
) -> None:
    question = replace(_QUESTION, filter=filter)
    fill(theirs)
    before = found(ours, question)
    with theirs.scoped(_SCOPE).writing() as stores:
        write(stores.patterns)
    for fresh in opened(postgres_url):
        after = found(fresh, question)
        assert found(ours, question) == after
        assert (after != before) == (write is not classify or filter != Filter())


def test_another_model_of_another_dimension_shows_in_the_next_search(
    ours: PostgresStorage, theirs: PostgresStorage, postgres_url: str
) -> None:
    question = replace(_QUESTION, vector=unit(0, 1))
    fill(theirs)
    found(ours)
    with theirs.scoped(_SCOPE).writing() as stores:
        change_model(stores.patterns)
    for fresh in opened(postgres_url):
        assert found(ours, question) == found(fresh, question) != []


def test_a_scope_that_was_erased_and_filled_again_is_not_what_it_was(
    ours: PostgresStorage, theirs: PostgresStorage
) -> None:
    fill(theirs)
    assert found(ours)
    theirs.scoped(_SCOPE).erase()
    assert found(ours) == []
    with theirs.scoped(_SCOPE).writing() as stores:
        for number in range(12):
            stores.patterns.add(dense(900 + number, f"task number {number}"), at_cosine(0.5))
    assert {found_key for found_key, _ in found(ours)} <= {key(900 + number) for number in range(12)}
    assert found(ours)


def test_a_block_goes_on_seeing_what_it_began_with(ours: PostgresStorage) -> None:
    fill(ours)
    question = replace(_QUESTION, deduplicate=False)
    before = found(ours, question)

    def write_and_search() -> None:
        with ours.scoped(_SCOPE).writing() as stores:
            learn(stores.patterns)
        assert key(50) in keys(found(ours, question))

    with ours.scoped(_SCOPE).reading() as stores:
        stores.patterns.count()
        other = threading.Thread(target=write_and_search)
        other.start()
        other.join()
        page = stores.patterns.search(question)
    assert [hit.pattern.key for hit in page] == keys(before)
    assert key(50) in keys(found(ours, question))


def test_what_a_failed_transaction_wrote_is_never_seen(ours: PostgresStorage) -> None:
    fill(ours)
    question = replace(_QUESTION, deduplicate=False)
    before = found(ours, question)
    with contextlib.suppress(_Stop), ours.scoped(_SCOPE).writing() as stores:
        learn(stores.patterns)
        assert key(50) in [hit.pattern.key for hit in stores.patterns.search(question)]
        raise _Stop
    assert found(ours, question) == before


def test_without_memory_the_database_answers_the_same(ours: PostgresStorage, postgres_url: str) -> None:
    fill(ours)
    with ours.scoped(_SCOPE).writing() as stores:
        stores.patterns.add(replace(dense(30), pattern=pattern(30, "task number 4 again")), None)
    questions = [
        _QUESTION,
        search("task number 4"),
        search("print 7", unit(1, 0, 0), recency_weight=0.5, limit=3, offset=2),
        search("task number 4", unit(0, 1, 0), deduplicate=False, filter=Filter(min_score=7.0)),
    ]
    for bare in opened(postgres_url, memory=0):
        for question in questions:
            expected = found(ours, question)
            answered = found(bare, question)
            assert [one for one, _ in answered] == [one for one, _ in expected]
            assert [score for _, score in answered] == pytest.approx(
                [score for _, score in expected], abs=4e-5
            )
        assert len(bare.memory) < len(ours.memory)


def test_memory_is_bounded_by_forgetting_the_scopes_asked_longest_ago(
    ours: PostgresStorage, postgres_url: str
) -> None:
    scopes = [Scope("cached", f"p{number}") for number in range(6)]
    for scope in scopes:
        fill(ours, scope)
    found(ours, scope=scopes[0])
    one = len(ours.memory)
    for small in opened(postgres_url, memory=3 * one):
        for scope in scopes:
            assert found(small, scope=scope) == found(ours, scope=scope)
        assert one < len(small.memory) <= 3 * one


def test_searches_at_once_share_what_is_kept(ours: PostgresStorage) -> None:
    fill(ours)
    expected, answers = found(ours), list[object]()
    held = len(ours.memory)
    threads = [threading.Thread(target=lambda: answers.append(found(ours))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 8
    assert len(ours.memory) == held
