"""What the words of a query weigh in a scope, and which patterns share them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, Select, bindparam, cast, func, select

from engramia.db.bigints import Bigints
from engramia.providers.postgres import arrays
from engramia.providers.postgres.frequencies import ScopeFrequencies
from engramia.providers.postgres.tables import BigintArray, word_postings
from engramia.providers.postgres.transaction import ScopeTransaction, ours
from engramia.providers.postgres.words import CODE, MEMBER_BYTES, TASK, Codes, first_numbers, weights

type Numbers = NDArray[np.int64]
type Floats = NDArray[np.float32]

FIELDS = (TASK, CODE)
_TELLING = 12_000
"""Postings that are read to find candidates by: of the rarest roots, which say most."""


def _postings(field: int, roots: str) -> Select[Any]:
    """Return the statement for the rows of postings of some roots, as columns."""
    return select(
        arrays.column(word_postings.c.root).label("roots"),
        arrays.column(word_postings.c.block).label("blocks"),
        arrays.column(cast(func.octet_length(word_postings.c.members) / MEMBER_BYTES, BigInteger)).label(
            "sizes"
        ),
        arrays.joined(word_postings.c.members).label("members"),
    ).where(
        ours(word_postings),
        word_postings.c.field == field,
        word_postings.c.root == func.any(bindparam(roots, type_=BigintArray)),
    )


POSTINGS = arrays.beside(task=_postings(TASK, "task_roots"), code=_postings(CODE, "code_roots"))
"""The rows of postings of some roots, by field."""


@dataclass(frozen=True, slots=True)
class QueryWords:
    """The distinct roots of a query, ascending; how many patterns have each, and its weight, by field."""

    codes: Codes
    counts: dict[int, NDArray[np.int64]]
    weights: dict[int, NDArray[np.float64]]
    totals: dict[int, float]

    def telling(self) -> dict[int, Codes]:
        """Return by field the rarest roots, as many as together have a bearable number of patterns."""
        every = np.concatenate([self.counts[field] for field in FIELDS])
        order = np.argsort(every, kind="stable")
        few = np.cumsum(every[order]) <= _TELLING
        kept = np.zeros(len(every), np.bool_)
        kept[order[few]] = True
        kept &= every > 0
        size = len(self.codes)
        return {
            field: self.codes[kept[place * size : (place + 1) * size]] for place, field in enumerate(FIELDS)
        }


def query_words(transaction: ScopeTransaction, codes: Codes, known: ScopeFrequencies) -> QueryWords:
    """Return what the roots of a query weigh; `codes` are distinct and ascending."""
    counts = known.of(transaction, dict.fromkeys(FIELDS, codes))
    held = transaction.row.patterns
    by_field = {field: weights(codes, counts[field], held) for field in FIELDS}
    return QueryWords(codes, counts, by_field, {field: float(by_field[field].sum()) for field in FIELDS})


@dataclass(frozen=True, slots=True)
class Sharing:
    """Patterns that share roots with a query: their numbers, and what they share by field, like them."""

    numbers: Numbers
    shared: dict[int, Floats]

    def bound(self, field: int, said: QueryWords) -> Floats:
        """Return what the agreement of words can be at most: that of a row with no other words."""
        total = said.totals[field]
        bound = np.sqrt(self.shared[field] * np.float32(1.0 / total if total else 0.0))
        return np.minimum(bound, np.float32(1.0), out=bound)


def sharing(transaction: ScopeTransaction, said: QueryWords, roots: dict[int, Codes]) -> Sharing:
    """Return the patterns that have any of these roots of the query."""
    if not any(some.size for some in roots.values()):
        return Sharing(np.zeros(0, np.int64), {field: np.zeros(0, np.float32) for field in FIELDS})
    (found,) = transaction.fetch(POSTINGS, **asked_roots(roots))
    return shared_by(found, said, transaction.row.next_number)


def asked_roots(roots: dict[int, Codes]) -> dict[str, Bigints]:
    """Return the values for `POSTINGS`."""
    return {"task_roots": Bigints(roots[TASK]), "code_roots": Bigints(roots[CODE])}


def shared_by(found: Any, said: QueryWords, size: int) -> Sharing:
    """Return who shares what by the row of `POSTINGS`, in a scope whose numbers are under `size`."""
    columns = {
        TASK: (found.task_roots, found.task_blocks, found.task_sizes, found.task_members),
        CODE: (found.code_roots, found.code_blocks, found.code_sizes, found.code_members),
    }
    members, weight = {}, {}
    for field, (*sent, packed) in columns.items():
        roots, blocks, sizes = map(arrays.integers, sent)
        members[field] = np.frombuffer(packed or b"", "<u2") + np.repeat(first_numbers(blocks), sizes)
        each = said.weights[field][np.searchsorted(said.codes, roots)]
        weight[field] = np.repeat(each, sizes)
    some = np.zeros(size, np.bool_)
    for field in FIELDS:
        some[members[field]] = True
    numbers = np.flatnonzero(some)
    places = np.empty(size, np.intp)  # of those that share none it may say anything
    places[numbers] = np.arange(len(numbers))
    summed = {field: np.bincount(places[members[field]], weight[field], len(numbers)) for field in FIELDS}
    return Sharing(numbers, {field: summed[field].astype(np.float32) for field in FIELDS})


def everywhere(found: Sharing, size: int) -> dict[int, Floats]:
    """Return what is shared by field for every number under `size`."""
    whole = {}
    for field in FIELDS:
        whole[field] = np.zeros(size, np.float32)
        whole[field][found.numbers] = found.shared[field]
    return whole
