"""Many recalls at once: each answer, count and event is that of a recall alone."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engramia import Memory, Recall, ReuseTier, ValidationError
from engramia.core.model import EventKind, Scope
from engramia.errors import EmbeddingModelMismatchError, EngramiaError, ProviderUnreachableError
from engramia.memory.recall import Query, recall_many
from engramia.providers import JSONStorage
from engramia.testing import FrozenClock, HashEmbeddings

TASKS = [f"{verb} the {what} by {how}" for verb in ("Sort", "Merge", "Print")
         for what in ("rows", "users", "dates", "files") for how in ("name", "size")]  # fmt: skip


class Counting:
    """Embeddings that count how often they are asked, and can be down."""

    def __init__(self) -> None:
        self._inner = HashEmbeddings()
        self.model = self._inner.model
        self.dimension = self._inner.dimension
        self.asked: list[int] = []
        self.down = False

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked.append(len(texts))
        if self.down:
            raise ProviderUnreachableError("connection refused")
        return self._inner.embed(texts)


@pytest.fixture
def embeddings() -> Counting:
    return Counting()


@pytest.fixture
def storage(tmp_path: Path) -> JSONStorage:
    return JSONStorage(tmp_path / "data")


@pytest.fixture
def memory(storage: JSONStorage, embeddings: Counting, clock: FrozenClock) -> Memory:
    memory = Memory(llm=None, embeddings=embeddings, storage=storage, clock=clock)
    for place, task in enumerate(TASKS):
        memory.learn(task=task, code=f"step({place})", eval_score=place % 10)
    embeddings.asked.clear()
    return memory


def ask(memory: Memory, queries: Sequence[Query]) -> list[Recall | EngramiaError]:
    return recall_many(memory.engine, queries)


def test_answers_are_those_of_single_recalls_in_order(memory: Memory) -> None:
    queries = [
        Query(task.replace("the", "all"), limit=1 + place % 7, offset=place % 3, readonly=True, explain=True)
        for place, task in enumerate(TASKS)
    ]
    alone = [
        memory.recall(query.task, limit=query.limit, offset=query.offset, readonly=True, explain=True)
        for query in queries
    ]
    assert ask(memory, queries) == alone
    assert any(len(answer) for answer in alone)


def test_one_look_at_the_model_serves_all(memory: Memory, embeddings: Counting) -> None:
    ask(memory, [Query(task) for task in TASKS[:9]])
    assert embeddings.asked == [9]


def test_every_query_is_counted_and_logged_as_if_alone(memory: Memory, storage: JSONStorage) -> None:
    asked = [TASKS[0], TASKS[0], TASKS[5], TASKS[0]]
    answers = ask(memory, [Query(task, limit=1, eval_weighted=False) for task in asked])
    best = [answer[0] for answer in answers if isinstance(answer, Recall)]
    assert [match.reuse_tier for match in best] == [ReuseTier.DUPLICATE] * 4
    counts = [memory.get_pattern(match.pattern_key).pattern.reuse_count for match in (best[0], best[2])]
    assert counts == [3, 1]
    with storage.scoped(Scope()).reading() as stores:
        assert (stores.activity.counts().recalls, stores.activity.counts().reused) == (4, 4)
        events = stores.activity.events(since=None, kind=EventKind.RECALL, limit=10).items
    assert [event.pattern_key for event in reversed(events)] == [match.pattern_key for match in best]


def test_readonly_queries_and_later_pages_leave_no_event(memory: Memory) -> None:
    ask(memory, [Query(TASKS[0], readonly=True), Query(TASKS[1], offset=20), Query(TASKS[2])])
    with memory.engine.storage.reading() as stores:
        assert stores.activity.counts().recalls == 1


def test_a_bad_query_fails_alone(memory: Memory) -> None:
    answers = ask(memory, [Query(TASKS[0]), Query("  "), Query(TASKS[1], limit=0), Query(TASKS[2])])
    assert [type(answer) for answer in answers] == [Recall, ValidationError, ValidationError, Recall]
    assert "limit" in str(answers[2])
    with memory.engine.storage.reading() as stores:
        assert stores.activity.counts().recalls == 2


def test_nothing_but_bad_queries_asks_nobody(memory: Memory, embeddings: Counting) -> None:
    assert isinstance(ask(memory, [Query("")])[0], ValidationError)
    assert ask(memory, []) == []
    assert embeddings.asked == []


def test_another_model_fails_every_query_that_was_well_asked(
    memory: Memory, storage: JSONStorage, clock: FrozenClock
) -> None:
    seven = HashEmbeddings(dimension=7)
    assert seven.model != memory.engine.embedder.model
    other = Memory(llm=None, embeddings=seven, storage=storage, clock=clock)
    answers = ask(other, [Query(TASKS[0]), Query(""), Query(TASKS[1])])
    assert [type(answer) for answer in answers] == [
        EmbeddingModelMismatchError,
        ValidationError,
        EmbeddingModelMismatchError,
    ]


def test_without_the_model_all_are_answered_from_words(memory: Memory, embeddings: Counting) -> None:
    embeddings.down = True
    answers = ask(memory, [Query(TASKS[0]), Query(TASKS[1])])
    found = [answer for answer in answers if isinstance(answer, Recall)]
    assert [(len(answer) > 0, answer.degraded) for answer in found] == [(True, True)] * 2
