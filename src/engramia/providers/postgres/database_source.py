"""A search in a scope that only the database holds: candidates by index and postings, or all patterns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    REAL,
    Integer,
    LargeBinary,
    Select,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import BIT

from engramia.core.query import Filter, Search
from engramia.core.ranking import lexical_part, relevance
from engramia.core.similarity import CROWD_RANK
from engramia.db.bigints import Bigints
from engramia.providers.postgres import arrays, rows
from engramia.providers.postgres.candidates import (
    NEAR,
    Candidates,
    RootRows,
    read_candidates,
    word_agreements,
)
from engramia.providers.postgres.frequencies import ScopeFrequencies
from engramia.providers.postgres.pools import Bounds, Floats, Numbers, Pool, crowd_of, whole_pool
from engramia.providers.postgres.query_words import (
    FIELDS,
    POSTINGS,
    Sharing,
    asked_roots,
    everywhere,
    query_words,
    shared_by,
    sharing,
)
from engramia.providers.postgres.scored import Parts, Scored, scored
from engramia.providers.postgres.sketches import CHANGED, Compared, Sketches, counted_error
from engramia.providers.postgres.tables import VectorColumn, pattern_texts, pattern_vectors, patterns
from engramia.providers.postgres.transaction import ScopeTransaction, ours
from engramia.providers.postgres.vector_statements import NEGATIVE_DOT, QUERY_VECTOR
from engramia.providers.postgres.words import CODE, ROOT_BYTES, TASK, query_codes, unpack

_NEAREST = 64
_CANDIDATES = 384
_FILTERED, _SKETCHED = 96, 64
"""Candidates that do as well where sketches tell which are near: with a filter, and without."""
_WIDER = 4
_SIGNS_PER_NEAREST = 2048
"""Signs that are compared more closely for each of the nearest: the fewer each has, the more of them."""
_CROWD = 4 * CROWD_RANK
"""Of the nearest by sketches, how many are compared to know the crowd."""
_CLOSER = 512
"""Patterns that sketches are compared with more closely, of those that promise most."""
_MOST_CHANGED = 4096
"""Patterns changed since the sketches were read that are compared beside those they tell of."""
_CROWD_AT_ONCE = 64
_AT_ONCE = 96
"""Patterns that are worth to be read at once where bounds are loose."""
_UNKNOWN_SIZES = {TASK: np.float32(1.0), CODE: np.float32(4.0)}
"""By field how many times the roots of a query a pattern is taken to have, where it is not known."""
_BEYOND = 0.8
"""What the cosine of a pattern found by words alone is taken for, in parts of the least found by index."""

_DOTS = select(
    func.array_send(func.array_agg(pattern_vectors.c.number)).label("numbers"),
    func.array_send(func.array_agg(cast(NEGATIVE_DOT, REAL))).label("negative"),
).where(ours(pattern_vectors))
_changed = CHANGED.cte("changed")
_changed_dots = (
    select(
        arrays.column(pattern_vectors.c.number).label("numbers"),
        arrays.column(cast(NEGATIVE_DOT, REAL)).label("negative"),
    )
    .where(
        ours(pattern_vectors),
        pattern_vectors.c.number == func.any(func.array(select(_changed.c.number).scalar_subquery())),
    )
    .subquery()
)
_CHANGED = select(
    select(arrays.column(_changed.c.number)).scalar_subquery().label("changed"), *_changed_dots.c
)
_TEXTS_OF = select(
    pattern_texts.c.number, pattern_texts.c.task, pattern_texts.c.task_roots, pattern_texts.c.code_roots
).where(ours(pattern_texts), pattern_texts.c.number == func.any(rows.NUMBERS))
_DOTS_OF = select(
    pattern_vectors.c.number,
    NEGATIVE_DOT.label("negative"),
    case((NEGATIVE_DOT < NEAR, func.vector_send(pattern_vectors.c.embedding, type_=LargeBinary))).label(
        "near"
    ),
).where(ours(pattern_vectors), pattern_vectors.c.number == func.any(rows.NUMBERS))
# By its own estimate a small scope would be sorted; here it is known to be large.
_UNSORTED = text("SET LOCAL enable_sort = off")


class _Candidate(NamedTuple):
    """The rows of one pattern."""

    fact: Any
    said: Any
    near: Any
    """None without a vector."""


@dataclass(frozen=True, slots=True)
class Nearby:
    """That an index over the vectors is there, and what tells more of them, if it is known."""

    sketches: Sketches | None


@dataclass(frozen=True, slots=True)
class _Nearest:
    """Patterns whose vectors are nearest to the query's, in any order."""

    numbers: Numbers
    cosines: Floats
    error: float
    """How far what they were chosen by may be wrong."""
    anywhere: Numbers | None = None
    """The nearest whatever the filter, if they are known."""

    @property
    def least(self) -> float:
        return float(self.cosines.min(initial=1.0))


class DatabaseSource:
    """One search over the tables of one scope. Implements `Source`."""

    def __init__(
        self,
        transaction: ScopeTransaction,
        search: Search,
        words: Sequence[str],
        vector: Floats | None,
        known: ScopeFrequencies,
        *,
        nearby: Nearby | None,
    ) -> None:
        """Look for candidates by the index as `nearby` says, or compare all without it."""
        self._transaction, self._search, self._vector, self._known = transaction, search, vector, known
        self._nearby = nearby
        self._candidates: Candidates | None = None
        self._by_index = False
        codes = np.array(sorted(query_codes(words)), np.int64)
        self._said = query_words(transaction, codes, known)

    def pool(self, width: int) -> Pool:
        """Return patterns nearby and such as share the query's rarer words, or all that can match.

        What the index finds too little of it is not asked again: to compare all takes less than to go
        through the more of it that could tell that there is nothing else.
        """
        near_enough = width * _NEAREST * _WIDER < self._transaction.row.dense and not self._by_index
        if self._nearby is not None and self._vector is not None and near_enough:
            return self._near_pool(self._vector, width)
        return self._whole_pool()

    def score(self, numbers: Numbers) -> list[Scored]:
        """Return the patterns of these numbers, in any order, with their exact scores."""
        if self._candidates is not None:
            return scored(self._search, self._candidates.parts(numbers))
        found = self._read(numbers)
        if not found:
            return []
        task, code = self._word_scores(found)
        facts = [one.fact for one in found]
        parts = Parts(
            numbers=[fact.number for fact in facts],
            keys=[fact.key for fact in facts],
            tasks=[one.said.task for one in found],
            passes=[fact.passes for fact in facts],
            cosines=None if self._vector is None else self._cosines(found, self._vector),
            task_words=task,
            code_words=code,
            quality=[fact.quality for fact in facts],
            micros=np.array([fact.micros for fact in facts], np.int64),
        )
        return scored(self._search, parts)

    def lexical_crowd(self) -> float:
        """Return how far the words of the `CROWD_RANK`-th best of all patterns agree, without filter."""
        if self._transaction.row.patterns < CROWD_RANK:
            return 0.0
        found = self._sharing
        bound = lexical_part(
            found.bound(TASK, self._said), found.bound(CODE, self._said), self._search.fusion
        )
        order = np.argsort(-bound)
        best: Floats = np.zeros(CROWD_RANK, np.float32)
        for start in range(0, len(order), _CROWD_AT_ONCE):
            if bound[order[start]] <= best.min():
                break
            read = self._read(found.numbers[order[start : start + _CROWD_AT_ONCE]])
            task, code = self._word_scores(read)
            every = np.concatenate((best, lexical_part(task, code, self._search.fusion)))
            best = np.sort(every)[-CROWD_RANK:]
        return crowd_of(best)

    @cached_property
    def _sharing(self) -> Sharing:
        """Every pattern that shares a word."""
        return sharing(self._transaction, self._said, dict.fromkeys(FIELDS, self._said.codes))

    def _whole_pool(self) -> Pool:
        self._candidates = None
        transaction, search = self._transaction, self._search
        shared = self._sharing
        size = transaction.row.next_number
        dots = None if self._vector is None else self._all_dots(self._vector, size)
        numbers, quality, micros = self._facts()
        bound = everywhere(
            Sharing(shared.numbers, {field: shared.bound(field, self._said) for field in FIELDS}), size
        )
        found = Bounds(
            numbers,
            None if dots is None else dots[numbers],
            bound[TASK][numbers],
            bound[CODE][numbers],
            quality,
            micros,
        )
        pool = whole_pool(search, found, 0.0 if dots is None else crowd_of(dots[~np.isnan(dots)]))
        pool.at_once = _AT_ONCE
        return pool

    def _near_pool(self, vector: Floats, width: int) -> Pool:
        search, row, wanted = self._search, self._transaction.row, _NEAREST * width
        nearest, found = self._nearest_and_sharing(vector, wanted)
        # What lies beyond the last one is less similar still.
        passed = len(nearest.numbers) >= wanted and nearest.least < search.min_similarity - nearest.error
        numbers = self._promising(nearest, found, 0.0 if passed else nearest.least * _BEYOND, width)
        nearby = numbers if nearest.anywhere is None else nearest.anywhere
        candidates = read_candidates(
            self._transaction, search.filter, vector, (numbers, nearby), self._said, self._known
        )
        self._candidates = candidates
        anywhere = candidates.cosines if nearest.anywhere is not None else self._nearest_of_all(vector)
        pool = whole_pool(search, candidates.bounds, crowd_of(anywhere))
        matching = nearest.numbers[nearest.cosines >= search.min_similarity - nearest.error]
        pool.whole = passed and row.dense == row.patterns and bool(np.isin(matching, numbers).all())
        return pool

    def _promising(self, nearest: _Nearest, found: Sharing, otherwise: float, width: int) -> Numbers:
        """Return those likely the best of those nearest and those that share telling words, ascending.

        Where nothing is known of a cosine, it is taken for `otherwise`.
        """
        places = np.searchsorted(found.numbers, nearest.numbers)
        both = np.append(found.numbers, -1)[places] == nearest.numbers
        numbers = np.concatenate((found.numbers, nearest.numbers[~both]))
        count = width * self._candidates_wanted
        if len(numbers) <= count:
            return np.sort(numbers)
        cosines = np.concatenate((self._guess(found.numbers, otherwise), nearest.cosines[~both]))
        cosines[places[both]] = nearest.cosines[both]
        near = np.arange(len(numbers)) >= len(found.numbers)
        near[places[both]] = True
        agreed = self._likely_agreements(found)
        nothing = np.zeros(np.count_nonzero(~both), np.float32)
        task, code = (np.concatenate((agreed[field], nothing)) for field in FIELDS)
        estimate = relevance(cosines, task, code, self._search.fusion)
        if self._compared is not None:
            some = _best(estimate, width * _CLOSER)
            closer = self._compared.closer(numbers[some])
            better = ~np.isnan(closer) & ~near[some]
            cosines = np.where(better, closer, cosines[some])
            numbers, estimate = numbers[some], relevance(cosines, task[some], code[some], self._search.fusion)
        return np.sort(numbers[_best(estimate, count)])

    @property
    def _candidates_wanted(self) -> int:
        if self._sketches is None:
            return _CANDIDATES
        return _SKETCHED if self._search.filter == Filter() else _FILTERED

    @property
    def _sketches(self) -> Sketches | None:
        return None if self._nearby is None else self._nearby.sketches

    @cached_property
    def _compared(self) -> Compared | None:
        if self._sketches is None or self._vector is None:
            return None
        return Compared(self._sketches, self._vector)

    def _likely_agreements(self, found: Sharing) -> dict[int, Floats]:
        """Return by field about how far the words agree.

        The norms of the patterns are not known: a root is taken to weigh what one of the query's does.
        """
        sizes = (
            _UNKNOWN_SIZES
            if self._sketches is None
            else self._sketches.relative_sizes(found.numbers, len(self._said.codes), _UNKNOWN_SIZES)
        )
        return {
            field: np.minimum(found.bound(field, self._said) ** 2 / np.sqrt(sizes[field]), np.float32(1.0))
            for field in FIELDS
        }

    def _guess(self, numbers: Numbers, otherwise: float) -> Floats:
        """Return what the cosines of these patterns may be."""
        if self._compared is None:
            return np.full(len(numbers), otherwise, np.float32)
        found = self._compared.cosines(numbers)
        return np.where(np.isnan(found), np.float32(otherwise), found)

    def _nearest_and_sharing(self, vector: Floats, count: int) -> tuple[_Nearest, Sharing]:
        """Return the nearest patterns, and those that share telling words."""
        asked = asked_roots(self._said.telling())
        found = self._by_sketches(vector, count, asked)
        if found is None:
            statement = _nearest_statement(rows.shape(self._search.filter), len(vector))
            at_most = _seeming(count, len(vector))
            values = {"query_vector": vector, "at_most": at_most, **rows.filter_values(self._search.filter)}
            (first,), (postings,) = self._transaction.fetch_each_after(
                _UNSORTED, statement, POSTINGS, **values, **asked
            )
            self._by_index = True
            found = self._of_those_indexed(first, count, len(vector)), postings
        nearest, shared = found
        return nearest, shared_by(shared, self._said, self._transaction.row.next_number)

    def _of_those_indexed(self, found: Any, count: int, signs: int) -> _Nearest:
        """Return the nearest of those whose signs differ least, as the index tells."""
        numbers, cosines = arrays.integers(found.numbers), -arrays.reals(found.negative)
        best = _best(cosines, count)
        anywhere = numbers[_best(cosines, _CROWD)] if self._search.filter == Filter() else None
        return _Nearest(numbers[best], cosines[best], counted_error(signs), anywhere)

    def _by_sketches(
        self, vector: Floats, count: int, roots: Mapping[str, Bigints]
    ) -> tuple[_Nearest, Any] | None:
        """Return the nearest of those that sketches tell of or were changed since, and a row of `POSTINGS`.

        None if there are no sketches, too many patterns were changed, or few of the nearest pass the filter.
        """
        known = self._sketches
        if known is None:
            return None
        statements = (POSTINGS, _CHANGED) if known.revision < self._transaction.row.revision else (POSTINGS,)
        (postings,), *changed = self._transaction.fetch_each(
            *statements,
            meanwhile=lambda: self._compared,
            query_vector=vector,
            since=known.revision,
            most_changed=_MOST_CHANGED,
            **roots,
        )
        compared = self._compared
        if compared is None:
            return None
        numbers = compared.nearest(_seeming(count, compared.signs))
        cosines = compared.closer(numbers)
        for (row,) in changed:
            others = arrays.integers(row.changed)
            if len(others) == _MOST_CHANGED:
                return None
            same = ~np.isin(numbers, others)
            numbers = np.concatenate((numbers[same], arrays.integers(row.numbers)))
            cosines = np.concatenate((cosines[same], -arrays.reals(row.negative)))
        anywhere = numbers[_best(cosines, _CROWD)]
        if self._search.filter != Filter():
            some = _best(cosines, count * _WIDER)
            passing = self._passing(numbers[some])
            if len(passing) < count:
                return None
            some = some[np.isin(numbers[some], passing)]
            numbers, cosines = numbers[some], cosines[some]
        best = _best(cosines, count)
        return _Nearest(numbers[best], cosines[best], compared.error, anywhere), postings

    def _passing(self, numbers: Numbers) -> Numbers:
        """Return which of these patterns pass the filter."""
        asked = {"of_numbers": Bigints(numbers), **rows.filter_values(self._search.filter)}
        (found,) = self._transaction.fetch(_passing(rows.shape(self._search.filter)), **asked)
        return arrays.integers(found.numbers)

    def _nearest_of_all(self, vector: Floats) -> Floats:
        """Return the dot products of as many as the crowd is told by, without filter."""
        statement = _nearest_statement(rows.shape(Filter()), len(vector))
        at_most = _seeming(CROWD_RANK, len(vector))
        (found,) = self._transaction.fetch_after(_UNSORTED, statement, query_vector=vector, at_most=at_most)
        return -arrays.reals(found.negative)

    def _all_dots(self, vector: Floats, size: int) -> Floats:
        """Return the dot product of every pattern with the query by number, NaN without a vector."""
        (found,) = self._transaction.fetch(_DOTS, query_vector=vector)
        dots = np.full(size, np.nan, np.float32)
        dots[arrays.integers(found.numbers)] = -arrays.reals(found.negative)
        return dots

    def _facts(self) -> tuple[Numbers, NDArray[np.float64], Numbers | None]:
        """Return number, quality and, if age counts, the moment of all patterns that pass the filter."""
        search = self._search
        statement = _facts_statement(rows.shape(search.filter), timed=search.recency_weight > 0)
        (found,) = self._transaction.fetch(statement, **rows.filter_values(search.filter))
        numbers, quality, *micros = found
        return (
            arrays.integers(numbers),
            arrays.doubles(quality),
            arrays.integers(micros[0]) if micros else None,
        )

    def _read(self, numbers: Numbers) -> Sequence[_Candidate]:
        """Return what scores are made of, of those patterns that are there."""
        asked: dict[str, Any] = {"of_numbers": Bigints(numbers), **rows.filter_values(self._search.filter)}
        statements = [_facts_of(rows.shape(self._search.filter)), _TEXTS_OF]
        if self._vector is not None:
            asked["query_vector"] = self._vector
            statements.append(_DOTS_OF)
        facts, texts, *dots = self._transaction.fetch_each(*statements, **asked)
        said = {row.number: row for row in texts}
        near = {row.number: row for row in dots[0]} if dots else {}
        return [_Candidate(fact, said[fact.number], near.get(fact.number)) for fact in facts]

    def _cosines(self, found: Sequence[_Candidate], vector: Floats) -> Floats:
        """Return each pattern's cosine, NaN without a vector."""
        dots = np.array([np.nan if one.near is None else -one.near.negative for one in found], np.float32)
        wide = vector.astype(np.float64)
        for place, one in enumerate(found):
            if one.near is not None and one.near.near is not None:
                dots[place] = (arrays.vector(one.near.near) * wide).sum()
        return dots

    def _word_scores(self, found: Sequence[_Candidate]) -> tuple[Floats, Floats]:
        """Return `WordIndex.scores` of the rows, over the words of their tasks and codes."""
        packed = {
            TASK: [one.said.task_roots for one in found],
            CODE: [one.said.code_roots for one in found],
        }
        found_roots = {
            field: RootRows(
                unpack(b"".join(some)), np.array([len(one) // ROOT_BYTES for one in some], np.int64)
            )
            for field, some in packed.items()
        }
        scores = word_agreements(self._transaction, found_roots, self._said, self._known)
        return scores[TASK], scores[CODE]


def _best(values: Floats, count: int) -> NDArray[np.intp]:
    """Return the places of the `count` highest values, in no order."""
    return np.arange(len(values)) if len(values) <= count else np.argpartition(values, -count)[-count:]


def _seeming(count: int, signs: int) -> int:
    """Return how many whose signs differ least are compared to find the nearest."""
    return count * max(2, _SIGNS_PER_NEAREST // signs)


@lru_cache(maxsize=16)
def _facts_statement(filter: Filter, *, timed: bool) -> Select[Any]:
    columns = [patterns.c.number, patterns.c.quality, *([rows.MICROS] if timed else [])]
    named = zip(("numbers", "quality", "micros"), columns, strict=False)
    return select(*(func.array_send(func.array_agg(column)).label(name) for name, column in named)).where(
        ours(patterns), *rows.passing(filter)
    )


@lru_cache(maxsize=256)
def _nearest_statement(filter: Filter, dimension: int) -> Select[Any]:
    # The dimension stands in the statement as a literal: only so does the partial index fit it.
    signs, asked = (
        cast(func.binary_quantize(vector), BIT(dimension))
        for vector in (pattern_vectors.c.embedding, cast(QUERY_VECTOR, VectorColumn()))
    )
    conditions = rows.passing(filter)
    statement = select(pattern_vectors.c.number, NEGATIVE_DOT.label("negative"))
    if conditions:
        same = (
            patterns.c.tenant_id == pattern_vectors.c.tenant_id,
            patterns.c.project_id == pattern_vectors.c.project_id,
            patterns.c.number == pattern_vectors.c.number,
        )
        statement = statement.join(patterns, and_(*same)).where(*conditions)
    found = (
        statement.where(ours(pattern_vectors), pattern_vectors.c.dimension == literal_column(str(dimension)))
        .order_by(signs.op("<~>")(asked))
        .limit(bindparam("at_most", type_=Integer))
        .subquery()
    )
    return select(
        arrays.column(found.c.number).label("numbers"),
        arrays.column(cast(found.c.negative, REAL)).label("negative"),
    )


@lru_cache(maxsize=16)
def _passing(filter: Filter) -> Select[Any]:
    return select(arrays.column(patterns.c.number).label("numbers")).where(
        ours(patterns), patterns.c.number == func.any(rows.NUMBERS), *rows.passing(filter)
    )


@lru_cache(maxsize=16)
def _facts_of(filter: Filter) -> Select[Any]:
    """Return the statement that reads what a score is made of beside words and vectors."""
    return select(
        patterns.c.number,
        patterns.c.key,
        patterns.c.quality,
        and_(true(), *rows.passing(filter)).label("passes"),
        rows.MICROS.label("micros"),
    ).where(ours(patterns), patterns.c.number == func.any(rows.NUMBERS))
