"""The first pass of recalls: scores in float32, and which rows can be among the best."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engramia.core.query import Filter, Search
from engramia.core.ranking import lexical_part, reached, recency_factor, relevance
from engramia.core.similarity import CROWD_RANK
from engramia.providers.json import codec
from engramia.providers.json.patterns import PatternTable
from engramia.providers.json.rows import CLASSIFICATIONS, SOURCES, Columns

type Floats = NDArray[np.float32]
type Mask = NDArray[np.bool_]
type Rows = NDArray[np.intp]

SCORE_ERROR = 2e-3  # what an error of the cosine can become where the angle is steepest, near equal vectors
_COSINE_ERROR = 1e-5
_DAY_MICROS = 86_400_000_000


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


def recency(columns: Columns, rows: Rows | slice, search: Search) -> NDArray[np.float64]:
    """Return how much the age of `rows` lets of their score."""
    age = (codec.micros(search.now) - columns.created[rows]) / _DAY_MICROS
    return recency_factor(age, search.recency_half_life_days, search.recency_weight)


class Candidates:
    """What searches that differ in their task only make of the rows of a table.

    `dense` holds the products with their vectors if they have any, `task_words` and `code_words` the scores
    of their words, all of shape (searches, columns.size).
    """

    def __init__(
        self,
        table: PatternTable,
        search: Search,
        dense: Floats | None,
        task_words: Floats,
        code_words: Floats,
    ) -> None:
        """Score every row that a match can be; `search` is any of the searches."""
        self._table, self._search, self._columns = table, search, table.columns
        self.task_words, self.code_words = task_words, code_words
        self._size = table.columns.size
        self.possible = self._possible(dense)
        """Which rows a match can be, shape (searches, size)."""
        # Mostly few: what they score is worked out for them alone, those of one search after another's.
        places = np.flatnonzero(self.possible)
        self._rows = places % self._size
        self._edges: list[int] = places.searchsorted(self._size * np.arange(len(self.possible) + 1)).tolist()
        self.counts = [end - start for start, end in pairwise(self._edges)]
        """How many of them there are."""
        self.near = self._nearest(dense)
        """Which rows the `CROWD_RANK` most similar of all patterns are among; none if there are fewer."""
        self._scores = self._scored(dense)

    def best(self, which: int, count: int) -> tuple[Rows, float]:
        """Return rows for one search, ascending, and a score: a possible row not among them has a lower one.

        At least `count` possible rows reach the score, or all are there. The nearest are always among them.
        """
        part = slice(self._edges[which], self._edges[which + 1])
        rows, least = self._rows[part], -1.0
        if self.counts[which] > count:
            scores = self._scores[part]
            lowest = float(reached(scores, count)) - SCORE_ERROR
            # Whatever was left out lies below this, however inexact its score was.
            rows, least = rows[scores >= lowest], lowest + SCORE_ERROR / 2
        found = self.near[which].copy()
        found[rows] = True
        return found.nonzero()[0], least

    def _possible(self, dense: Floats | None) -> Mask:
        search, columns = self._search, self._columns
        passing = matching(columns, search.filter)
        if dense is None:
            return passing & self._related()
        if not self._all_dense():
            near = np.maximum(dense, 0.0) >= search.min_similarity - _COSINE_ERROR
            return passing & np.where(columns.dense[: self._size], near, self._related())
        if search.min_similarity > _COSINE_ERROR:  # similarity is the cosine clamped to 0..1
            return np.asarray((dense >= search.min_similarity - _COSINE_ERROR) & passing)
        return np.broadcast_to(passing, dense.shape)

    def _all_dense(self) -> bool:
        return self._table.dense_count == len(self._table.rows)

    def _related(self) -> Mask:
        """Return which rows share enough words with the query to count without a vector."""
        return np.asarray(self._lexical() >= self._search.fusion.min_lexical)

    def _lexical(self) -> Floats:
        return lexical_part(self.task_words, self.code_words, self._search.fusion)

    def _nearest(self, dense: Floats | None) -> Mask:
        columns, size = self._columns, self._size
        values, counted = self._lexical() if dense is None else dense, columns.alive[:size]
        if dense is not None and not self._all_dense():
            counted = counted & columns.dense[:size]
        number = int(np.count_nonzero(counted))
        if number < CROWD_RANK:
            return np.zeros(values.shape, np.bool_)
        if number < size:
            values = np.where(counted, values, np.float32(-2.0))
        return np.asarray(values >= (reached(values, CROWD_RANK) - np.float32(2 * _COSINE_ERROR))[:, None])

    def _scored(self, dense: Floats | None) -> Floats:
        """Return the scores of the possible rows."""
        search, columns, rows = self._search, self._columns, self._rows
        which = np.arange(len(self.counts)).repeat(self.counts)
        cosines = None if dense is None else dense[which, rows]
        if cosines is not None and not self._all_dense():
            cosines = np.where(columns.dense[rows], cosines, np.float32(np.nan))
        scores = relevance(cosines, self.task_words[which, rows], self.code_words[which, rows], search.fusion)
        if search.eval_weighted:
            scores *= columns.quality[rows].astype(np.float32)
        if search.recency_weight:
            scores *= recency(columns, rows, search).astype(np.float32)
        return scores
