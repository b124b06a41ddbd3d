"""How many patterns of a scope have each root: remembered between recalls, true as of each one's snapshot.

The norms of candidates need the counts of all their roots, a thousand or so for each recall, most of them the
same as last time. What was learned since shows by `next_number` and is counted up; anything else (a pattern
deleted or its words changed) raises `words_epoch`, and everything is forgotten. Those of a large scope are
read behind its first recall, but for rare roots, so that few are left to be looked up.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, ColumnElement, Select, bindparam, func, select

from engramia.db.bigints import Bigints
from engramia.providers.postgres import arrays
from engramia.providers.postgres.tables import BigintArray, pattern_texts, word_counts
from engramia.providers.postgres.transaction import ScopeTransaction, ours
from engramia.providers.postgres.words import CODE, TASK, Codes, unpack

type Counts = NDArray[np.int64]

_FIELDS = (TASK, CODE)
_CATCH_UP = 256
"""Patterns learned since, of which it is not worth to count up more."""
_RARE = 2**16
"""A root that only one in more patterns has is looked up when it is asked for: there may be very many."""
_AT_ONCE = 8192
"""Patterns by part of the roots, which are hashes: about as many of them in each."""
_ROOTS = 2**64
_COUNT_BYTES = 16


def _counts(field: int, *conditions: ColumnElement[bool]) -> Select[Any]:
    return select(
        arrays.column(word_counts.c.root).label("roots"),
        arrays.column(word_counts.c.patterns).label("counts"),
    ).where(ours(word_counts), word_counts.c.field == field, *conditions)


def _missing(field: int) -> Select[Any]:
    return _counts(field, word_counts.c.root == func.any(bindparam(f"roots_{field}", type_=BigintArray)))


def _common(field: int) -> Select[Any]:
    ends = (bindparam("least", type_=BigInteger), bindparam("greatest", type_=BigInteger))
    often = word_counts.c.patterns >= bindparam("common", type_=BigInteger)
    return _counts(field, word_counts.c.root.between(*ends), often)


_COMMON = arrays.beside(task=_common(TASK), code=_common(CODE))
_MISSING = arrays.beside(task=_missing(TASK), code=_missing(CODE))
_LEARNED = select(pattern_texts.c.task_roots, pattern_texts.c.code_roots).where(
    ours(pattern_texts), pattern_texts.c.number >= bindparam("from_number")
)


class _Known:
    """The counts known of one field: roots ascending, with their counts."""

    def __init__(self) -> None:
        self.roots: Codes = np.zeros(0, np.int64)
        self.counts: Counts = np.zeros(0, np.int64)

    def find(self, roots: Codes) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return where each root stands or would, and which of them are known."""
        places = np.searchsorted(self.roots, roots)
        if not self.roots.size:
            return places, np.zeros(len(roots), np.bool_)
        return places, self.roots[np.minimum(places, len(self.roots) - 1)] == roots

    def learn(self, roots: Codes, counts: Counts) -> None:
        """Take up roots, ascending, that are not known."""
        if roots.size:
            places = np.searchsorted(self.roots, roots)
            self.roots, self.counts = (
                np.insert(self.roots, places, roots),
                np.insert(self.counts, places, counts),
            )

    def copy(self) -> "_Known":
        """Return one that may go on by itself."""
        made = _Known()
        made.roots, made.counts = self.roots, self.counts.copy()  # roots are never changed in place
        return made

    def count_up(self, roots: Codes) -> None:
        """Add one to those of these distinct roots that are known."""
        places, known = self.find(roots)
        self.counts[places[known]] += 1


class ScopeFrequencies:
    """The counts that are known of one scope. One thread at a time, in one transaction."""

    def __init__(self) -> None:
        self._epoch = -1
        self._next_number = 0
        self._known = {field: _Known() for field in _FIELDS}

    def __len__(self) -> int:
        return sum(len(known.roots) for known in self._known.values())

    @property
    def nbytes(self) -> int:
        return len(self) * _COUNT_BYTES

    def copy(self) -> "ScopeFrequencies":
        """Return one that knows the same and goes on by itself."""
        made = ScopeFrequencies()
        made._epoch, made._next_number = self._epoch, self._next_number
        made._known = {field: known.copy() for field, known in self._known.items()}
        return made

    def read_common(self, transaction: ScopeTransaction, least: int, greatest: int) -> None:
        """Take up the counts of all roots in a range that are not rare."""
        self.follow(transaction)
        common = transaction.row.patterns // _RARE
        (found,) = transaction.fetch(_COMMON, least=least, greatest=greatest, common=common)
        for field, (roots, counts) in _columns(found).items():
            order = np.argsort(roots)
            new = order[~self._known[field].find(roots[order])[1]]
            self._known[field].learn(roots[new], counts[new])

    def of(self, transaction: ScopeTransaction, roots: dict[int, Codes]) -> dict[int, Counts]:
        """Return the counts of distinct, ascending roots by field, as the transaction sees them."""
        self.follow(transaction)
        self._look_up(transaction, {field: self._unknown(field, roots[field]) for field in _FIELDS})
        return {
            field: self._known[field].counts[self._known[field].find(roots[field])[0]] for field in _FIELDS
        }

    def _unknown(self, field: int, roots: Codes) -> Codes:
        return roots[~self._known[field].find(roots)[1]]

    def follow(self, transaction: ScopeTransaction) -> None:
        """Become what the transaction sees: count up what was learned since, or forget all."""
        row = transaction.row
        behind = row.next_number - self._next_number
        if row.words_epoch != self._epoch or not 0 <= behind <= _CATCH_UP:
            self._known = {field: _Known() for field in _FIELDS}
        elif behind:
            for learned in transaction.fetch(_LEARNED, from_number=self._next_number):
                self._known[TASK].count_up(unpack(learned.task_roots))
                self._known[CODE].count_up(unpack(learned.code_roots))
        self._epoch, self._next_number = row.words_epoch, row.next_number

    def _look_up(self, transaction: ScopeTransaction, roots: dict[int, Codes]) -> None:
        if not any(some.size for some in roots.values()):
            return
        asked: dict[str, Any] = {f"roots_{field}": Bigints(some) for field, some in roots.items()}
        (found,) = transaction.fetch(_MISSING, **asked)
        for field, (there, held) in _columns(found).items():
            counts = np.zeros(len(roots[field]), np.int64)
            counts[np.searchsorted(roots[field], there)] = held
            self._known[field].learn(roots[field], counts)


def _columns(found: Any) -> dict[int, tuple[Codes, Counts]]:
    """Return by field the roots and counts of a row of `_COMMON` or `_MISSING`."""
    sent = {TASK: (found.task_roots, found.task_counts), CODE: (found.code_roots, found.code_counts)}
    return {
        field: (arrays.integers(roots), arrays.integers(counts)) for field, (roots, counts) in sent.items()
    }


def parts(patterns: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of roots, which together are all, for `read_common` in a scope of so many patterns."""
    size = _ROOTS // (1 + patterns // _AT_ONCE)
    for least in range(-_ROOTS // 2, _ROOTS // 2, size):
        yield least, min(least + size, _ROOTS // 2) - 1
