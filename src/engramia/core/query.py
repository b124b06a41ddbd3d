"""Questions to the store, as values that each storage compiles in its own way."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from engramia.core.model import Classification, Pattern, Source
from engramia.core.ranking import Fusion


@dataclass(frozen=True, slots=True)
class Filter:
    """Which patterns count; None lets every value pass."""

    classification: Classification | None = None
    source: Source | None = None
    min_score: float | None = None
    """Least `success_score`, inclusive."""


@dataclass(frozen=True, slots=True)
class Search:
    """One recall as the store is asked it. Answers come best score first, ties by key, newest first."""

    task: str
    vector: NDArray[np.float32] | None
    """Unit vector of the task, shape (dimension,); None asks the words alone."""
    now: datetime
    fusion: Fusion
    min_similarity: float
    limit: int
    offset: int = 0
    filter: Filter = field(default_factory=Filter)
    deduplicate: bool = True
    eval_weighted: bool = True
    recency_weight: float = 0.0
    recency_half_life_days: float = 30.0


@dataclass(frozen=True, slots=True)
class Hit:
    """A pattern found by a search, with the parts of its score (all 0 to 1)."""

    pattern: Pattern
    similarity: float
    """Cosine with the query, clamped to 0..1; the lexical part where the pattern has no usable vector."""
    lexical: float
    relevance: float
    quality: float
    recency: float
    dense: bool
    """Whether `similarity` is a cosine."""

    @property
    def score(self) -> float:
        return self.relevance * self.quality * self.recency


@dataclass(frozen=True, slots=True)
class Page[T]:
    """A window of a longer answer; `has_more` is exact."""

    items: tuple[T, ...]
    offset: int = 0
    has_more: bool = False

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def next_offset(self) -> int | None:
        return self.offset + len(self.items) if self.has_more else None


@dataclass(frozen=True, slots=True)
class SearchPage(Page[Hit]):
    """A page of hits, and how crowded the store is around the query."""

    crowd: float = 0.0
    """Similarity (lexical part without a vector) of the `CROWD_RANK`-th nearest of all patterns, whatever the
    filter; 0 where there are fewer.
    """
    lead: float = 0.0
    """How far the relevance of the very best hit lies above that of the next group's, -1 to 1."""


@dataclass(frozen=True, slots=True)
class DecayPolicy:
    """Exponential decay by the week since an item was last decayed; what falls under `prune_below` goes."""

    factor_per_week: float
    prune_below: float

    def factor(self, since: datetime, now: datetime) -> float:
        """Return factor_per_week ** weeks; 1 when `now` is not after `since`."""
        weeks = (now - since) / timedelta(weeks=1)
        return float(self.factor_per_week**weeks) if weeks > 0 else 1.0
