"""The engine's ports with somebody watching: what a call is told to, and otherwise the very same object."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engramia.core.embedding import Embeddings
from engramia.core.llm import LLM, Panel, Question
from engramia.core.model import Scope
from engramia.core.ports import ScopedStorage, Storage, Stores
from engramia.errors import ProviderError


class Watch(Protocol):
    """Stands around a call."""

    def __call__(self, name: str, size: int, /) -> AbstractContextManager[object]:
        """Return what to enter around the call `name`, of `size` texts, questions or transactions."""
        ...


class Timed:
    """Tells how many seconds a block took, also when it raises."""

    __slots__ = ("_begin", "_observe")

    def __init__(self, observe: Callable[[float], object]) -> None:
        self._observe = observe

    def __enter__(self) -> None:
        self._begin = time.perf_counter()

    def __exit__(self, *_exc: object) -> None:
        self._observe(time.perf_counter() - self._begin)


class _Transparent:
    """Whatever is not watched is the inner object's."""

    def __init__(self, inner: object) -> None:
        self._inner: Any = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class WatchedEmbeddings(_Transparent):
    """An embedding model; `embed` is watched."""

    def __init__(self, inner: Embeddings, watch: Watch) -> None:
        super().__init__(inner)
        self._watch = watch

    @property
    def model(self) -> str:
        """Identity of the inner model."""
        return str(self._inner.model)

    @property
    def dimension(self) -> int:
        """Number of components of the inner model's vectors."""
        return int(self._inner.dimension)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return what the inner model does."""
        with self._watch("embed", len(texts)):
            vectors: NDArray[np.float32] = self._inner.embed(texts)
            return vectors


class WatchedLLM(_Transparent):
    """A language model; `ask` is watched, under the question's name."""

    def __init__(self, inner: LLM, watch: Watch) -> None:
        super().__init__(inner)
        self._watch = watch

    @property
    def vendor(self) -> str:
        """Whose the inner model is."""
        return str(self._inner.vendor)

    @property
    def model(self) -> str:
        """Name of the inner model."""
        return str(self._inner.model)

    def ask(self, question: Question) -> object:
        """Return what the inner model answers."""
        with self._watch(question.name, 1):
            return self._inner.ask(question)


class WatchedPanel(WatchedLLM):
    """A language model that takes several questions at once; these are watched as one call."""

    def ask_all(self, questions: Sequence[Question]) -> Sequence[object | ProviderError]:
        """Return what the inner model answers."""
        with self._watch(questions[0].name if questions else "none", len(questions)):
            outcomes: Sequence[object | ProviderError] = self._inner.ask_all(questions)
            return outcomes


def watched_llm(llm: LLM, watch: Watch) -> WatchedLLM:
    """Return `llm` watched, as a `Panel` if it is one."""
    return WatchedPanel(llm, watch) if isinstance(llm, Panel) else WatchedLLM(llm, watch)


class WatchedStorage(_Transparent):
    """All scopes; what is done in them is watched as `read`, `write` or `erase`."""

    def __init__(self, inner: Storage, watch: Watch) -> None:
        super().__init__(inner)
        self._watch = watch

    def scoped(self, scope: Scope) -> ScopedStorage:
        """Return the scope's storage."""
        return WatchedScope(self._inner.scoped(scope), self._watch)

    def scopes(self) -> Sequence[Scope]:
        """Return the scopes that hold anything."""
        found: Sequence[Scope] = self._inner.scopes()
        return found

    def describe(self) -> dict[str, Any]:
        """Return the inner storage's facts."""
        return dict(self._inner.describe())

    def close(self) -> None:
        """Close the inner storage."""
        self._inner.close()


class WatchedScope(_Transparent):
    """One scope's storage; a transaction is watched from its opening to the end of its commit."""

    def __init__(self, inner: ScopedStorage, watch: Watch) -> None:
        super().__init__(inner)
        self._watch = watch

    def reading(self) -> AbstractContextManager[Stores]:
        """Open the stores for reading."""
        return _Transaction(self._inner.reading(), self._watch("read", 1))

    def writing(self, *, durable: bool = True) -> AbstractContextManager[Stores]:
        """Open a transaction."""
        return _Transaction(self._inner.writing(durable=durable), self._watch("write", 1))

    def erase(self) -> None:
        """Delete everything of the scope."""
        with self._watch("erase", 1):
            self._inner.erase()


class _Transaction:
    """A transaction inside a watch: the watch is entered first and left last."""

    __slots__ = ("_inner", "_watch")

    def __init__(self, inner: AbstractContextManager[Stores], watch: AbstractContextManager[object]) -> None:
        self._inner = inner
        self._watch = watch

    def __enter__(self) -> Stores:
        self._watch.__enter__()
        try:
            return self._inner.__enter__()
        except BaseException as error:
            self._watch.__exit__(type(error), error, error.__traceback__)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            swallowed = self._inner.__exit__(kind, error, trace)
        except BaseException as failure:
            self._watch.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._watch.__exit__(kind, error, trace)
        return swallowed
