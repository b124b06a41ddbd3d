"""Recall over the patterns of one scope: many searches at once, `core.ranking` over the columns.

A first pass (`candidates.py`) scores every row in float32. What it finds best is then scored again, exactly
and regardless of where in the matrix a row stands and what else was asked: equal patterns tie, and the answer
is the same in every process and in every company.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import batched, islice

import numpy as np
from numpy.typing import NDArray

from engramia.core.query import Hit, Search, SearchPage
from engramia.core.ranking import head_bonus, lexical_part, one_per_group, relevance, word_order
from engramia.core.similarity import CROWD_RANK, differ
from engramia.core.words import words
from engramia.errors import EmbeddingModelMismatchError
from engramia.providers.json.candidates import Candidates, Floats, Mask, Rows, recency
from engramia.providers.json.patterns import PatternTable
from engramia.providers.json.rows import pattern_of

type Doubles = NDArray[np.float64]

_SPARE = 24  # candidates beyond the page at first: groups take some
_TOGETHER = 16  # searches that share a pass over the matrix: more gain little, and each has its products


def run_searches(table: PatternTable, searches: Sequence[Search]) -> list[SearchPage]:
    """Answer recalls exactly, as `PatternStore.search_many` asks."""
    if not table.rows:
        return [SearchPage((), search.offset) for search in searches]
    vectors = [_usable_vector(table, search) for search in searches]
    pages: list[SearchPage] = []
    for some in batched(zip(searches, vectors, strict=True), _TOGETHER):
        products = _products(table, [vector for _, vector in some])
        pages += [
            _Recall(table, search, vector, dense).page()
            for (search, vector), dense in zip(some, products, strict=True)
        ]
    return pages


def _usable_vector(table: PatternTable, search: Search) -> Floats | None:
    """Return the query's vector if there is any to compare it with; one of another dimension is refused."""
    if search.vector is None or not table.dense_count:
        return None
    if len(search.vector) != table.vectors.dimension:
        raise EmbeddingModelMismatchError(
            f"The query has {len(search.vector)} dimensions, the vectors stored {table.vectors.dimension}. "
            "Run `engramia reindex` to re-embed the store with the present model."
        )
    return search.vector


def _products(table: PatternTable, vectors: Sequence[Floats | None]) -> Iterator[Floats | None]:
    """Yield for each vector its products with every row, shape (columns.size,); None for none."""
    given = [vector for vector in vectors if vector is not None]
    products = iter(table.vectors.dot(np.stack(given), table.columns.size) if given else ())
    return (None if vector is None else next(products) for vector in vectors)


@dataclass(frozen=True, slots=True)
class _Scored:
    """Candidates with the exact parts of their scores, all of shape (n,), in no order."""

    rows: Rows
    dense: Mask
    similarity: NDArray[np.floating]
    lexical: Floats
    relevance: Doubles
    quality: Doubles
    recency: Doubles
    score: Doubles


class _Recall:
    """One search over one table."""

    def __init__(
        self, table: PatternTable, search: Search, vector: Floats | None, dense: Floats | None
    ) -> None:
        self._table, self._search, self._vector = table, search, vector
        self._words = words(search.task)
        self._said: dict[int, list[str]] = {}
        size = table.columns.size
        task_words, code_words = table.task_words, table.code_words
        asked = table.roots.known(self._words)  # of indexes that are up to date
        self._task_words = task_words.scores_of(asked, size)
        self._code_words = code_words.scores_of(asked, size)
        self._candidates = Candidates(table, search, dense, self._task_words, self._code_words)

    def page(self) -> SearchPage:
        """Return the page that the search asks for."""
        search = self._search
        wanted = search.offset + search.limit + 1
        count = max(search.fusion.head, wanted) + _SPARE
        while True:
            scored, ranked = self._best(count)
            order = self._one_per_group(scored, ranked) if search.deduplicate else iter(ranked)
            found = list(islice(order, wanted))
            if len(found) == wanted or count >= self._candidates.count:
                break
            count *= 4
        return SearchPage(
            tuple(self._hit(scored, place) for place in found[search.offset : search.offset + search.limit]),
            search.offset,
            len(found) == wanted,
            self._crowd(scored),
            self._lead(scored, found if search.deduplicate else self._one_per_group(scored, ranked)),
        )

    def _best(self, count: int) -> tuple[_Scored, list[int]]:
        """Return candidates and the places among them of at least the best `count`, best first."""
        rows, least = self._candidates.best(count)
        scored = self._exact(rows)
        similar = np.where(scored.dense, self._search.min_similarity, self._search.fusion.min_lexical)
        possible = self._candidates.possible[rows]
        kept = np.flatnonzero(possible & (scored.similarity >= similar) & (scored.score >= least))
        by_key = kept[np.argsort(self._table.columns.key[rows[kept]])]
        ranked = by_key[np.argsort(scored.score[by_key], kind="stable")[::-1]].tolist()
        return scored, self._with_head(scored, ranked)

    def _exact(self, rows: Rows) -> _Scored:
        search, columns = self._search, self._table.columns
        task_words, code_words = self._task_words[rows], self._code_words[rows]
        lexical = lexical_part(task_words, code_words, search.fusion)
        if self._vector is None:
            cosine, dense, similarity = None, np.zeros(len(rows), np.bool_), lexical
        else:
            dense = columns.dense[rows]
            cosine = np.where(dense, self._cosine(self._vector, rows), np.float32(np.nan))
            similarity = np.where(dense, _clamped(cosine), lexical)
        relevant = relevance(cosine, task_words, code_words, search.fusion).astype(np.float64)
        ones = np.ones(len(rows))
        quality = columns.quality[rows] if search.eval_weighted else ones
        fresh = recency(columns, rows, search) if search.recency_weight else ones
        score = relevant * quality * fresh
        return _Scored(rows, dense, similarity, lexical, relevant, quality, fresh, score)

    def _cosine(self, vector: Floats, rows: Rows) -> Floats:
        """Return the cosine of each of `rows`: float64 sums in the same order for every row."""
        products = self._table.vectors.take(rows).astype(np.float64)
        products *= vector
        return products.sum(axis=1).astype(np.float32)

    def _crowd(self, scored: _Scored) -> float:
        """Return how similar the `CROWD_RANK`-th nearest pattern is, 0 to 1; 0 where there are fewer."""
        near = scored.similarity[self._candidates.near[scored.rows]]
        return float(np.partition(near, -CROWD_RANK)[-CROWD_RANK]) if near.size else 0.0

    def _with_head(self, scored: _Scored, ranked: list[int]) -> list[int]:
        """Return the places with the best few read again beside the query and put in order."""
        head = ranked[: self._search.fusion.head]
        for place in head:
            scored.relevance[place] += self._bonus(int(scored.rows[place]), dense=bool(scored.dense[place]))
        scored.score[head] = scored.relevance[head] * scored.quality[head] * scored.recency[head]
        keys = self._table.columns.key
        head.sort(key=lambda place: (scored.score[place], keys[scored.rows[place]]), reverse=True)
        return head + ranked[len(head) :]

    def _bonus(self, row: int, *, dense: bool) -> float:
        search = self._search
        order = word_order(self._words, self._words_of(row))
        agrees = not differ(search.task, self._table.body(row).task)
        return head_bonus(order, agrees=agrees, dense=dense, fusion=search.fusion)

    def _words_of(self, row: int) -> list[str]:
        said = self._said.get(row)
        if said is None:
            said = self._said[row] = words(self._table.body(row).task)
        return said

    def _one_per_group(self, scored: _Scored, places: Sequence[int]) -> Iterator[int]:
        """Yield of `places`, best first, those whose task repeats no earlier one."""
        numbers: dict[str, int] = {}
        rows = scored.rows
        return one_per_group(
            (place, {numbers.setdefault(word, len(numbers)) for word in self._words_of(int(rows[place]))})
            for place in places
        )

    def _lead(self, scored: _Scored, leaders: Sequence[int] | Iterator[int]) -> float:
        """Return how far the best candidate's relevance lies above the next group's."""
        relevances = [float(scored.relevance[place]) for place in islice(leaders, 2)]
        return relevances[0] - sum(relevances[1:]) if relevances else 0.0

    def _hit(self, scored: _Scored, place: int) -> Hit:
        table, row = self._table, int(scored.rows[place])
        return Hit(
            pattern_of(table.body(row), table.columns, row, table.model),
            float(scored.similarity[place]),
            float(scored.lexical[place]),
            float(scored.relevance[place]),
            float(scored.quality[place]),
            float(scored.recency[place]),
            bool(scored.dense[place]),
        )


def _clamped(values: Floats) -> Floats:
    return np.asarray(np.minimum(np.maximum(values, np.float32(0.0)), np.float32(1.0)), np.float32)
