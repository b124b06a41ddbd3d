"""Which patterns a recall considers, each with a bound that its score cannot exceed."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from engramia.core.query import Search
from engramia.core.ranking import lexical_part, recency_factor, relevance
from engramia.core.similarity import CROWD_RANK

type Numbers = NDArray[np.int64]
type Floats = NDArray[np.float32]

ERROR = 1e-5
_STEEP, _STEEP_ERROR = 0.98, 2e-3  # what an error of the cosine becomes where the angle is steep
_DAY_MICROS = 86_400_000_000.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_IN_ORDER = 512


@dataclass(slots=True)
class Pool:
    """Patterns to consider: numbers by descending bound, and how many of them have been taken."""

    numbers: Numbers
    bounds: NDArray[np.float64]
    crowd: float
    whole: bool
    """Whether no other pattern can match."""
    taken: int = 0
    at_once: int = 0
    """How many are worth to be taken at once, at least."""

    def take(self, least: float, count: int) -> Numbers:
        """Return the next `count` patterns, of those whose bound reaches `least`."""
        reaching = int(np.searchsorted(-self.bounds, -least, side="right"))
        some = self.numbers[self.taken : min(self.taken + count, reaching)]
        self.taken += len(some)
        return some

    def leave_out(self, numbers: AbstractSet[int]) -> None:
        """Take these patterns out, which are known already."""
        kept = ~np.isin(self.numbers, list(numbers))
        self.numbers, self.bounds = self.numbers[kept], self.bounds[kept]

    @property
    def finished(self) -> bool:
        """Whether every pattern that can match has been taken."""
        return self.whole and self.taken == len(self.numbers)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is known of patterns that pass the filter; arrays of one shape."""

    numbers: Numbers
    cosines: Floats | None
    """NaN where there is no vector; None where the query has none."""
    task: Floats
    """How far the words agree, or more."""
    code: Floats
    quality: NDArray[np.float64]
    micros: Numbers | None
    """When they were created; needed only if age counts."""

    def at(self, places: NDArray[np.intp]) -> "Bounds":
        """Return what is known of some of them."""
        return Bounds(
            self.numbers[places],
            None if self.cosines is None else self.cosines[places],
            self.task[places],
            self.code[places],
            self.quality[places],
            None if self.micros is None else self.micros[places],
        )


def whole_pool(search: Search, found: Bounds, crowd: float) -> Pool:
    """Return all patterns that can match, with bounds of their scores."""
    places = np.flatnonzero(_possible(search, found))
    some = found.at(places)  # mostly few: what they score is worked out for them alone
    score = relevance(some.cosines, some.task, some.code, search.fusion).astype(np.float64) + ERROR
    if some.cosines is not None:
        score[some.cosines > _STEEP] += _STEEP_ERROR
    if search.eval_weighted:
        score *= some.quality
    if search.recency_weight and some.micros is not None:
        age = age_days(search, some.micros)
        score *= recency_factor(age, search.recency_half_life_days, search.recency_weight)
    order, bounds = _ordered(score)
    return Pool(some.numbers[order], bounds, crowd=crowd, whole=True)


def _possible(search: Search, found: Bounds) -> NDArray[np.bool_]:
    """Return which patterns a match can be."""
    fusion, cosines = search.fusion, found.cosines
    if cosines is None:
        return np.asarray(lexical_part(found.task, found.code, fusion) >= fusion.min_lexical - ERROR)
    possible = np.maximum(cosines, np.float32(0.0)) >= search.min_similarity - ERROR
    absent = np.flatnonzero(np.isnan(cosines))
    if absent.size:
        alone = lexical_part(found.task[absent], found.code[absent], fusion)
        possible[absent] = alone >= fusion.min_lexical - ERROR
    return np.asarray(possible)


def _ordered(score: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return places by descending bound of their score; beyond the best, hardly ever needed, in no order."""
    if len(score) <= 2 * _IN_ORDER:
        order = np.argsort(-score, kind="stable")
        return order, score[order]
    parted = np.argpartition(-score, _IN_ORDER)
    best, rest = parted[:_IN_ORDER], parted[_IN_ORDER:]
    best = best[np.argsort(-score[best], kind="stable")]
    bounds = np.full(len(score), score[rest].max())
    bounds[:_IN_ORDER] = score[best]
    return np.concatenate((best, rest)), bounds


def crowd_of(values: Floats) -> float:
    """Return the `CROWD_RANK`-th highest value, 0 to 1; 0 where there are fewer."""
    if len(values) < CROWD_RANK:
        return 0.0
    return float(np.clip(np.partition(values, -CROWD_RANK)[-CROWD_RANK], 0.0, 1.0))


def age_days(search: Search, micros: Numbers) -> NDArray[np.float64]:
    """Return how many days before the search these moments lie, given in microseconds since 1970."""
    return np.asarray((_micros(search.now) - micros) / _DAY_MICROS, np.float64)


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
