"""The word index: which patterns share a query's words, and how much of both those words weigh.

The score is the cosine of two sets of word roots weighted by inverse document frequency. The idf is BM25's;
cosine stands in place of BM25's saturation because it also counts what the pattern says and the query does
not, and because its range, 0 to 1, does not depend on what else was found (docs/decisions/0005-ranking.md).
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from math import ceil, log2

import numpy as np
from numpy.typing import NDArray

from engramia.core.postings import Postings, split
from engramia.core.roots import KnownRoots, Numbers, Pairs, Roots, paired
from engramia.core.words import words

CODE_CHARS = 4096
"""How much of a pattern's code is worth indexing."""

_STEPS_PER_OCTAVE = 4
_UNSEEN_STEP = -_STEPS_PER_OCTAVE
# _LEAST_COUNT[k] is the least document frequency of step k = floor(4 log2 df).
_LEAST_COUNT = [ceil(2 ** (k / _STEPS_PER_OCTAVE)) for k in range(32 * _STEPS_PER_OCTAVE)]
_LEAST_COUNTS = np.array(_LEAST_COUNT)


def rarity_step(document_frequency: int) -> int:
    """Return floor(4 log2 df), the document frequency as the index sees it; -4 (half a document) for none."""
    return bisect_right(_LEAST_COUNT, document_frequency) - 1 if document_frequency else _UNSEEN_STEP


def _rarity_steps(document_frequencies: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return the steps of frequencies over 0."""
    return (np.searchsorted(_LEAST_COUNTS, document_frequencies, side="right") - 1).astype(np.int32)


class WordIndex:
    """Rows of texts, searched by the roots of their words. Rows are dense integers that the caller assigns.

    It keeps no text: who takes a row out says what it held.

    Indexes may share their `roots`; roots once seen stay known. Readers may share an index, a writer needs it
    alone: whoever owns it sees to that.

    The weight of a root is b (1 + 4 log2(n + 1) - s)^2, where s = floor(4 log2 df) and b = 8 if it has a
    digit, 1 for a word of grammar, 4 for any other. With the frequency in steps, the norm of a row (the sum
    of its weights) is a polynomial in log2(n + 1) of integer coefficients, which change only in the rare
    moment that a frequency crosses a step. So learning costs the same in a large store, and scores depend on
    the rows held, not on their history.
    """

    def __init__(self, roots: Roots | None = None) -> None:
        self._roots = Roots() if roots is None else roots
        self._postings = Postings()
        self._size = 0
        # By row: sums over its roots of b, b s and b s^2 (b the kind weight).
        self._sums = np.zeros((3, 64), np.int32)
        self._inverse: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return self._size

    def add_many(self, rows: Sequence[tuple[int, str]]) -> None:
        """Hold rows, none of which is held, with their texts; by the row many are much faster than one."""
        if len(rows) == 1:
            self._add_one(*rows[0])
            return
        pairs = self._cut(rows)
        self._inverse = None
        self._size += len(rows)
        self._reserve(max((row for row, _ in rows), default=-1) + 1)
        self._enter(pairs)

    def _add_one(self, row: int, text: str) -> None:
        """Do what `add_many` does, for one row, without numpy's way with many: for what was learned last."""
        self._inverse = None
        self._size += 1
        self._reserve(row + 1)
        numbers = self._roots.numbers_of(words(text))
        if not numbers.size:
            return
        self._postings.reserve(len(self._roots))
        before = self._postings.counts(numbers)
        steps = _rarity_steps(before + 1)
        known = before > 0
        self._shift(numbers[known], before[known], steps[known])
        self._postings.add_row(numbers, row)
        weight = self._roots.weights(numbers)
        self._sums[:, row] = weight.sum(), (weight * steps).sum(), (weight * steps**2).sum()

    def add_pairs(self, rows: Numbers, pairs: Pairs) -> None:
        """Hold rows, none of which is held, with their distinct (root, row) pairs, as `pairs` gave them."""
        self._inverse = None
        self._size += len(rows)
        self._reserve(int(rows.max(initial=0)) + 1)
        self._enter(pairs)

    def pairs(self) -> Pairs:
        """Return the (root, row) pairs of all rows held, ascending."""
        return self._postings.pairs()

    def remove(self, row: int, text: str) -> None:
        """Forget a row that holds `text`."""
        self._inverse = None
        self._size -= 1
        for _, pairs in self._roots.of_texts([text]):
            self._leave(row, split(pairs)[1])
        self._sums[:, row] = 0

    def scores(self, asked: Iterable[str], size: int) -> NDArray[np.float32]:
        """Return the score of each row in 0..1, shape (size,); 0 where no root is shared or no row is held.

        `size` must be greater than every row held.
        """
        return self.scores_of(self._roots.known(asked), size)

    def scores_of(self, asked: KnownRoots, size: int) -> NDArray[np.float32]:
        """Return `scores` of words whose roots these are."""
        scores: NDArray[np.float32] = self.scores_of_many([asked], size)[0]
        return scores

    def scores_of_many(self, asked: Sequence[KnownRoots], size: int) -> NDArray[np.float32]:
        """Return the `scores_of` several queries, shape (len(asked), size)."""
        numbers = np.concatenate([one.numbers for one in asked])
        kinds = np.concatenate([one.weights for one in asked])
        query = np.arange(len(asked)).repeat([len(one.numbers) for one in asked])
        counts = self._postings.frequencies(numbers)
        scale = self._scale()
        steps = np.where(counts, _LEAST_COUNTS.searchsorted(counts, side="right") - 1, _UNSEEN_STEP)
        weights = kinds * (scale - steps) ** 2
        shared = np.zeros((len(asked), size), np.float32)
        (held,) = counts.nonzero()
        lengths = counts[held]
        rows = self._postings.all_rows(numbers[held])
        rows += (query[held] * size).repeat(lengths)
        # Several times faster than `bincount`.
        np.add.at(shared.reshape(-1), rows, weights[held].astype(np.float32).repeat(lengths))
        unseen = np.array([one.unseen for one in asked])
        totals = np.bincount(query, weights, len(asked)) + unseen * (scale - _UNSEEN_STEP) ** 2
        # Without a root there is no score to divide; any other total is over 1.
        self._normalise(shared, np.maximum(totals, 1.0))
        return np.minimum(shared, np.float32(1.0), out=shared)

    def _normalise(self, shared: NDArray[np.float32], totals: NDArray[np.float64]) -> None:
        """Divide by the norms of the rows, and by those of the queries, of which `totals` are the squares."""
        inverse = self._inverse_norms()
        held = shared[:, : len(inverse)]
        held *= inverse[: held.shape[1]]
        held *= (1.0 / np.sqrt(totals)).astype(np.float32)[:, None]

    def _cut(self, rows: Sequence[tuple[int, str]]) -> Pairs:
        """Return the distinct (root, row) pairs of rows and their texts."""
        numbered = np.array([row for row, _ in rows], np.uint32)
        found = [np.zeros(0, np.uint64)]
        for start, pairs in self._roots.of_texts(text for _, text in rows):
            places, numbers = split(pairs)
            found.append(paired(numbers, numbered[start:][places]))
        return np.concatenate(found)

    def _enter(self, pairs: Pairs) -> None:
        """Count distinct (root, row) pairs of new rows in."""
        if not pairs.size:
            return
        pairs.sort(kind="stable")
        numbers, rows = split(pairs)
        firsts = np.flatnonzero(np.concatenate(([True], numbers[1:] != numbers[:-1])))
        added = np.diff(firsts, append=len(numbers))
        touched = numbers[firsts]
        self._postings.reserve(len(self._roots))
        before = self._postings.counts(touched)
        after = _rarity_steps(before + added)
        self._shift(touched[before > 0], before[before > 0], after[before > 0])
        self._postings.add(pairs)
        self._count(rows, self._roots.weights(numbers), np.repeat(after, added))

    def _leave(self, row: int, numbers: Numbers) -> None:
        """Count a row out of the roots that it holds."""
        for number in numbers.tolist():
            self._postings.remove(number, row)
        left = self._postings.counts(numbers)
        numbers, left = numbers[left > 0], left[left > 0]
        self._shift(numbers, left + 1, _rarity_steps(left))

    def _shift(self, numbers: Numbers, before: NDArray[np.int64], after: NDArray[np.int32]) -> None:
        """Tell the rows of some roots that their frequency went from `before` to the step `after`."""
        steps = _rarity_steps(before)
        moved = np.flatnonzero(steps != after)
        if not moved.size:
            return
        numbers, steps, after = numbers[moved], steps[moved], after[moved]
        rows = [self._postings.rows(number) for number in numbers.tolist()]
        every, lengths = np.concatenate(rows), list(map(len, rows))
        weight = self._roots.weights(numbers)
        np.add.at(self._sums[1], every, np.repeat(weight * (after - steps), lengths))
        np.add.at(self._sums[2], every, np.repeat(weight * (after**2 - steps**2), lengths))

    def _count(self, rows: Numbers, weight: NDArray[np.int32], step: NDArray[np.int32]) -> None:
        for power in range(3):
            np.add.at(self._sums[power], rows, weight * step**power)

    def _reserve(self, size: int) -> None:
        room = self._sums.shape[1]
        if size > room:
            grown = np.zeros((3, max(size, room * 3 // 2)), np.int32)
            grown[:, :room] = self._sums
            self._sums = grown

    def _scale(self) -> float:
        return 1.0 + _STEPS_PER_OCTAVE * log2(self._size + 1)

    def _inverse_norms(self) -> NDArray[np.float32]:
        """Return by row 1 / sqrt(sum of b (scale - s)^2), from those of b, b s and b s^2; kept for reads."""
        if self._inverse is None:
            scale = self._scale()
            ones, steps, squares = self._sums
            # Every root weighs at least 1, so that 1 is no bound for the rows held.
            norms = np.maximum(scale * (scale * ones - 2.0 * steps) + squares, 1.0)
            self._inverse = (1.0 / np.sqrt(norms)).astype(np.float32)
        return self._inverse
