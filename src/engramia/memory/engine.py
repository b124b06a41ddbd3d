"""What every operation works with: one scope's storage, the models, redaction, the clock."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from engramia.core.calibration import Calibration, calibration_for
from engramia.core.embedding import Embeddings
from engramia.core.llm import LLM
from engramia.core.ports import Clock, PatternStore, Redactor, ScopedStorage
from engramia.errors import EmbeddingModelMismatchError, ProviderError

_log = logging.getLogger("engramia.memory")

REST_AFTER_FAILURE = timedelta(seconds=30)
"""How long a failed embedding provider is left alone, so that each recall does not wait for its timeout."""

NO_MODEL = "no embedding model is configured"


@dataclass(slots=True)
class Embedder:
    """An embedding model that may be missing or down; then there are no vectors, and a reason why."""

    embeddings: Embeddings | None
    clock: Clock
    _rest_until: datetime | None = field(default=None, init=False)
    _reason: str | None = field(default=None, init=False)
    _fills: WeakSet[ScopedStorage] = field(default_factory=WeakSet, init=False)

    @property
    def model(self) -> str | None:
        return self.embeddings.model if self.embeddings else None

    @property
    def calibration(self) -> Calibration:
        return calibration_for(self.model)

    @property
    def reason(self) -> str | None:
        """Why there are no vectors at present; None while there are."""
        return NO_MODEL if self.embeddings is None else self._reason

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32] | None:
        """Return unit rows, shape (len(texts), dimension), or None while the model is missing or down."""
        if self.embeddings is None or self._resting():
            return None
        try:
            vectors = self.embeddings.embed(texts)
        except ProviderError as error:
            self._rest_until = self.clock.now() + REST_AFTER_FAILURE
            self._reason = f"the embedding model {self.embeddings.model} is down: {str(error).rstrip('.')}"
            _log.warning("Answering from words alone: %s", self._reason)
            return None
        self._rest_until = self._reason = None
        return vectors

    def check(self, storage: ScopedStorage) -> None:
        """Refuse a store that another model filled; one seen to hold this model's vectors is not asked again.

        What is read and written afterwards is checked in its own transaction, however long ago this was.
        """
        if self.model is None or storage in self._fills:
            return
        with storage.reading() as stores:
            check_model(stores.patterns, self)
            if stores.patterns.embedding_model() is not None:
                self._fills.add(storage)

    def _resting(self) -> bool:
        return self._rest_until is not None and self.clock.now() < self._rest_until


@dataclass(frozen=True, slots=True)
class Engine:
    """The parts that the operations are functions of."""

    storage: ScopedStorage
    embedder: Embedder
    redactor: Redactor
    clock: Clock
    new_key: Callable[[datetime], str]
    """Makes a fresh, time-ordered pattern key."""
    llm: LLM | None = None
    """What evaluate, compose and evolve ask; nothing else waits for it."""
    max_patterns: int | None = None
    """How many patterns the scope may come to hold by what is stored here; None for any number."""
    later: "Callable[[Callable[[Engine], object]], None] | None" = None
    """Takes slow work that must not hold up what is written here, for after that; None: it is done now."""

    def afterwards(self, work: "Callable[[Engine], object]") -> None:
        """Do `work`, outside of any transaction that this engine may be writing into."""
        if self.later is None:
            work(self)
        else:
            self.later(work)

    def clean(self, text: str) -> str:
        """Return `text` without secrets and personal data."""
        return self.redactor.redact(text)

    def cleaner(self, texts: Sequence[str]) -> Callable[[str], str]:
        """Return what cleans each of `texts`: nothing is done to any of them if there is nothing in all."""
        return self.redactor.redact if self.redactor.suspects(texts) else _as_it_is

    def clean_optional(self, text: str | None) -> str | None:
        return None if text is None else self.redactor.redact(text)


def _as_it_is(text: str) -> str:
    return text


def embed(engine: Engine, texts: Sequence[str]) -> NDArray[np.float32] | None:
    """Return unit rows of `texts`, or None without a model that works.

    The store's model is checked first, so that no text is sent to a vendor that the store was not filled by.
    """
    engine.embedder.check(engine.storage)
    return engine.embedder.embed(texts)


def check_model(patterns: PatternStore, embedder: Embedder) -> None:
    """Refuse to mix the vectors of two models."""
    stored, configured = patterns.embedding_model(), embedder.model
    if stored and configured and stored != configured:
        raise EmbeddingModelMismatchError(
            f"This store was filled with the embedding model {stored!r}, and {configured!r} is configured. "
            f"Configure {stored!r} again, or run `engramia reindex` to re-embed all with {configured!r}."
        )
