"""Recall over the patterns of one scope: the query as numpy masks, `core.ranking` over the columns.

A first pass scores every row in float32. What it finds best is then scored again, exactly and regardless of
where in the matrix a row stands: equal patterns tie, and the order is the same in every process.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from engramia.core.query import Filter, Hit, Search, SearchPage
from engramia.core.ranking import (
    head_bonus,
    lexical_part,
    one_per_group,
    recency_factor,
    relevance,
    word_order,
)
from engramia.core.similarity import CROWD_RANK, differences
from engramia.core.words import words
from engramia.errors import EmbeddingModelMismatchError
from engramia.providers.json import codec
from engramia.providers.json.patterns import PatternTable
from engramia.providers.json.rows import CLASSIFICATIONS, SOURCES, Columns, pattern_of

type Numbers = NDArray[np.float32] | NDArray[np.float64]
type Mask = NDArray[np.bool_]
type Rows = NDArray[np.intp]

_DAY_MICROS = 86_400_000_000
_COSINE_ERROR = 1e-5
_SCORE_ERROR = 2e-3  # what an error of the cosine can become where the angle is steepest, near equal vectors
_SPARE = 24  # candidates beyond the page at first: groups take some


def matching(columns: Columns, filter: Filter) -> Mask:
    """Return which rows are alive and pass the filter, shape (columns.size,)."""
    size = columns.size
    passing = columns.alive[:size].copy()
    if filter.classification is not None:
        passing &= columns.classification[:size] == CLASSIFICATIONS.index(filter.classification)
    if filter.source is not None:
        passing &= columns.source[:size] == SOURCES.index(filter.source)
    if filter.min_score is not None:
        passing &= columns.score[:size] >= filter.min_score
    return passing


def run_search(table: PatternTable, search: Search) -> SearchPage:
    """Answer a recall exactly, as `PatternStore.search` asks."""
    wanted = search.offset + search.limit + 1
    if not table.rows:
        return SearchPage((), search.offset)
    recall = _Recall(table, search)
    count = max(search.fusion.head, wanted) + _SPARE
    while True:
        best, complete = recall.best(count)
        order = recall.one_per_group(best.rows.tolist()) if search.deduplicate else iter(best.rows.tolist())
        found = list(islice(order, wanted))
        if complete or len(found) == wanted:
            break
        count *= 4
    hits = best.hits(table, found[search.offset : search.offset + search.limit])
    return SearchPage(tuple(hits), search.offset, len(found) == wanted, recall.crowd, recall.lead(best))


@dataclass(frozen=True, slots=True)
class _Scored:
    """Candidates with the parts of their scores, all of shape (n,)."""

    rows: Rows
    similarity: Numbers
    lexical: Numbers
    relevance: NDArray[np.float64]
    quality: Numbers
    recency: Numbers
    dense: Mask

    @property
    def score(self) -> NDArray[np.float64]:
        return self.relevance * self.quality * self.recency

    def take(self, places: Rows | Mask) -> "_Scored":
        """Return the candidates in `places`, in that order."""
        return _Scored(
            self.rows[places],
            self.similarity[places],
            self.lexical[places],
            self.relevance[places],
            self.quality[places],
            self.recency[places],
            self.dense[places],
        )

    def hits(self, table: PatternTable, rows: Sequence[int]) -> Iterator[Hit]:
        """Yield the hits of `rows`, which are among the candidates."""
        place_of = {row: place for place, row in enumerate(self.rows.tolist())}
        for row in rows:
            place = place_of[row]
            yield Hit(
                pattern_of(table.body(row), table.columns, row, table.model),
                float(self.similarity[place]),
                float(self.lexical[place]),
                float(self.relevance[place]),
                float(self.quality[place]),
                float(self.recency[place]),
                bool(self.dense[place]),
            )


class _Recall:
    """One search over one table: the approximate score of every row, and the exact one of the best."""

    def __init__(self, table: PatternTable, search: Search) -> None:
        self._table, self._search = table, search
        self._words = words(search.task)
        self._vector = _usable_vector(table, search)
        size = table.columns.size
        self._task_words = table.task_words.scores(self._words, size)
        self._code_words = table.code_words.scores(self._words, size)
        self.crowd = 0.0
        self._scores = self._approximate(size)
        self._candidates = int(np.count_nonzero(self._scores > -1.0))

    def best(self, count: int) -> tuple[_Scored, bool]:
        """Return at least the best `count` candidates, best first, and whether they are all there are."""
        complete = self._candidates <= count
        if complete:
            rows, least = np.flatnonzero(self._scores > -1.0), -1.0
        else:
            least = float(np.partition(self._scores, -count)[-count]) - _SCORE_ERROR
            rows = np.flatnonzero(self._scores >= max(least, -0.5))
        scored = self._exact(rows)
        # Whatever was left out lies below this, however inexact its score was.
        scored = scored.take(scored.score >= least + _SCORE_ERROR / 2) if not complete else scored
        return self._with_head(_ranked(self._table, scored)), complete

    def lead(self, best: _Scored) -> float:
        """Return how far the best candidate's relevance lies above the next group's."""
        rows = best.rows.tolist()
        leaders = [rows.index(row) for row in islice(self.one_per_group(rows), 2)]
        relevances = [float(best.relevance[place]) for place in leaders]
        return relevances[0] - sum(relevances[1:]) if relevances else 0.0

    def one_per_group(self, rows: Sequence[int]) -> Iterator[int]:
        """Yield of `rows`, best first, those whose task repeats no earlier one."""
        numbers: dict[str, int] = {}
        return one_per_group(
            (row, {numbers.setdefault(word, len(numbers)) for word in words(self._table.body(row).task)})
            for row in rows
        )

    def _approximate(self, size: int) -> Numbers:
        """Return every row's score, -1 for those that no match can be."""
        table, search, columns = self._table, self._search, self._table.columns
        possible = matching(columns, search.filter)
        dense = None
        if self._vector is not None:
            dense = table.vectors.dot(self._vector, size)
            self.crowd = _nth_highest(dense, columns.alive[:size] & columns.dense[:size])
            # Similarity is the cosine clamped to 0..1, so nothing lies below 0.
            near = np.maximum(dense, 0.0) >= search.min_similarity - _COSINE_ERROR
            if table.dense_count < len(table.rows):
                has = columns.dense[:size]
                dense[~has] = np.nan
                near = np.where(has, near, self._related())
            possible &= near
        else:
            lexical = lexical_part(self._task_words, self._code_words, search.fusion)
            self.crowd = _nth_highest(lexical, columns.alive[:size])
            possible &= self._related()
        scores: Numbers = relevance(dense, self._task_words, self._code_words, search.fusion)
        if search.eval_weighted:
            scores *= columns.quality[:size].astype(np.float32)
        if search.recency_weight:
            scores *= self._recency(slice(0, size)).astype(np.float32)
        scores[~possible] = -1.0
        return scores

    def _related(self) -> Mask:
        """Return which rows share enough words with the query to count without a vector."""
        lexical = lexical_part(self._task_words, self._code_words, self._search.fusion)
        return np.asarray(lexical >= self._search.fusion.min_lexical)

    def _recency(self, rows: Rows | slice) -> NDArray[np.float64]:
        search = self._search
        age = (codec.micros(search.now) - self._table.columns.created[rows]) / _DAY_MICROS
        return recency_factor(age, search.recency_half_life_days, search.recency_weight)

    def _exact(self, rows: Rows) -> _Scored:
        """Return the candidates among `rows` with their exact scores."""
        search, columns = self._search, self._table.columns
        task_words, code_words = self._task_words[rows], self._code_words[rows]
        lexical = lexical_part(task_words, code_words, search.fusion)
        has = columns.dense[rows] if self._vector is not None else np.zeros(len(rows), dtype=np.bool_)
        cosine = self._cosine(self._vector, rows, has) if self._vector is not None else None
        similarity = lexical if cosine is None else np.where(has, np.clip(cosine, 0.0, 1.0), lexical)
        ones = np.ones(len(rows))
        scored = _Scored(
            rows,
            similarity,
            lexical,
            relevance(cosine, task_words, code_words, search.fusion).astype(np.float64),
            columns.quality[rows] if search.eval_weighted else ones,
            self._recency(rows) if search.recency_weight else ones,
            has,
        )
        least = np.where(has, search.min_similarity, search.fusion.min_lexical)
        return scored.take(similarity >= least)

    def _cosine(self, vector: NDArray[np.float32], rows: Rows, has: Mask) -> NDArray[np.float32]:
        """Return each row's cosine, NaN without a vector: float64 sums in the same order for every row."""
        products = (self._table.vectors.take(rows) * vector.astype(np.float64)).sum(axis=1)
        return np.where(has, products, np.nan).astype(np.float32)

    def _with_head(self, ranked: _Scored) -> _Scored:
        """Return the candidates with the best few read again beside the query and put in order."""
        head = np.arange(min(self._search.fusion.head, len(ranked.rows)))
        for place in head:
            ranked.relevance[place] += self._bonus(int(ranked.rows[place]), dense=bool(ranked.dense[place]))
        first = _ranked(self._table, ranked.take(head))
        rest = ranked.take(np.arange(len(head), len(ranked.rows)))
        return _joined(first, rest)

    def _bonus(self, row: int, *, dense: bool) -> float:
        search, task = self._search, self._table.body(row).task
        order = word_order(self._words, words(task))
        agrees = not differences(search.task, task)
        return head_bonus(order, agrees=agrees, dense=dense, fusion=search.fusion)


def _usable_vector(table: PatternTable, search: Search) -> NDArray[np.float32] | None:
    """Return the query's vector if there is any to compare it with; one of another dimension is refused."""
    if search.vector is None or not table.dense_count:
        return None
    if len(search.vector) != table.vectors.dimension:
        raise EmbeddingModelMismatchError(
            f"The query has {len(search.vector)} dimensions, the vectors stored {table.vectors.dimension}. "
            "Run `engramia reindex` to re-embed the store with the present model."
        )
    return search.vector


def _nth_highest(values: NDArray[np.float32], counted: Mask) -> float:
    """Return the `CROWD_RANK`-th highest of the values that count, 0 to 1; 0 where there are fewer."""
    values = values[counted] if not counted.all() else values
    if len(values) < CROWD_RANK:
        return 0.0
    return float(np.clip(np.partition(values, -CROWD_RANK)[-CROWD_RANK], 0.0, 1.0))


def _ranked(table: PatternTable, scored: _Scored) -> _Scored:
    """Return the candidates by descending score, ties by descending key."""
    by_key = np.argsort(table.columns.key[scored.rows])
    order = np.argsort(scored.score[by_key], kind="stable")[::-1]
    return scored.take(by_key[order])


def _joined(first: _Scored, rest: _Scored) -> _Scored:
    return _Scored(
        *(
            np.concatenate((getattr(first, name), getattr(rest, name)))
            for name in _Scored.__dataclass_fields__
        )
    )
