"""Searches in a scope that is held in memory: every pattern is compared."""

from collections.abc import Iterator, Sequence
from itertools import batched

import numpy as np

from engramia.core.query import Search
from engramia.core.ranking import lexical_part, reached
from engramia.core.similarity import CROWD_RANK
from engramia.providers.postgres.pools import ERROR, Bounds, Floats, Numbers, Pool, crowd_of, whole_pool
from engramia.providers.postgres.scope_table import ScopeTable
from engramia.providers.postgres.scored import Parts, Scored, scored

_TOGETHER = 16
"""Searches that share a pass: more gain little, and each has its products."""


def table_sources(
    table: ScopeTable,
    searches: Sequence[Search],
    said: Sequence[Sequence[str]],
    vectors: Sequence[Floats | None],
) -> "Iterator[TableSource]":
    """Yield a source for each search, given its words and its vector; they share passes over the table."""
    for some in batched(zip(searches, said, vectors, strict=True), _TOGETHER):
        size, asked = table.columns.size, [table.roots.known(words) for _, words, _ in some]
        task = table.task_words.scores_of_many(asked, size)
        code = table.code_words.scores_of_many(asked, size)
        queries = [vector for *_, vector in some if vector is not None]
        products = iter(table.columns.products(np.stack(queries)) if queries else ())
        for place, (search, _, vector) in enumerate(some):
            cosines = None if vector is None else next(products)
            yield TableSource(table, search, vector, cosines, task[place], code[place])


class TableSource:
    """One search over one table, whose rows are the numbers here. Implements `Source`."""

    def __init__(
        self,
        table: ScopeTable,
        search: Search,
        vector: Floats | None,
        cosines: Floats | None,
        task_words: Floats,
        code_words: Floats,
    ) -> None:
        """Take what the passes found of every row: the cosine with `vector`, and scores of words."""
        self._table, self._search, self._vector = table, search, vector
        self._products, self._task, self._code = cosines, task_words, code_words
        self._passing = table.columns.passing(search.filter)

    def pool(self, width: int) -> Pool:
        """Return all patterns that can match."""
        del width  # there are no others
        columns, cosines, vector = self._table.columns, self._products, self._vector
        rows = np.flatnonzero(self._passing)
        all_rows = len(rows) == columns.size
        some = slice(None) if all_rows else rows
        found = Bounds(
            rows,
            None if cosines is None else cosines[some],
            self._task[some],
            self._code[some],
            columns.quality[: columns.size][some],
            columns.micros[: columns.size][some] if self._search.recency_weight else None,
        )
        crowd = 0.0 if cosines is None or vector is None else self._crowd(cosines, vector)
        return whole_pool(self._search, found, crowd)

    def _crowd(self, cosines: Floats, vector: Floats) -> float:
        """Return the crowd exactly: the sums of a product over many rows depend on what else was asked."""
        dense = self._table.columns.dense[: self._table.columns.size]
        if np.count_nonzero(dense) < CROWD_RANK:
            return 0.0
        near = cosines if dense.all() else np.where(dense, cosines, np.float32(-2.0))
        (rows,) = (near >= reached(near, CROWD_RANK) - 2 * ERROR).nonzero()
        return crowd_of(self._cosines(rows, vector))

    def score(self, rows: Numbers) -> list[Scored]:
        """Return these patterns with their exact scores."""
        columns, table, places = self._table.columns, self._table, rows.tolist()
        parts = Parts(
            numbers=columns.number[rows].tolist(),
            keys=[table.keys[place] for place in places],
            tasks=[table.tasks[place] for place in places],
            passes=self._passing[rows].tolist(),
            cosines=None if self._vector is None else self._cosines(rows, self._vector),
            task_words=self._task[rows],
            code_words=self._code[rows],
            quality=columns.quality[rows].tolist(),
            micros=columns.micros[rows],
        )
        return scored(self._search, parts)

    def lexical_crowd(self) -> float:
        """Return how far the words of the `CROWD_RANK`-th best of all patterns agree, without filter."""
        columns = self._table.columns
        alive = columns.alive[: columns.size]
        return crowd_of(lexical_part(self._task, self._code, self._search.fusion)[alive])

    def _cosines(self, rows: Numbers, vector: Floats) -> Floats:
        """Return each row's cosine, summed in double precision: near 1 the angle is steep."""
        columns = self._table.columns
        products = columns.vectors.take(rows).astype(np.float64)
        products *= vector
        found: Floats = products.sum(axis=1).astype(np.float32)
        found[~columns.dense[rows]] = np.nan
        return found
