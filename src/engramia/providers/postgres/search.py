"""Recall in Postgres: candidates from vectors and postings, exact scores for those that can reach the page.

In a small scope the agreement of words and the cosine are computed for every pattern, and the best are read.
In a large one the candidates are the nearest by an HNSW index and those that share most words; if they do
not fill the page, more are asked for, at last all that the bounds of their scores leave in question.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from engramia.core.query import Hit, Search, SearchPage
from engramia.core.ranking import head_bonus, one_per_group, word_order
from engramia.core.similarity import differences
from engramia.core.words import words
from engramia.errors import EmbeddingModelMismatchError
from engramia.providers.postgres import rows
from engramia.providers.postgres.memory import Known
from engramia.providers.postgres.pools import FIELDS, Floats, Pool, near_pool, shared_words, whole_pool
from engramia.providers.postgres.scoring import Scored, Scorer
from engramia.providers.postgres.transaction import ScopeTransaction
from engramia.providers.postgres.vector_plan import VectorPlan
from engramia.providers.postgres.words import query_codes

_SPARE = 8  # candidates beyond the page at first: groups take some
_AT_ONCE = 96
_NEAREST = 100
_WIDER = 4


def run_search(transaction: ScopeTransaction, search: Search, known: Known, plan: VectorPlan) -> SearchPage:
    """Answer a recall as `PatternStore.search` asks."""
    if not transaction.row.patterns:
        return SearchPage((), search.offset)
    return _Recall(transaction, search, known, plan).page()


class _Recall:
    """One search in one scope."""

    def __init__(self, transaction: ScopeTransaction, search: Search, known: Known, plan: VectorPlan) -> None:
        self._transaction, self._search = transaction, search
        self._words = words(search.task)
        self._vector = _usable_vector(transaction, search)
        codes = np.array(query_codes(self._words), np.int64)
        small = transaction.row.patterns <= plan.exact_limit
        # One or the other: in a small scope the postings are not needed.
        self._exact = known.words.scores(transaction, codes) if small else None
        self._said = None if small else shared_words(transaction, codes)
        self._scorer = Scorer(transaction, search, self._vector, self._said, known.frequencies, self._exact)
        self._indexed = self._vector is not None and plan.use_index(transaction, len(self._vector))
        self._width = 1
        self._pool = self._open_pool()
        self._scored: list[Scored] = []

    def page(self) -> SearchPage:
        """Return the page that was asked for."""
        search = self._search
        wanted = search.offset + search.limit + 1
        count = max(search.fusion.head, wanted) + _SPARE
        while True:
            best, complete = self._best(count)
            leaders = [*islice(self._one_per_group(best), max(2, wanted))]
            order = leaders if search.deduplicate else best
            if complete or (len(order) >= wanted and len(leaders) > 1):
                break
            count *= _WIDER
        shown = order[search.offset : search.offset + search.limit]
        lead = leaders[0].relevance - sum(one.relevance for one in leaders[1:2]) if leaders else 0.0
        return SearchPage(self._hits(shown), search.offset, len(order) >= wanted, self._crowd(), lead)

    def _open_pool(self) -> Pool:
        transaction, search, said = self._transaction, self._search, self._said
        near_enough = self._width * _NEAREST * _WIDER < transaction.row.dense
        if self._indexed and self._vector is not None and said is not None and near_enough:
            return near_pool(transaction, search, self._vector, said, self._width)
        words = self._exact or ({} if said is None else {field: said.bound(field) for field in FIELDS})
        return whole_pool(transaction, search, self._vector, words)

    def _best(self, count: int) -> tuple[list[Scored], bool]:
        """Return at least the best `count` matches, best first, and whether they are all there are."""
        while True:
            ranked = self._rank(count)
            if len(ranked) >= count or self._pool.finished:
                break
            self._widen()
        least = ranked[count - 1].score if len(ranked) >= count else 0.0
        complete = self._pool.finished
        kept = ranked if complete else [one for one in ranked if one.score >= least]
        return self._with_head(kept), complete

    def _rank(self, count: int) -> list[Scored]:
        """Score what can be among the best `count`; return all that match, best first."""
        while True:
            matching = [one for one in self._scored if one.matches]
            matching.sort(key=lambda one: (one.score, one.key), reverse=True)
            least = matching[count - 1].score if len(matching) >= count else -1.0
            due = self._pool.take(least, max(_AT_ONCE, count, len(self._scored)))
            if not due.size:
                return matching
            self._scored += self._scorer.score(due)

    def _widen(self) -> None:
        self._width *= _WIDER
        crowd = self._pool.crowd
        self._pool = self._open_pool()
        self._pool.crowd = crowd
        self._pool.leave_out({one.number for one in self._scored})

    def _with_head(self, ranked: Sequence[Scored]) -> list[Scored]:
        """Return the matches with the best few read again beside the query and put in order."""
        size = self._search.fusion.head
        head = [one.raised(self._bonus(one)) for one in ranked[:size]]
        head.sort(key=lambda one: (one.score, one.key), reverse=True)
        return head + list(ranked[size:])

    def _bonus(self, one: Scored) -> float:
        order = word_order(self._words, words(one.task))
        agrees = not differences(self._search.task, one.task)
        return head_bonus(order, agrees=agrees, dense=one.dense, fusion=self._search.fusion)

    def _one_per_group(self, ranked: Sequence[Scored]) -> Iterator[Scored]:
        """Yield those, best first, whose task repeats no earlier one."""
        numbers: dict[str, int] = {}
        groups = one_per_group(
            (place, {numbers.setdefault(word, len(numbers)) for word in words(one.task)})
            for place, one in enumerate(ranked)
        )
        return (ranked[place] for place in groups)

    def _crowd(self) -> float:
        return self._pool.crowd if self._vector is not None else self._scorer.lexical_crowd()

    def _hits(self, shown: Sequence[Scored]) -> tuple[Hit, ...]:
        found = rows.by_number(self._transaction, [one.number for one in shown])
        return tuple(
            Hit(
                found[one.number],
                one.similarity,
                one.lexical,
                one.relevance,
                one.quality,
                one.recency,
                one.dense,
            )
            for one in shown
        )


def _usable_vector(transaction: ScopeTransaction, search: Search) -> Floats | None:
    """Return the query's vector if there is any to compare it with; one of another dimension is refused."""
    row = transaction.row
    if search.vector is None or not row.dense:
        return None
    if len(search.vector) != row.dimension:
        raise EmbeddingModelMismatchError(
            f"The query has {len(search.vector)} dimensions, the vectors stored {row.dimension}. "
            "Run `engramia reindex` to re-embed the store with the present model."
        )
    return search.vector
