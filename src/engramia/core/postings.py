"""Postings: which rows hold a root. One large array, and what came since in small ones."""

from array import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engramia.core.roots import Numbers, Pairs, paired

_LEAST_LATE = 1 << 14
_LATE_SHARE = 4
"""Late entries are merged when they are more than a fourth of the others: a row is merged a few times."""
_LOW = np.uint64(0xFFFFFFFF)
_NONE = np.zeros(0, np.uint32)


def split(pairs: Pairs) -> tuple[Numbers, Numbers]:
    """Return the two numbers that `paired` made one of."""
    return (pairs >> np.uint64(32)).astype(np.uint32), (pairs & _LOW).astype(np.uint32)


class Postings:
    """Root number -> rows, and how many."""

    def __init__(self) -> None:
        self._members: Numbers = np.zeros(0, np.uint32)
        # By number: where its rows (ascending) stand among the members, and how many they are.
        self._starts = np.zeros(0, np.int64)
        self._lengths = np.zeros(0, np.int64)
        self._late: dict[int, array[int]] = {}
        self._late_size = 0
        self._counts = np.zeros(0, np.int64)

    @property
    def room(self) -> int:
        """How many roots there is room for: the numbers from there on have no rows."""
        return len(self._counts)

    def counts(self, numbers: Numbers) -> NDArray[np.int64]:
        """Return how many rows hold each root."""
        return self._counts[numbers]

    def frequencies(self, numbers: Numbers) -> NDArray[np.int64]:
        """Return `counts`, 0 for roots that there is no room for."""
        found = np.zeros(len(numbers), np.int64)
        here = numbers < len(self._counts)
        found[here] = self._counts[numbers[here]]
        return found

    def rows(self, number: int) -> Numbers:
        """Return the rows that hold a root, in no order."""
        start = self._starts[number]
        early = self._members[start : start + self._lengths[number]]
        late = self._late.get(number)
        return np.concatenate((early, np.array(late, np.uint32))) if late else early

    def all_rows(self, numbers: Numbers) -> NDArray[np.intp]:
        """Return the rows that hold each of some roots, one root's after another's, `counts` of each."""
        starts, lengths, members = self._starts[numbers], self._lengths[numbers], self._members
        ends = (starts + lengths).tolist()
        found = [members[start:end] for start, end in zip(starts.tolist(), ends, strict=True)]
        if self._late:
            found = [
                np.concatenate((early, np.array(self._late[number], np.uint32)))
                if number in self._late
                else early
                for number, early in zip(numbers.tolist(), found, strict=True)
            ]
        return np.concatenate([_NONE, *found], dtype=np.intp)

    def reserve(self, roots: int) -> None:
        """Make room for so many roots."""
        if roots > len(self._counts):
            more = np.zeros(roots, np.int64)
            self._counts = np.concatenate((self._counts, more))
            self._starts = np.concatenate((self._starts, more))
            self._lengths = np.concatenate((self._lengths, more))

    def add(self, pairs: Pairs) -> None:
        """Add (root, row) pairs, ascending, none of them held, of roots that there is room for."""
        numbers, rows = split(pairs)
        np.add.at(self._counts, numbers, 1)
        if self._too_many_late(len(rows)):
            self._merge(pairs)
        else:
            self._add_late(numbers.tolist(), rows.tolist())

    def add_row(self, numbers: Numbers, row: int) -> None:
        """Add a row that holds none of these distinct roots yet, which there is room for."""
        self._counts[numbers] += 1
        if self._too_many_late(len(numbers)):
            self._merge(np.sort(paired(numbers, np.full(len(numbers), row, np.uint32))))
        else:
            self._add_late(numbers.tolist(), [row] * len(numbers))

    def _too_many_late(self, more: int) -> bool:
        return self._late_size + more > max(_LEAST_LATE, len(self._members) // _LATE_SHARE)

    def _add_late(self, numbers: Sequence[int], rows: Sequence[int]) -> None:
        for number, row in zip(numbers, rows, strict=True):
            late = self._late.get(number)
            if late is None:
                late = self._late[number] = array("I")
            late.append(row)
        self._late_size += len(rows)

    def remove(self, number: int, row: int) -> None:
        """Take away a pair that is held."""
        self._counts[number] -= 1
        late = self._late.get(number)
        if late is not None and row in late:
            late.remove(row)
            self._late_size -= 1
            return
        start, end = int(self._starts[number]), int(self._starts[number] + self._lengths[number])
        at = start + int(np.searchsorted(self._members[start:end], np.uint32(row)))
        self._members[at : end - 1] = self._members[at + 1 : end]
        self._lengths[number] -= 1

    def pairs(self) -> Pairs:
        """Return all (root, row) pairs, ascending."""
        return _merged([self._early(), self._late_pairs()])

    def _merge(self, pairs: Pairs) -> None:
        merged = _merged([self._early(), self._late_pairs(), pairs])
        numbers, self._members = split(merged)
        self._lengths = np.bincount(numbers, minlength=len(self._counts))
        self._starts = np.cumsum(self._lengths) - self._lengths
        self._late, self._late_size = {}, 0

    def _late_pairs(self) -> Pairs:
        if not self._late:
            return np.zeros(0, np.uint64)
        late_numbers = np.repeat(
            np.fromiter(self._late, np.uint32, len(self._late)), [len(late) for late in self._late.values()]
        )
        late_rows = [np.array(late, np.uint32) for late in self._late.values()]
        return np.sort(paired(late_numbers, np.concatenate(late_rows)))

    def _early(self) -> Pairs:
        """Return the pairs that the large array holds; those removed have left gaps behind each posting."""
        places = np.repeat(self._starts - np.cumsum(self._lengths) + self._lengths, self._lengths)
        places += np.arange(len(places))
        numbers = np.repeat(np.arange(len(self._lengths), dtype=np.uint32), self._lengths)
        return paired(numbers, self._members[places])


def _merged(parts: Sequence[Pairs]) -> Pairs:
    """Return ascending pairs in one, ascending."""
    found = [part for part in parts if part.size] or [parts[0]]
    if len(found) == 1:
        return found[0]
    merged = np.concatenate(found)
    merged.sort(kind="stable")  # of sorted parts: one merge
    return merged
