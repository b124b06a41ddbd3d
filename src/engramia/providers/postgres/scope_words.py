"""All words of a small scope in memory, as of a transaction's snapshot: exact agreement with every pattern.

It is kept between recalls and follows what was learned since. A large scope has too many words for that:
there only candidates are scored (`frequencies`).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, select

from engramia.providers.postgres.pools import FIELDS, Floats, Numbers
from engramia.providers.postgres.tables import pattern_texts
from engramia.providers.postgres.transaction import ScopeTransaction, ours
from engramia.providers.postgres.words import Codes, unpack, weights

_LEARNED = (
    select(pattern_texts.c.number, pattern_texts.c.task_roots, pattern_texts.c.code_roots)
    .where(ours(pattern_texts), pattern_texts.c.number >= bindparam("from_number"))
    .order_by(pattern_texts.c.number)
)


class _Field:
    """The roots of one field: which pattern has which, and how many have each."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}
        self._owners: NDArray[np.int32] = np.zeros(0, np.int32)
        self._roots: NDArray[np.int32] = np.zeros(0, np.int32)
        self._codes: Codes = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self._roots)

    def add(self, first: int, packed: Sequence[bytes]) -> None:
        """Take up the packed roots of patterns, counted from `first`."""
        codes = unpack(b"".join(packed))
        owners = np.repeat(np.arange(first, first + len(packed)), [len(some) // 8 for some in packed])
        distinct, inverse = np.unique(codes, return_inverse=True)
        place = self._places
        new = [code for code in distinct.tolist() if code not in place]
        place.update(zip(new, range(len(place), len(place) + len(new)), strict=True))
        numbers = np.array([place[code] for code in distinct.tolist()], np.int32)
        self._codes = np.concatenate((self._codes, np.array(new, np.int64)))
        self._owners = np.concatenate((self._owners, owners.astype(np.int32)))
        self._roots = np.concatenate((self._roots, numbers[inverse]))

    def weigh(self, patterns: int) -> None:
        """Bring weights and norms up to date."""
        counts = np.bincount(self._roots, minlength=len(self._codes))
        self._weights = weights(self._codes, counts, patterns)
        self._norms = np.bincount(self._owners, self._weights[self._roots], patterns)

    def scores(self, query: Codes, patterns: int) -> Floats:
        """Return shared weight / sqrt(weight of the query x weight of the pattern) of every pattern."""
        places = [self._places.get(code) for code in query.tolist()]
        known = [place for place in places if place is not None]
        unseen = query[[place is None for place in places]]
        common = np.zeros(len(self._codes))
        common[known] = self._weights[known]
        total = common.sum() + weights(unseen, np.zeros(len(unseen), np.int64), patterns).sum()
        shared = np.bincount(self._owners, common[self._roots], patterns)
        product = self._norms * total
        score = np.divide(shared, np.sqrt(product), out=np.zeros(patterns), where=product > 0)
        return np.minimum(score, 1.0).astype(np.float32)


class ScopeWords:
    """The words of one small scope. One thread at a time, in one transaction."""

    def __init__(self) -> None:
        self._forget()

    def __len__(self) -> int:
        return sum(map(len, self._fields.values()))

    def scores(self, transaction: ScopeTransaction, query: Codes) -> dict[int, Floats]:
        """Return by field the agreement of the query with every pattern, by number, 0 to 1."""
        self._follow(transaction)
        by_field = {}
        for field in FIELDS:
            scores = self._fields[field].scores(query, len(self._numbers))
            by_field[field] = np.zeros(transaction.row.next_number, np.float32)
            by_field[field][self._numbers] = scores
        return by_field

    def _forget(self) -> None:
        self._epoch, self._next_number = -1, 0
        self._numbers: Numbers = np.zeros(0, np.int64)
        self._fields = {field: _Field() for field in FIELDS}

    def _follow(self, transaction: ScopeTransaction) -> None:
        row = transaction.row
        if row.words_epoch != self._epoch or row.next_number < self._next_number:
            self._forget()
        if row.next_number > self._next_number:
            self._learn(transaction)
            for field in FIELDS:
                self._fields[field].weigh(len(self._numbers))
        self._epoch, self._next_number = row.words_epoch, row.next_number

    def _learn(self, transaction: ScopeTransaction) -> None:
        new = transaction.execute(_LEARNED, from_number=self._next_number).all()
        first = len(self._numbers)
        for field, column in zip(FIELDS, ("task_roots", "code_roots"), strict=True):
            self._fields[field].add(first, [getattr(row, column) for row in new])
        self._numbers = np.concatenate((self._numbers, np.array([row.number for row in new], np.int64)))
