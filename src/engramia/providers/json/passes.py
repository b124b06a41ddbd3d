"""The two passes over a table that recalls which differ in their task only share.

The first (`candidates.py`) scores every row in float32. What it finds best the second scores again, exactly
and regardless of where in the matrix a row stands and what else was asked: equal patterns tie, and the answer
is the same in every process and in every company.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engramia.core.query import Search
from engramia.core.ranking import lexical_part, relevance
from engramia.core.words import words
from engramia.providers.json.candidates import Candidates, Floats, Mask, Rows, recency
from engramia.providers.json.patterns import PatternTable

type Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scored:
    """Rows with the exact parts of their scores, all of shape (n,), in no order."""

    rows: Rows
    dense: Mask
    similarity: NDArray[np.floating]
    lexical: Floats
    relevance: Doubles
    quality: Doubles
    recency: Doubles
    score: Doubles

    def part(self, start: int, end: int) -> "Scored":
        """Return some of the rows; their numbers stay the same."""
        return Scored(*(getattr(self, name)[start:end] for name in Scored.__slots__))


class Passes:
    """Searches over one table that differ in nothing but task, vector and page."""

    def __init__(self, table: PatternTable, searches: Sequence[Search]) -> None:
        self._table, self._search = table, searches[0]
        size = table.columns.size
        self.words = [words(search.task) for search in searches]
        """The words of each search."""
        task_words, code_words = table.task_words, table.code_words
        asked = [table.roots.known(said) for said in self.words]  # of indexes that are up to date
        vectors = [search.vector for search in searches if search.vector is not None]
        self._vectors = np.stack(vectors) if vectors else None
        self.candidates = Candidates(
            table,
            self._search,
            None if self._vectors is None else table.vectors.dot(self._vectors, size),
            task_words.scores_of_many(asked, size),
            code_words.scores_of_many(asked, size),
        )

    def best(self, counts: Sequence[tuple[int, int]]) -> list[tuple[Scored, list[int]]]:
        """Return for each (search, count) rows, and of those that match the places, best first.

        At least the best `count` matches are among them, or all, and the nearest patterns in any case.
        """
        found = [self.candidates.best(which, count) for which, count in counts]
        lengths = [len(rows) for rows, _ in found]
        which = np.array([which for which, _ in counts]).repeat(lengths)
        scored = self._exact(which, np.concatenate([rows for rows, _ in found]))
        kept = self._matching(which, scored) & (
            scored.score >= np.array([least for _, least in found]).repeat(lengths)
        )
        ends = np.cumsum([0, *lengths]).tolist()
        return [self._ranked(scored.part(*edges), kept[slice(*edges)]) for edges in pairwise(ends)]

    def _matching(self, which: Rows, scored: Scored) -> Mask:
        similar = np.where(scored.dense, self._search.min_similarity, self._search.fusion.min_lexical)
        return np.asarray(self.candidates.possible[which, scored.rows] & (scored.similarity >= similar))

    def _ranked(self, scored: Scored, kept: Mask) -> tuple[Scored, list[int]]:
        (places,) = kept.nonzero()
        order = np.lexsort((self._table.columns.key[scored.rows[places]], scored.score[places]))
        return scored, places[order[::-1]].tolist()

    def _exact(self, which: Rows, rows: Rows) -> Scored:
        search, columns = self._search, self._table.columns
        task_words = self.candidates.task_words[which, rows]
        code_words = self.candidates.code_words[which, rows]
        lexical = lexical_part(task_words, code_words, search.fusion)
        if self._vectors is None:
            cosine, dense, similarity = None, np.zeros(len(rows), np.bool_), lexical
        else:
            dense = columns.dense[rows]
            cosine = np.where(dense, self._cosine(self._vectors[which], rows), np.float32(np.nan))
            similarity = np.where(dense, _clamped(cosine), lexical)
        relevant = relevance(cosine, task_words, code_words, search.fusion).astype(np.float64)
        ones = np.ones(len(rows))
        quality = columns.quality[rows] if search.eval_weighted else ones
        fresh = recency(columns, rows, search) if search.recency_weight else ones
        score = relevant * quality * fresh
        return Scored(rows, dense, similarity, lexical, relevant, quality, fresh, score)

    def _cosine(self, vectors: Floats, rows: Rows) -> Floats:
        """Return the cosine of each of `rows`: float64 sums in the same order for every row."""
        products = self._table.vectors.take(rows).astype(np.float64)
        products *= vectors
        return products.sum(axis=1).astype(np.float32)


def _clamped(values: Floats) -> Floats:
    return np.asarray(np.minimum(np.maximum(values, np.float32(0.0)), np.float32(1.0)), np.float32)
