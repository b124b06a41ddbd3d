"""Many runs learned at once: each is kept, counted and told of as if it had been learned alone."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from engramia import LearnResult, Memory
from engramia.core.model import EventKind, OnDuplicate, Scope
from engramia.errors import EmbeddingModelMismatchError, QuotaExceededError, StorageError
from engramia.memory.engine import Engine
from engramia.memory.learn import Run, check_run, learn_many
from engramia.providers import JSONStorage
from engramia.testing import FrozenClock, HashEmbeddings

RUNS = [
    ("Sort the rows by name", "rows.sort()", 7.0),
    ("Print the sum of column two", "print(total(2))", 6.0),
    ("sort the rows, by name!", "sorted(rows)", 9.0),  # the first again, and better
    ("Sort the rows by name", "worse(rows)", 2.0),
    ("Merge two folders of pictures", "merge(a, b)", 8.0),
]


@pytest.fixture
def storage(tmp_path: Path) -> JSONStorage:
    return JSONStorage(tmp_path / "data")


@pytest.fixture
def memory(storage: JSONStorage, clock: FrozenClock) -> Memory:
    return Memory(llm=None, embeddings=HashEmbeddings(), storage=storage, clock=clock)


def runs(engine: Engine) -> Sequence[tuple[Run, OnDuplicate]]:
    blank = {"output": None, "run_id": None, "author": None, "skills": (), "classification": "internal"}
    return [
        (
            check_run(engine, task=task, code=code, eval_score=score, source="sdk", **blank),
            OnDuplicate.REPLACE_IF_BETTER,
        )
        for task, code, score in RUNS
    ]


def test_what_is_kept_is_what_single_learns_keep(memory: Memory, tmp_path: Path, clock: FrozenClock) -> None:
    alone = Memory(
        llm=None, embeddings=HashEmbeddings(), storage=JSONStorage(tmp_path / "alone"), clock=clock
    )
    singly = [alone.learn(task=task, code=code, eval_score=score) for task, code, score in RUNS]
    together = learn_many(memory.engine, runs(memory.engine))
    assert [(found.stored, found.pattern_count) for found in told(together)] == [
        (found.stored, found.pattern_count) for found in singly
    ]
    assert [found.duplicate_of is None for found in told(together)] == [True, True, False, False, True]
    assert contents(memory) == contents(alone)
    assert memory.metrics() == alone.metrics()


def told(results: Sequence[LearnResult | QuotaExceededError]) -> list[LearnResult]:
    return [result for result in results if isinstance(result, LearnResult)]


def contents(memory: Memory) -> list[tuple[str, str, float]]:
    found = memory.list_patterns(limit=50).items
    return sorted((pattern.task, pattern.code, pattern.success_score) for pattern in found)


def test_each_is_an_event(memory: Memory, storage: JSONStorage) -> None:
    results = told(learn_many(memory.engine, runs(memory.engine)))
    with storage.scoped(Scope()).reading() as stores:
        events = list(stores.activity.events(since=None, kind=None, limit=10))
    assert [event.pattern_key for event in reversed(events)] == [result.pattern_key for result in results]
    assert {event.kind for event in events} == {EventKind.LEARN}


def test_where_the_room_ends_the_others_are_kept(memory: Memory) -> None:
    engine = replace(memory.engine, max_patterns=2)
    results = learn_many(engine, runs(engine))
    assert [isinstance(result, QuotaExceededError) for result in results] == [
        False,
        False,
        False,
        False,
        True,
    ]
    assert memory.metrics().pattern_count == 2
    assert memory.metrics().runs == 4


def test_a_disk_that_takes_nothing_keeps_nothing_of_any(memory: Memory, storage: JSONStorage) -> None:
    wanted = runs(memory.engine)
    storage.close()
    with pytest.raises(StorageError):
        learn_many(memory.engine, wanted)


def test_a_store_that_another_model_took_over_meanwhile_is_not_written(
    memory: Memory, storage: JSONStorage
) -> None:
    memory.learn(task="Sort the rows by name", code="rows.sort()", eval_score=7)
    memory.learn(task="Read the mail of today", code="read()", eval_score=7)  # the model is known to fit now
    with storage.scoped(Scope()).writing() as stores:
        stores.patterns.use_embedding_model("another-model")
    with pytest.raises(EmbeddingModelMismatchError):
        learn_many(memory.engine, runs(memory.engine))
    assert memory.metrics().pattern_count == 2
