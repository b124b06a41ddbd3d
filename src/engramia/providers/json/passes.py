"""The two passes over a table that recalls which differ in their task only share.

The first (`candidates.py`) scores rows in float32. What it finds best the second scores again, exactly
and regardless of where in the matrix a row stands and what else was asked: equal patterns tie, and the answer
is the same in every process and in every company.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engramia.core.query import Search
from engramia.core.ranking import lexical_part, relevance
from engramia.core.similarity import CROWD_RANK
from engramia.core.words import words
from engramia.providers.json.candidates import Candidates, Floats, Mask, Rows, recency
from engramia.providers.json.patterns import PatternTable

type Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scored:
    """Rows with the exact parts of their scores, all of shape (n,), in no order; of several searches."""

    which: Rows
    """The search that each is a row of."""
    rows: Rows
    dense: Mask
    similarity: NDArray[np.floating]
    lexical: Floats
    relevance: Doubles
    quality: Doubles
    recency: Doubles
    score: Doubles


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

    def best(self, counts: Sequence[tuple[int, int]]) -> tuple[Scored, list[list[int]]]:
        """Return rows of all these (search, count), and for each the places of its matches, best first.

        At least the best `count` matches are among them, or all, and the nearest patterns in any case.
        """
        found = [self.candidates.best(which, count) for which, count in counts]
        lengths = [len(rows) for rows, _ in found]
        which = np.array([which for which, _ in counts]).repeat(lengths)
        scored = self._exact(which, np.concatenate([rows for rows, _ in found]))
        reach = scored.score >= np.array([least for _, least in found]).repeat(lengths)
        ranked: dict[int, list[int]] = {which: [] for which, _ in counts}
        for place in self._ranked(scored, self._matching(scored) & reach):
            ranked[int(which[place])].append(place)
        return scored, list(ranked.values())

    def crowds(self, scored: Scored) -> list[float]:
        """Return for each search how similar the `CROWD_RANK`-th nearest is, 0 to 1; 0 where there are fewer.

        The nearest are among what `best` returns.
        """
        (near,) = self.candidates.near[scored.which, scored.rows].nonzero()
        similar: list[list[float]] = [[] for _ in self.words]
        for which, similarity in zip(
            scored.which[near].tolist(), scored.similarity[near].tolist(), strict=True
        ):
            similar[which].append(similarity)
        return [sorted(found)[-CROWD_RANK] if found else 0.0 for found in similar]

    def _matching(self, scored: Scored) -> Mask:
        similar = np.where(scored.dense, self._search.min_similarity, self._search.fusion.min_lexical)
        possible = self.candidates.possible[scored.which, scored.rows]
        return np.asarray(possible & (scored.similarity >= similar))

    def _ranked(self, scored: Scored, kept: Mask) -> list[int]:
        """Return the places that are kept, best first."""
        (places,) = kept.nonzero()
        order = np.lexsort((self._table.columns.key[scored.rows[places]], scored.score[places]))
        ranked: list[int] = places[order[::-1]].tolist()
        return ranked

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
        return Scored(which, rows, dense, similarity, lexical, relevant, quality, fresh, score)

    def _cosine(self, vectors: Floats, rows: Rows) -> Floats:
        """Return the cosine of each of `rows`: float64 sums in the same order for every row."""
        products = self._table.vectors.take(rows).astype(np.float64)
        products *= vectors
        return products.sum(axis=1).astype(np.float32)


def _clamped(values: Floats) -> Floats:
    return np.asarray(np.minimum(np.maximum(values, np.float32(0.0)), np.float32(1.0)), np.float32)
