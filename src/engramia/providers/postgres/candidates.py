"""What the scores of candidates are made of, read as columns: hundreds of rows cost about what one does."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import REAL, BigInteger, ColumnElement, Select, bindparam, cast, func, select

from engramia.core.query import Filter
from engramia.db.bigints import Bigints
from engramia.providers.postgres import arrays, rows
from engramia.providers.postgres.frequencies import ScopeFrequencies
from engramia.providers.postgres.pools import Bounds, Floats, Numbers
from engramia.providers.postgres.query_words import FIELDS, QueryWords
from engramia.providers.postgres.scored import Parts
from engramia.providers.postgres.tables import BigintArray, pattern_texts, pattern_vectors, patterns
from engramia.providers.postgres.transaction import ScopeTransaction, ours
from engramia.providers.postgres.vector_statements import NEGATIVE_DOT
from engramia.providers.postgres.words import CODE, ROOT_BYTES, TASK, unpack, weights

NEAR = -0.98
"""Negative cosine from which on it is summed in double precision: there the angle is steep."""


def _roots(packed: ColumnElement[Any], name: str) -> list[ColumnElement[Any]]:
    count = cast(func.octet_length(packed) / ROOT_BYTES, BigInteger)
    return [arrays.column(count).label(f"{name}_sizes"), arrays.joined(packed).label(name)]


_TEXTS = select(
    arrays.column(pattern_texts.c.number).label("numbers"),
    func.array_agg(pattern_texts.c.task).label("tasks"),
    *_roots(pattern_texts.c.task_roots, "task"),
    *_roots(pattern_texts.c.code_roots, "code"),
).where(ours(pattern_texts), pattern_texts.c.number == func.any(rows.NUMBERS))
_near = func.array_agg(pattern_vectors.c.number).filter(NEGATIVE_DOT < NEAR)
_sent = func.string_agg(func.vector_send(pattern_vectors.c.embedding), func.decode("", "hex"))
_DOTS = select(
    arrays.column(pattern_vectors.c.number).label("numbers"),
    arrays.column(cast(NEGATIVE_DOT, REAL)).label("negative"),
    func.array_send(_near).label("near"),
    _sent.filter(NEGATIVE_DOT < NEAR).label("sent"),
).where(
    ours(pattern_vectors),
    pattern_vectors.c.number == func.any(bindparam("to_compare", type_=BigintArray)),
)


@lru_cache(maxsize=16)
def _candidates(filter: Filter) -> Select[Any]:
    facts = select(
        arrays.column(patterns.c.number).label("numbers"),
        func.array_agg(patterns.c.key).label("keys"),
        arrays.column(patterns.c.quality).label("quality"),
        arrays.column(rows.MICROS).label("micros"),
    ).where(ours(patterns), patterns.c.number == func.any(rows.NUMBERS), *rows.passing(filter))
    return arrays.beside(facts=facts, texts=_TEXTS, dots=_DOTS)


@dataclass(frozen=True, slots=True)
class RootRows:
    """The distinct roots of some rows, one row's after another's, in one field."""

    codes: Numbers
    sizes: Numbers


@dataclass(frozen=True, slots=True)
class Candidates:
    """Patterns that pass a filter, with all that their scores are made of."""

    bounds: Bounds
    keys: Sequence[str]
    tasks: Sequence[str]
    cosines: Floats
    """Of these patterns and the others that were compared, whatever the filter."""

    def parts(self, numbers: Numbers) -> Parts:
        """Return what the scores of some of them are made of."""
        found = self.bounds
        order = np.argsort(found.numbers)
        places = order[np.searchsorted(found.numbers, numbers, sorter=order)]
        return Parts(
            numbers=numbers.tolist(),
            keys=[self.keys[place] for place in places],
            tasks=[self.tasks[place] for place in places],
            passes=[True] * len(places),
            cosines=None if found.cosines is None else found.cosines[places],
            task_words=found.task[places],
            code_words=found.code[places],
            quality=found.quality[places].tolist(),
            micros=None if found.micros is None else found.micros[places],
        )


def read_candidates(
    transaction: ScopeTransaction,
    filter: Filter,
    vector: Floats,
    asked: tuple[Numbers, Numbers],
    said: QueryWords,
    known: ScopeFrequencies,
) -> Candidates:
    """Return those of the first patterns asked for, ascending, that pass the filter; others are compared."""
    numbers, compared = asked[0], np.union1d(*asked)
    values = {
        "of_numbers": Bigints(numbers),
        "to_compare": Bigints(compared),
        "query_vector": vector,
        **rows.filter_values(filter),
    }
    (read,) = transaction.fetch(_candidates(rows.shape(filter)), **values)
    found = {
        TASK: RootRows(unpack(read.texts_task or b""), arrays.integers(read.texts_task_sizes)),
        CODE: RootRows(unpack(read.texts_code or b""), arrays.integers(read.texts_code_sizes)),
    }
    agreements = word_agreements(transaction, found, said, known)
    places = np.searchsorted(numbers, arrays.integers(read.texts_numbers))
    words = {field: np.zeros(len(numbers), np.float32) for field in FIELDS}
    for field in FIELDS:
        words[field][places] = agreements[field]
    tasks = dict(zip(places.tolist(), read.texts_tasks or (), strict=True))
    passing = arrays.integers(read.facts_numbers)
    kept = np.searchsorted(numbers, passing)
    cosines = _cosines(compared, vector, read)
    bounds = Bounds(
        passing,
        cosines[np.searchsorted(compared, passing)],
        words[TASK][kept],
        words[CODE][kept],
        arrays.doubles(read.facts_quality),
        arrays.integers(read.facts_micros),
    )
    there = cosines[~np.isnan(cosines)]
    return Candidates(bounds, read.facts_keys or (), [tasks[place] for place in kept.tolist()], there)


def _cosines(numbers: Numbers, vector: Floats, read: Any) -> Floats:
    """Return the cosine of each pattern, NaN without a vector."""
    cosines = np.full(len(numbers), np.nan, np.float32)
    cosines[np.searchsorted(numbers, arrays.integers(read.dots_numbers))] = -arrays.reals(read.dots_negative)
    near = arrays.integers(read.dots_near)
    if near.size:
        vectors = arrays.vectors(read.dots_sent, len(near)).astype(np.float64)
        cosines[np.searchsorted(numbers, near)] = (vectors * vector).sum(axis=1)
    return cosines


def word_agreements(
    transaction: ScopeTransaction, found: dict[int, RootRows], said: QueryWords, known: ScopeFrequencies
) -> dict[int, Floats]:
    """Return `WordIndex.scores` of rows by field: shared weight / sqrt(weight of query x weight of row)."""
    distinct = {field: np.unique(found[field].codes, return_inverse=True) for field in FIELDS}
    counts = known.of(transaction, {field: distinct[field][0] for field in FIELDS})
    scores = {}
    for field in FIELDS:
        codes, places = distinct[field]
        size = len(found[field].sizes)
        weight = weights(codes, counts[field], transaction.row.patterns)
        common = np.where(np.isin(codes, said.codes), weight, 0.0)
        owners = np.repeat(np.arange(size), found[field].sizes)
        norms = np.bincount(owners, weight[places], size)
        shared = np.bincount(owners, common[places], size)
        scores[field] = _cosine(shared, norms * said.totals[field])
    return scores


def _cosine(shared: NDArray[np.float64], product: NDArray[np.float64]) -> Floats:
    found = np.divide(shared, np.sqrt(product), out=np.zeros(len(shared)), where=product > 0)
    return np.minimum(found, 1.0).astype(np.float32)
