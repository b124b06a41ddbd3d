"""The exact scores of some patterns, from their words, vectors and facts: one statement for all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    LargeBinary,
    Row,
    Select,
    and_,
    case,
    func,
    null,
    select,
    true,
)

from engramia.core.query import Filter, Search
from engramia.core.ranking import lexical_part, recency_factor, relevance
from engramia.core.similarity import CROWD_RANK
from engramia.db.bigints import Bigints
from engramia.errors import StorageError
from engramia.providers.postgres import arrays, rows
from engramia.providers.postgres.frequencies import ScopeFrequencies
from engramia.providers.postgres.pools import (
    FIELDS,
    MICROS,
    NEGATIVE_DOT,
    Floats,
    Numbers,
    SharedWords,
    age_days,
    crowd_of,
)
from engramia.providers.postgres.tables import pattern_texts, pattern_vectors, patterns
from engramia.providers.postgres.transaction import ScopeTransaction, ours
from engramia.providers.postgres.words import CODE, TASK, unpack, weights

_NEAR = -0.98
"""Negative cosine from which on it is summed in double precision: there the angle is steep."""
_CROWD_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Scored:
    """A pattern with the parts of its score."""

    number: int
    key: str
    task: str
    similarity: float
    lexical: float
    relevance: float
    quality: float
    recency: float
    dense: bool
    matches: bool
    """Whether it passes the filter and is similar enough."""

    @property
    def score(self) -> float:
        return self.relevance * self.quality * self.recency

    def raised(self, bonus: float) -> "Scored":
        """Return it with a bonus on its relevance."""
        return replace(self, relevance=self.relevance + bonus)


class Scorer:
    """Scores patterns of one scope for one search."""

    def __init__(
        self,
        transaction: ScopeTransaction,
        search: Search,
        vector: Floats | None,
        said: SharedWords | None,
        known: ScopeFrequencies,
        exact: Mapping[int, Floats] | None,
    ) -> None:
        """Take the agreement of words from `exact`, by field and number, or else from `said` and `known`."""
        self._transaction, self._search, self._vector = transaction, search, vector
        self._said, self._known, self._exact = said, known, exact

    def score(self, numbers: Numbers) -> list[Scored]:
        """Return the patterns of these numbers, in any order, those that do not match too."""
        found = self._read(numbers)
        return self._score(found) if found else []

    def lexical_crowd(self) -> float:
        """Return how far the words of the `CROWD_RANK`-th best of all patterns agree, without filter."""
        if self._transaction.row.patterns < CROWD_RANK:
            return 0.0
        if self._exact is not None:
            return crowd_of(lexical_part(self._exact[TASK], self._exact[CODE], self._search.fusion))
        said = self._query_words()
        bound = lexical_part(said.bound(TASK), said.bound(CODE), self._search.fusion)
        order = np.argsort(-bound)
        order = order[bound[order] > 0.0]
        best: Floats = np.zeros(CROWD_RANK, np.float32)
        for start in range(0, len(order), _CROWD_AT_ONCE):
            if bound[order[start]] <= best.min():
                break
            found = self._read(order[start : start + _CROWD_AT_ONCE])
            task, code = self._word_scores(found)
            every = np.concatenate((best, lexical_part(task, code, self._search.fusion)))
            best = np.sort(every)[-CROWD_RANK:]
        return crowd_of(best)

    def _read(self, numbers: Numbers) -> Sequence[Row[Any]]:
        values = rows.filter_values(self._search.filter)
        if self._vector is not None:
            values["query_vector"] = self._vector
        statement = _statement(
            rows.shape(self._search.filter),
            dense=self._vector is not None,
            timed=self._search.recency_weight > 0,
            roots=self._exact is None,
        )
        return self._transaction.execute(statement, of_numbers=Bigints(numbers), **values).all()

    def _score(self, found: Sequence[Row[Any]]) -> list[Scored]:
        search = self._search
        task_words, code_words = self._word_scores(found)
        lexical = lexical_part(task_words, code_words, search.fusion)
        cosine = None if self._vector is None else self._cosines(found, self._vector)
        dense = np.zeros(len(found), np.bool_) if cosine is None else ~np.isnan(cosine)
        similarity = lexical if cosine is None else np.where(dense, np.clip(cosine, 0.0, 1.0), lexical)
        relevant = relevance(cosine, task_words, code_words, search.fusion)
        least = np.where(dense, search.min_similarity, search.fusion.min_lexical)
        recency = self._recency(found)
        return [
            Scored(
                row.number,
                row.key,
                row.task,
                float(similarity[place]),
                float(lexical[place]),
                float(relevant[place]),
                row.quality if search.eval_weighted else 1.0,
                float(recency[place]),
                bool(dense[place]),
                bool(row.passes and similarity[place] >= least[place]),
            )
            for place, row in enumerate(found)
        ]

    def _recency(self, found: Sequence[Row[Any]]) -> NDArray[np.float64]:
        search = self._search
        if not search.recency_weight:
            return np.ones(len(found))
        age = age_days(search, np.array([row.micros for row in found], np.int64))
        return recency_factor(age, search.recency_half_life_days, search.recency_weight)

    def _cosines(self, found: Sequence[Row[Any]], vector: Floats) -> Floats:
        """Return each row's cosine, NaN without a vector."""
        dots = np.array([np.nan if row.negative is None else -row.negative for row in found], np.float32)
        wide = vector.astype(np.float64)
        for place, row in enumerate(found):
            if row.near is not None:
                dots[place] = (arrays.vector(row.near) * wide).sum()
        return dots

    def _query_words(self) -> SharedWords:
        if self._said is None:
            raise StorageError("The words of this scope are known exactly; nothing should ask for less.")
        return self._said

    def _word_scores(self, found: Sequence[Row[Any]]) -> tuple[Floats, Floats]:
        """Return `WordIndex.scores` of the rows, over the words of their tasks and codes."""
        if self._exact is not None:
            numbers = [row.number for row in found]
            return self._exact[TASK][numbers], self._exact[CODE][numbers]
        packed = {TASK: [row.task_roots for row in found], CODE: [row.code_roots for row in found]}
        codes = {place: unpack(b"".join(some)) for place, some in packed.items()}
        distinct = {place: np.unique(some) for place, some in codes.items()}
        counts = self._known.of(self._transaction, distinct)
        scores = []
        for place in FIELDS:
            weight = weights(distinct[place], counts[place], self._transaction.row.patterns)
            owners = np.repeat(np.arange(len(found)), [len(some) // 8 for some in packed[place]])
            scores.append(self._agreement(place, codes[place], distinct[place], weight, owners, len(found)))
        return scores[0], scores[1]

    def _agreement(
        self,
        place: int,
        codes: Numbers,
        distinct: Numbers,
        weight: NDArray[np.float64],
        owners: NDArray[np.intp],
        size: int,
    ) -> Floats:
        """Return shared weight / sqrt(weight of the query x weight of the row)."""
        said = self._query_words()
        places = np.searchsorted(distinct, codes)
        common = np.where(np.isin(distinct, said.codes), weight, 0.0)
        norms = np.bincount(owners, weight[places], size)
        shared = np.bincount(owners, common[places], size)
        product = norms * said.totals[place]
        score = np.divide(shared, np.sqrt(product), out=np.zeros(size), where=product > 0)
        return np.minimum(score, 1.0).astype(np.float32)


@lru_cache(maxsize=64)
def _statement(filter: Filter, *, dense: bool, timed: bool, roots: bool) -> Select[Any]:
    """Return the statement that reads what a score is made of; no code, no output."""
    vectors_join = and_(
        pattern_vectors.c.tenant_id == patterns.c.tenant_id,
        pattern_vectors.c.project_id == patterns.c.project_id,
        pattern_vectors.c.number == patterns.c.number,
        pattern_vectors.c.number == func.any(rows.NUMBERS),
    )
    near = case((NEGATIVE_DOT < _NEAR, func.vector_send(pattern_vectors.c.embedding, type_=LargeBinary)))
    statement = select(
        patterns.c.number,
        patterns.c.key,
        patterns.c.quality,
        and_(true(), *rows.passing(filter)).label("passes"),
        pattern_texts.c.task,
        *((pattern_texts.c.task_roots, pattern_texts.c.code_roots) if roots else ()),
        (MICROS if timed else null()).label("micros"),
        (NEGATIVE_DOT if dense else null()).label("negative"),
        (near if dense else null()).label("near"),
    ).join_from(patterns, pattern_texts, rows.TEXTS_JOIN)
    if dense:
        statement = statement.outerjoin(pattern_vectors, vectors_join)
    return statement.where(
        ours(patterns),
        patterns.c.number == func.any(rows.NUMBERS),
        pattern_texts.c.number == func.any(rows.NUMBERS),
    )
