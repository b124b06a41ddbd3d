"""Which texts share most of their words with another: what finds near-identical tasks."""

from array import array
from collections import Counter, defaultdict
from collections.abc import Collection
from functools import partial
from itertools import chain
from math import ceil

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-9
_FEW = 32
_SHORT = 256
_FEW_HITS = 100
_MOST_HITS = 3


class OverlapIndex:
    """Rows of words, found by how many they share. Rows are dense integers that the caller assigns.

    Adding a row is a few microseconds whatever the index holds: this is on the path of every write.
    """

    def __init__(self) -> None:
        self._rows: defaultdict[str, array[int]] = defaultdict(partial(array, "I"))
        self._sizes = array("I")
        """By row: how many distinct words it has."""

    def add(self, row: int, words: Collection[str]) -> None:
        """Hold the distinct words of a row that is not held."""
        if row >= len(self._sizes):
            self._sizes.extend([0] * (row + 1 - len(self._sizes)))
        self._sizes[row] = len(words)
        for word in words:
            self._rows[word].append(row)

    def remove(self, row: int, words: Collection[str]) -> None:
        """Forget a row that holds these distinct words."""
        for word in words:
            rows = self._rows[word]
            rows.pop(int(np.flatnonzero(np.frombuffer(rows, np.uint32) == row)[0]))
            if not rows:
                del self._rows[word]

    def candidates(self, words: frozenset[str], min_jaccard: float) -> list[int]:
        """Return, ascending, all rows that overlap `words` by Jaccard >= `min_jaccard` (over 0), and others.

        Such a row has at least ceil(min_jaccard x |words|) of the words, so it lacks few of the postings, and
        of the rarest ones no more than those (prefix filtering: Chaudhuri et al. 2006; with more than one hit
        asked for: Wang et al. 2012).
        """
        size = len(words)
        needed = ceil(min_jaccard * size - _ROUNDING)
        postings = sorted(filter(None, map(self._rows.get, words)), key=len)
        lacked = len(postings) - needed
        if not words or lacked < 0:
            return []
        taken = lacked + 1
        while taken < min(len(postings), lacked + _MOST_HITS) and len(postings[taken]) <= _SHORT:
            taken += 1
        rows = _repeated(postings[:taken], taken - lacked)
        sizes = self._sizes
        most = (size + _ROUNDING) / min_jaccard
        rows = [row for row in rows if min_jaccard * size - _ROUNDING <= sizes[row] <= most]
        if len(rows) > _FEW:
            shared = np.bincount(_joined(postings))
            rows = np.array(rows)[shared[rows] >= needed].tolist()
        return sorted(rows)


def _repeated(postings: list["array[int]"], times: int) -> list[int]:
    """Return the rows that stand in at least `times` of `postings`."""
    if sum(map(len, postings)) <= _FEW_HITS:  # the usual case, in less time than numpy takes to begin
        hits = [*chain.from_iterable(postings)]
        if times > 1 and len(set(hits)) == len(hits):
            return []
        return [row for row, count in Counter(hits).items() if count >= times]
    ordered = np.sort(_joined(postings))
    last, first = ordered[times - 1 :], ordered[: len(ordered) - times + 1]
    return list(set(last[last == first].tolist()))


def _joined(postings: list["array[int]"]) -> NDArray[np.uint32]:
    return np.concatenate([np.frombuffer(posting, np.uint32) for posting in postings])
