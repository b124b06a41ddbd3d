import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engramia import Memory, Scope
from engramia.core.llm import LLM, Panel, Question
from engramia.core.ports import ScopedStorage, Storage
from engramia.errors import ProviderError, ProviderUnreachableError, StorageError
from engramia.providers import JSONStorage
from engramia.providers.wrappers import Pooled
from engramia.telemetry.metrics import Metrics
from engramia.telemetry.watched import (
    Timed,
    WatchedEmbeddings,
    WatchedLLM,
    WatchedPanel,
    WatchedStorage,
    watched_llm,
)
from engramia.testing import HashEmbeddings, ScriptedLLM
from tests.telemetry.scraped import scraped, value

QUESTION = Question("verdict", "Judge.", "it", {})


class Seen:
    """A watch that writes down what it stood around, and how that ended."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, str | None]] = []

    def __call__(self, name: str, size: int, /) -> AbstractContextManager[object]:
        return self._around(name, size)

    @contextmanager
    def _around(self, name: str, size: int) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.calls.append((name, size, type(error).__name__))
            raise
        self.calls.append((name, size, None))


class Down:
    """An embedding model that cannot be reached, with something of its own."""

    model = "down"
    dimension = 3
    place = "nowhere"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        raise ProviderUnreachableError(f"{len(texts)} texts")


class Jury:
    """A panel of its own."""

    vendor = "own"
    model = "jury"

    def ask(self, question: Question) -> object:
        return question.name

    def ask_all(self, questions: Sequence[Question]) -> Sequence[object | ProviderError]:
        return [question.name for question in questions]


class TestEmbeddings:
    def test_a_call_is_seen_and_its_answer_untouched(self) -> None:
        seen, plain = Seen(), HashEmbeddings()
        watched = WatchedEmbeddings(plain, seen)
        assert np.array_equal(watched.embed(["a", "b"]), plain.embed(["a", "b"]))
        assert (watched.model, watched.dimension) == (plain.model, plain.dimension)
        assert seen.calls == [("embed", 2, None)]

    def test_a_failure_is_seen_and_raised(self) -> None:
        seen = Seen()
        watched = WatchedEmbeddings(Down(), seen)
        with pytest.raises(ProviderUnreachableError, match="1 texts"):
            watched.embed(["a"])
        assert seen.calls == [("embed", 1, "ProviderUnreachableError")]

    def test_what_else_the_model_has_shines_through(self) -> None:
        watched = WatchedEmbeddings(Down(), Seen())
        assert watched.place == "nowhere"
        with pytest.raises(AttributeError):
            _ = watched.nothing


class TestLLM:
    def test_a_call_is_seen_by_the_questions_name(self) -> None:
        seen = Seen()
        watched = watched_llm(ScriptedLLM([{"a": 1}, ProviderUnreachableError("gone")]), seen)
        assert watched.ask(QUESTION) == {"a": 1}
        with pytest.raises(ProviderUnreachableError):
            watched.ask(QUESTION)
        assert seen.calls == [("verdict", 1, None), ("verdict", 1, "ProviderUnreachableError")]
        assert (watched.vendor, watched.model) == ("scripted", "scripted")

    def test_a_panel_stays_one_and_others_become_none(self) -> None:
        seen = Seen()
        panel = watched_llm(Jury(), seen)
        assert isinstance(panel, Panel)
        assert isinstance(panel, WatchedPanel)
        assert panel.ask_all([QUESTION, QUESTION]) == ["verdict", "verdict"]
        assert panel.ask_all([]) == []
        assert seen.calls == [("verdict", 2, None), ("none", 0, None)]
        assert not isinstance(watched_llm(ScriptedLLM([]), seen), Panel)

    def test_closing_a_pool_through_it(self) -> None:
        class Closing(ScriptedLLM):
            closed = False

            def close(self) -> None:
                self.closed = True

        llm = Closing([])
        watched: WatchedLLM = watched_llm(Pooled(llm), Seen())
        watched.close()
        assert llm.closed

    def test_questions_asked_together_count_one_each(self) -> None:
        metrics = Metrics()
        llm: LLM = metrics.llm(Jury())
        assert isinstance(llm, Panel)
        llm.ask_all([QUESTION] * 3)
        llm.ask(QUESTION)
        name = "engramia_llm_call_duration_seconds_count"
        assert value(metrics, name, provider="own", model="jury") == 4


class TestStorage:
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Iterator[JSONStorage]:
        storage = JSONStorage(tmp_path)
        yield storage
        storage.close()

    def test_transactions_are_seen(self, storage: JSONStorage) -> None:
        seen = Seen()
        watched: Storage = WatchedStorage(storage, seen)
        scope: ScopedStorage = watched.scoped(Scope())
        with scope.writing() as stores:
            stores.patterns.use_embedding_model("m")
        with scope.writing(durable=False), pytest.raises(StorageError), scope.reading() as stores:
            stores.patterns.use_embedding_model("other")
        with scope.reading() as stores:
            assert stores.patterns.embedding_model() == "m"
        scope.erase()
        assert [(name, error) for name, _, error in seen.calls] == [
            ("write", None),
            ("read", "StorageError"),
            ("write", None),
            ("read", None),
            ("erase", None),
        ]
        assert watched.describe() == storage.describe()
        assert list(watched.scopes()) == list(storage.scopes())

    def test_one_that_is_undone_is_seen_and_undone(self, storage: JSONStorage) -> None:
        seen = Seen()
        scope = WatchedStorage(storage, seen).scoped(Scope())
        with pytest.raises(KeyError), scope.writing() as stores:  # noqa: PT012 - the block is what is undone
            stores.patterns.use_embedding_model("m")
            raise KeyError("undo")
        with scope.reading() as stores:
            assert stores.patterns.embedding_model() is None
        assert seen.calls[0] == ("write", 1, "KeyError")

    def test_one_that_cannot_be_opened_is_seen(self, storage: JSONStorage) -> None:
        seen = Seen()
        watched = WatchedStorage(storage, seen)
        scope = watched.scoped(Scope())
        watched.close()
        with pytest.raises(StorageError), scope.reading():
            pass
        assert seen.calls == [("read", 1, "StorageError")]

    def test_a_memory_over_it_answers_as_ever(self, storage: JSONStorage) -> None:
        metrics = Metrics()
        memory = Memory(
            llm=None,
            embeddings=metrics.embeddings(HashEmbeddings(), "hash"),
            storage=metrics.storage(storage, "json"),
        )
        memory.learn(task="Sort a list of words", code="sorted(words)", eval_score=8.0)
        (match,) = memory.recall("Sort a list of words")
        assert match.similarity > 0.99
        operations = {
            labels["operation"]: count
            for labels, count in scraped(metrics)["engramia_storage_op_duration_seconds_count"]
        }
        assert set(operations) == {"read", "write"}
        assert min(operations.values()) >= 2
        assert value(metrics, "engramia_embedding_duration_seconds_count", provider="hash") == 2


def test_the_time_is_that_of_the_block() -> None:
    told: list[float] = []
    before = time.perf_counter()
    with Timed(told.append):
        time.sleep(0.01)
    assert 0.01 <= told[0] <= time.perf_counter() - before


class Nothing(Jury):
    """Models that do nothing."""

    def embed(self, texts: Sequence[str]) -> None:
        """Do nothing."""


class Still:
    """Storage whose transactions do nothing."""

    def scoped(self, _scope: Scope) -> "Still":
        return self

    def reading(self) -> "Still":
        return self

    def __enter__(self) -> None: ...
    def __exit__(self, *_exc: object) -> None: ...


@pytest.mark.slow
def test_it_costs_less_than_five_microseconds_a_call() -> None:
    metrics = Metrics()
    nothing, still = Nothing(), Still()
    embeddings = metrics.embeddings(nothing, "local")  # type: ignore[arg-type] # as cheap as can be
    storage = metrics.storage(still, "json").scoped(Scope())  # type: ignore[arg-type] # as cheap as can be
    llm = metrics.llm(nothing)

    def enter(scope: object) -> Callable[[], None]:
        def transaction() -> None:
            with scope.reading():  # type: ignore[attr-defined] # either of the two
                pass

        return transaction

    pairs: list[tuple[Callable[[], object], Callable[[], object]]] = [
        (lambda: nothing.embed(["a"]), lambda: embeddings.embed(["a"])),
        (lambda: nothing.ask(QUESTION), lambda: llm.ask(QUESTION)),
        (enter(still), enter(storage)),
    ]
    for plain, watched in pairs:
        costs = [(processor_seconds(watched) - processor_seconds(plain)) * 1e6 for _ in range(7)]
        assert min(costs) < 5


def processor_seconds(call: Callable[[], object], times: int = 5_000) -> float:
    begin = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - begin) / times
