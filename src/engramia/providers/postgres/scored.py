"""The exact scores of some patterns, from all that a score is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engramia.core.query import Search
from engramia.core.ranking import lexical_part, recency_factor, relevance
from engramia.providers.postgres.pools import Floats, Numbers, age_days


class Scored(NamedTuple):
    """A pattern with the parts of its score."""

    number: int
    key: str
    task: str
    similarity: float
    lexical: float
    relevance: float
    quality: float
    recency: float
    dense: bool
    matches: bool
    """Whether it passes the filter and is similar enough."""

    @property
    def score(self) -> float:
        return self.relevance * self.quality * self.recency

    def raised(self, bonus: float) -> "Scored":
        """Return it with a bonus on its relevance."""
        return self._replace(relevance=self.relevance + bonus)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the scores of some patterns are made of, in one order."""

    numbers: Sequence[int]
    keys: Sequence[str]
    tasks: Sequence[str]
    passes: Sequence[bool]
    cosines: Floats | None
    """NaN where there is no vector; None where the query has none."""
    task_words: Floats
    code_words: Floats
    quality: Sequence[float]
    micros: Numbers | None
    """When they were created; needed only if age counts."""


def scored(search: Search, parts: Parts) -> list[Scored]:
    """Return the patterns with their scores, those that do not match too."""
    lexical = lexical_part(parts.task_words, parts.code_words, search.fusion)
    cosines = parts.cosines
    dense = np.zeros(len(lexical), np.bool_) if cosines is None else ~np.isnan(cosines)
    similarity = lexical if cosines is None else np.where(dense, np.clip(cosines, 0.0, 1.0), lexical)
    relevant = relevance(cosines, parts.task_words, parts.code_words, search.fusion)
    least = np.where(dense, search.min_similarity, search.fusion.min_lexical)
    matches = np.asarray(parts.passes, np.bool_) & (similarity >= least)
    quality = parts.quality if search.eval_weighted else [1.0] * len(lexical)
    columns = (
        parts.numbers, parts.keys, parts.tasks, similarity.tolist(), lexical.tolist(), relevant.tolist(),
        quality, _recency(search, parts).tolist(), dense.tolist(), matches.tolist(),
    )  # fmt: skip
    return [*map(Scored._make, zip(*columns, strict=True))]


def _recency(search: Search, parts: Parts) -> NDArray[np.float64]:
    if not search.recency_weight or parts.micros is None:
        return np.ones(len(parts.numbers))
    age = age_days(search, parts.micros)
    return recency_factor(age, search.recency_half_life_days, search.recency_weight)
