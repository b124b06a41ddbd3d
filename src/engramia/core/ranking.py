"""In what order recall shows what it finds: relevance from vector and words, quality, recency, groups.

A store ranks in three steps. Every candidate gets `relevance` x `quality_factor` x `recency_factor`. The best
`Fusion.head` of them are read again beside the query and get `head_bonus` on their relevance; it is never
negative, so that they stay ahead of the rest and no page depends on where another ended. `one_per_group` then
leaves out what repeats. The weights and the measurements behind them: docs/decisions/0005-ranking.md.
"""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise
from math import floor, pi
from statistics import median

import numpy as np
from numpy.typing import NDArray

from engramia.core.limits import GROUP_JACCARD, QUALITY_OBSERVATIONS, SCORE_MAX

Floats = NDArray[np.float32]

_QUALITY_FLOOR = 0.5
_QUALITY_UNKNOWN = 0.75
_ROUNDING = 1e-9
_PEAKS = 256


@dataclass(frozen=True, slots=True)
class Fusion:
    """What the parts of relevance weigh, the vector weighing 1; the defaults were measured with MiniLM."""

    task_words: float = 0.20
    """Words that the query shares with the pattern's task."""
    code_words: float = 0.65
    """Words that the query shares with the pattern's code: names, paths, literals."""
    word_order: float = 0.15
    """Neighbouring words that both tasks share, in the head only."""
    agreement: float = 0.10
    """That nothing that matters differs between the tasks, in the head only."""
    head: int = 8
    """How many of the best candidates are read again beside the query."""
    code_alone: float = 0.8
    """Weight of the code's words where there is no vector."""
    min_lexical: float = 0.08
    """Lexical part below which a pattern without a vector counts as unrelated."""

    @property
    def bonus_total(self) -> float:
        return self.word_order + self.agreement

    @property
    def fused_total(self) -> float:
        return 1.0 + self.task_words + self.code_words + self.bonus_total


def lexical_part(task_words: Floats, code_words: Floats, fusion: Fusion) -> Floats:
    """Return how much the words alone say, 0 to 1: 1 - (1 - task)(1 - code_alone x code), a noisy or.

    Both arguments are `WordIndex.scores`, of one shape.
    """
    return np.asarray(1.0 - (1.0 - task_words) * (1.0 - fusion.code_alone * code_words), np.float32)


def relevance(dense: Floats | None, task_words: Floats, code_words: Floats, fusion: Fusion) -> Floats:
    """Return the relevance of each pattern, of the arguments' shape, 0 to 1, before any bonus.

    `dense` holds cosines with the query, NaN where a pattern has no vector, and is None where the query has
    none: there relevance is the lexical part alone. The cosine enters as an angle, 1 - 2 arccos(cos) / pi,
    which keeps near-identical tasks apart that the cosine itself pushes together under 1.
    """
    if dense is None:
        return _alone(task_words, code_words, fusion)
    # In place: in a large store each pass over all patterns costs as much as a part of the matrix.
    fused = np.asarray(np.maximum(dense, np.float32(0.0)), np.float32)
    np.minimum(fused, np.float32(1.0), out=fused)
    np.arccos(fused, out=fused)
    fused *= np.float32(-2.0 / pi)
    fused += np.float32(1.0)
    part = np.multiply(task_words, np.float32(fusion.task_words))
    fused += part
    fused += np.multiply(code_words, np.float32(fusion.code_words), out=part)
    fused /= np.float32(fusion.fused_total)
    if np.isnan(fused.sum()):
        absent = np.nonzero(np.isnan(fused))
        fused[absent] = _alone(task_words[absent], code_words[absent], fusion)
    return fused


def _alone(task_words: Floats, code_words: Floats, fusion: Fusion) -> Floats:
    """Return the relevance of patterns by their words alone."""
    return lexical_part(task_words, code_words, fusion) / np.float32(1.0 + fusion.bonus_total)


def word_order[T](left: Sequence[T], right: Sequence[T]) -> float:
    """Return how many pairs of neighbouring words two texts share, 0 to 1 (Dice)."""
    ours, theirs = set(pairwise(left)), set(pairwise(right))
    if not ours and not theirs:
        return float(list(left) == list(right))
    return 2.0 * len(ours & theirs) / (len(ours) + len(theirs))


def head_bonus(order: float, *, agrees: bool, dense: bool, fusion: Fusion) -> float:
    """Return what reading a candidate beside the query adds to its relevance.

    `order` is `word_order` of the tasks, `agrees` whether nothing that matters differs between them, `dense`
    whether the candidate's relevance came from a vector.
    """
    bonus = fusion.word_order * order + fusion.agreement * agrees
    return bonus / (fusion.fused_total if dense else 1.0 + fusion.bonus_total)


def quality_factor(scores: Sequence[float]) -> float:
    """Return 0.5 + 0.5 q / 10, q the median of the last five of `scores` (oldest first); 0.75 for none."""
    if not scores:
        return _QUALITY_UNKNOWN
    observed = median(scores[-QUALITY_OBSERVATIONS:]) if len(scores) > 1 else scores[0]
    return _QUALITY_FLOOR + (1.0 - _QUALITY_FLOOR) * observed / SCORE_MAX


def recency_factor(
    age_days: NDArray[np.float64], half_life_days: float, weight: float
) -> NDArray[np.float64]:
    """Return 1 - weight + weight x 0.5^(age / half-life), shape as given; ages under 0 count as 0."""
    return np.asarray(1.0 - weight + weight * np.exp2(-np.maximum(age_days, 0.0) / half_life_days))


def reached(values: Floats, count: int) -> Floats:
    """Return numbers that at least `count` along the last axis of `values` reach, and not many more."""
    peaks = max(_PEAKS, 8 * count)
    heights = values.shape[-1] // peaks
    if heights > 1:  # the highest of each of many groups: ordering those costs less than ordering all
        values = values[..., : heights * peaks].reshape(*values.shape[:-1], heights, peaks).max(axis=-2)
    return np.asarray(np.partition(values, -count, axis=-1)[..., -count])


def one_per_group(
    candidates: Iterable[tuple[int, AbstractSet[int]]], max_overlap: float = GROUP_JACCARD
) -> Iterator[int]:
    """Yield, of candidates given best first as (row, words of its task), those that repeat no earlier one.

    One repeats another if their words overlap by Jaccard > `max_overlap`; without words it repeats none.
    Lazy: a page reads no further than it needs. Two sets that overlap so much share, in any fixed order, one
    of the first |words| - floor(max_overlap x |words|) words of each (prefix filtering), so that only kept
    ones which do are compared; descending, because later numbers are rarer words.
    """
    kept: dict[int, list[AbstractSet[int]]] = {}
    for row, words in candidates:
        prefix = sorted(words, reverse=True)[: len(words) - floor(max_overlap * len(words) + _ROUNDING)]
        if any(_overlap(words, other) > max_overlap for word in prefix for other in kept.get(word, ())):
            continue
        for word in prefix:
            kept.setdefault(word, []).append(words)
        yield row


def _overlap(left: AbstractSet[int], right: AbstractSet[int]) -> float:
    shared = len(left & right)
    return shared / (len(left) + len(right) - shared)
