"""Which patterns a recall considers, each with a bound that its score cannot exceed."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    REAL,
    BigInteger,
    ColumnElement,
    Double,
    Integer,
    Select,
    and_,
    bindparam,
    cast,
    extract,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from engramia.core.query import Filter, Search
from engramia.core.ranking import lexical_part, recency_factor, relevance
from engramia.core.similarity import CROWD_RANK
from engramia.providers.postgres import arrays, rows
from engramia.providers.postgres.tables import Half, VectorColumn, pattern_vectors, patterns, word_postings
from engramia.providers.postgres.transaction import ScopeTransaction, ours
from engramia.providers.postgres.words import CODE, TASK, Codes, unpack_members, weights

type Numbers = NDArray[np.int64]
type Floats = NDArray[np.float32]

_ERROR = 1e-5
_STEEP, _STEEP_ERROR = 0.98, 2e-3  # what an error of the cosine becomes where the angle is steep
_DAY_MICROS = 86_400_000_000.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEAREST = 100
_CANDIDATES = 96

FIELDS = (TASK, CODE)
QUERY_VECTOR = bindparam("query_vector", type_=VectorColumn)
MICROS = cast(extract("epoch", patterns.c.created_at) * 1_000_000, BigInteger)
NEGATIVE_DOT: ColumnElement[float] = pattern_vectors.c.embedding.op("<#>", return_type=Double())(QUERY_VECTOR)

_POSTINGS = select(
    word_postings.c.field, word_postings.c.root, word_postings.c.block, word_postings.c.members
).where(
    ours(word_postings),
    word_postings.c.field.in_(FIELDS),
    word_postings.c.root == func.any(bindparam("of_roots", type_=ARRAY(BigInteger))),
)
_DOTS = select(
    func.array_send(func.array_agg(pattern_vectors.c.number)),
    func.array_send(func.array_agg(cast(NEGATIVE_DOT, REAL))),
).where(ours(pattern_vectors))
# By its own estimate a small scope would be sorted; here it is known to be large.
_BY_INDEX = text("SET LOCAL enable_sort = off")


@dataclass(frozen=True, slots=True)
class SharedWords:
    """How much of a query's words the patterns share, by field; arrays of shape (next_number,)."""

    codes: Codes
    """The query's distinct roots."""
    weights: dict[int, NDArray[np.float64]]
    """What each of them weighs in the field."""
    totals: dict[int, float]
    shared: dict[int, Floats]

    def bound(self, field: int) -> Floats:
        """Return what the agreement of words can be at most: that of a row with no other words."""
        total = self.totals[field]
        bound = np.sqrt(self.shared[field] * np.float32(1.0 / total if total else 0.0))
        return np.minimum(bound, np.float32(1.0), out=bound)


def shared_words(transaction: ScopeTransaction, codes: Codes) -> SharedWords:
    """Read the postings of a query's roots."""
    found: dict[tuple[int, int], list[Numbers]] = {}
    query = codes.tolist()
    if query:
        for row in transaction.execute(_POSTINGS, of_roots=query):
            found.setdefault((row.field, row.root), []).append(unpack_members(row.block, row.members))
    patterns_held = transaction.row.patterns
    by_field, totals, shared = {}, {}, {}
    for place in FIELDS:
        members = [found.get((place, code), []) for code in query]
        counts = np.array([sum(map(len, some)) for some in members], np.int64)
        by_field[place] = weights(codes, counts, patterns_held)
        totals[place] = float(by_field[place].sum())
        shared[place] = np.zeros(transaction.row.next_number, np.float32)
        for weight, some in zip(by_field[place].tolist(), members, strict=True):
            for numbers in some:
                shared[place][numbers] += np.float32(weight)
    return SharedWords(codes, by_field, totals, shared)


@dataclass(slots=True)
class Pool:
    """Patterns to consider: numbers by descending bound, and how many of them have been taken."""

    numbers: Numbers
    bounds: NDArray[np.float64]
    crowd: float
    whole: bool
    """Whether no other pattern can match."""
    taken: int = 0

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


def whole_pool(
    transaction: ScopeTransaction, search: Search, vector: Floats | None, words: Mapping[int, Floats]
) -> Pool:
    """Return all patterns that can match, with bounds of their scores.

    `words` bounds the agreement of words, by field and number.
    """
    dots = _all_dots(transaction, vector) if vector is not None else None
    numbers, quality, age = _facts(transaction, search)
    bounds = {place: words[place][numbers] for place in FIELDS}
    possible = lexical_part(bounds[TASK], bounds[CODE], search.fusion) >= search.fusion.min_lexical - _ERROR
    mine = None if dots is None else dots[numbers]
    if mine is not None:
        near = np.maximum(mine, np.float32(0.0)) >= search.min_similarity - _ERROR
        possible = np.where(np.isnan(mine), possible, near)
    score = relevance(mine, bounds[TASK], bounds[CODE], search.fusion).astype(np.float64) + _ERROR
    if mine is not None:
        score[mine > _STEEP] += _STEEP_ERROR
    if search.eval_weighted:
        score *= quality
    if search.recency_weight:
        score *= recency_factor(age, search.recency_half_life_days, search.recency_weight)
    crowd = 0.0 if dots is None else crowd_of(dots[~np.isnan(dots)])
    order = np.argsort(-score[possible], kind="stable")
    return Pool(numbers[possible][order], score[possible][order], crowd=crowd, whole=True)


def near_pool(
    transaction: ScopeTransaction, search: Search, vector: Floats, said: SharedWords, width: int
) -> Pool:
    """Return `width` x 96 patterns, of those nearest by the index and those that share the query's words."""
    transaction.execute(_BY_INDEX)
    wanted = _NEAREST * width
    nearest, dots = _nearest(transaction, search.filter, vector, wanted)
    anywhere = dots if search.filter == Filter() else _nearest(transaction, Filter(), vector, CROWD_RANK)[1]
    all_dense = transaction.row.dense == transaction.row.patterns
    last = float(dots[-1]) if len(dots) else 0.0
    # What lies beyond the last one is less similar still.
    passed = len(dots) == wanted and last < search.min_similarity - _ERROR
    cosines = np.full(transaction.row.next_number, 0.0 if passed else last, np.float32)
    cosines[nearest] = dots
    numbers = _promising(search, said, cosines, _CANDIDATES * width)
    if passed and all_dense:
        numbers = numbers[cosines[numbers] >= search.min_similarity - _ERROR]
    whole = passed and all_dense and len(nearest[dots >= search.min_similarity - _ERROR]) == len(numbers)
    return Pool(numbers, np.full(len(numbers), np.inf), crowd=crowd_of(anywhere), whole=whole)


def _promising(search: Search, said: SharedWords, cosines: Floats, count: int) -> Numbers:
    """Return the `count` patterns that are likely to have the best scores.

    Their own norms are not known: tasks are taken to weigh as much as the query, codes four times as much.
    """
    task, code = said.bound(TASK) ** 2, said.bound(CODE) ** 2 / np.float32(2.0)
    estimate = relevance(cosines, task, code, search.fusion)
    if len(estimate) <= count:
        return np.arange(len(estimate))
    return np.argpartition(estimate, -count)[-count:]


def crowd_of(values: Floats) -> float:
    """Return the `CROWD_RANK`-th highest value, 0 to 1; 0 where there are fewer."""
    if len(values) < CROWD_RANK:
        return 0.0
    return float(np.clip(np.partition(values, -CROWD_RANK)[-CROWD_RANK], 0.0, 1.0))


def _all_dots(transaction: ScopeTransaction, vector: Floats) -> Floats:
    """Return the dot product of every pattern with the query by number, NaN without a vector."""
    (numbers, negative) = tuple(transaction.execute(_DOTS, query_vector=vector).one())
    dots = np.full(transaction.row.next_number, np.nan, np.float32)
    dots[arrays.integers(numbers)] = -arrays.reals(negative)
    return dots


def _facts(
    transaction: ScopeTransaction, search: Search
) -> tuple[Numbers, NDArray[np.float64], NDArray[np.float64]]:
    """Return number, quality and age in days of all patterns that pass the filter."""
    statement = _facts_statement(rows.shape(search.filter), timed=search.recency_weight > 0)
    found = transaction.execute(statement, **rows.filter_values(search.filter)).one()
    numbers, quality, *micros = tuple(found)
    ages = age_days(search, arrays.integers(micros[0])) if micros else np.zeros(0)
    return arrays.integers(numbers), arrays.doubles(quality), ages


def age_days(search: Search, micros: Numbers) -> NDArray[np.float64]:
    """Return how many days before the search these moments lie, given in microseconds since 1970."""
    return np.asarray((_micros(search.now) - micros) / _DAY_MICROS, np.float64)


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _nearest(
    transaction: ScopeTransaction, filter: Filter, vector: Floats, count: int
) -> tuple[Numbers, Floats]:
    """Return the nearest patterns by the index and their dot products, nearest first."""
    statement = _nearest_statement(rows.shape(filter), len(vector))
    found = transaction.execute(
        statement, query_vector=vector, at_most=count, **rows.filter_values(filter)
    ).all()
    pairs = [(number, -negative) for number, negative in map(tuple, found)]
    return (
        np.array([number for number, _ in pairs], np.int64),
        np.array([dot for _, dot in pairs], np.float32),
    )


@lru_cache(maxsize=16)
def _facts_statement(filter: Filter, *, timed: bool) -> Select[Any]:
    columns = [patterns.c.number, patterns.c.quality, *([MICROS] if timed else [])]
    return select(*(func.array_send(func.array_agg(column)) for column in columns)).where(
        ours(patterns), *rows.passing(filter)
    )


@lru_cache(maxsize=256)
def _nearest_statement(filter: Filter, dimension: int) -> Select[Any]:
    # The dimension stands in the statement as a literal: only so does the partial index fit it.
    half = Half(dimension)
    distance = cast(pattern_vectors.c.embedding, half).op("<#>")(cast(QUERY_VECTOR, half))
    conditions = rows.passing(filter)
    statement = select(pattern_vectors.c.number, NEGATIVE_DOT)
    if conditions:
        same = (
            patterns.c.tenant_id == pattern_vectors.c.tenant_id,
            patterns.c.project_id == pattern_vectors.c.project_id,
            patterns.c.number == pattern_vectors.c.number,
        )
        statement = statement.join(patterns, and_(*same)).where(*conditions)
    return (
        statement.where(ours(pattern_vectors), pattern_vectors.c.dimension == literal_column(str(dimension)))
        .order_by(distance)
        .limit(bindparam("at_most", type_=Integer))
    )
