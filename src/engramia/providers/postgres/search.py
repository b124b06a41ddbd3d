"""Recall in Postgres: candidates from vectors and words, exact scores for those that can reach the page.

A scope that fits into memory is held there as a table, and every pattern is compared; the database says
whether the table is up to date, and gives the page. Of others the candidates are the nearest by an HNSW index
and those that share most words; if they do not fill the page, more are asked for, at last all that the bounds
of their scores leave in question.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Protocol

from engramia.core.query import Hit, Search, SearchPage
from engramia.core.ranking import head_bonus, one_per_group, word_order
from engramia.core.similarity import differ
from engramia.core.words import words
from engramia.errors import EmbeddingModelMismatchError
from engramia.providers.postgres import rows
from engramia.providers.postgres.database_source import DatabaseSource, Nearby
from engramia.providers.postgres.memory import ScopeMemory
from engramia.providers.postgres.pools import Floats, Numbers, Pool
from engramia.providers.postgres.scored import Scored
from engramia.providers.postgres.table_source import table_sources
from engramia.providers.postgres.transaction import ScopeTransaction
from engramia.providers.postgres.vector_plan import VectorPlan

_SPARE = 8  # candidates beyond the page at first: groups take some
_AT_ONCE = 24
_WIDER = 4
_FIRST = 30.0
"""Seconds for the first recall of a large scope in a process: all may have to come from a slow disk."""


class Source(Protocol):
    """Where one search finds the patterns of its scope."""

    def pool(self, width: int) -> Pool:
        """Return patterns to consider, more of them the greater the width."""
        ...

    def score(self, numbers: Numbers) -> list[Scored]:
        """Return patterns of a pool with their exact scores, in any order, those that do not match too."""
        ...

    def lexical_crowd(self) -> float:
        """Return how far the words of the `CROWD_RANK`-th best of all patterns agree, without filter."""
        ...


def run_searches(
    transaction: ScopeTransaction, searches: Sequence[Search], memory: ScopeMemory, plan: VectorPlan
) -> list[SearchPage]:
    """Answer recalls as `PatternStore.search_many` asks."""
    if not transaction.row.patterns:
        return [SearchPage((), search.offset) for search in searches]
    vectors = [_usable_vector(transaction, search) for search in searches]
    fits = memory.fits(transaction, plan.exact_limit)
    found = _in_memory(transaction, searches, vectors, memory) if fits else None
    if found is None:
        found = _in_database(transaction, searches, vectors, memory, plan, fits=fits)
    return _pages(transaction, searches, found)


type _Found = tuple[list[Scored], bool, float, float]
"""What is shown, whether there is more, the crowd, the lead."""


def _in_memory(
    transaction: ScopeTransaction,
    searches: Sequence[Search],
    vectors: Sequence[Floats | None],
    memory: ScopeMemory,
) -> list[_Found] | None:
    with memory.table(transaction) as table:
        if table is None:
            return None
        said = [words(search.task) for search in searches]
        sources = table_sources(table, searches, said, vectors)
        asked = zip(sources, searches, said, vectors, strict=True)
        return [_Recall(*one).found() for one in asked]


def _in_database(
    transaction: ScopeTransaction,
    searches: Sequence[Search],
    vectors: Sequence[Floats | None],
    memory: ScopeMemory,
    plan: VectorPlan,
    *,
    fits: bool,
) -> list[_Found]:
    found = []
    with memory.frequencies(transaction) as known:
        if not len(known):
            transaction.persist(_FIRST)
        for search, vector in zip(searches, vectors, strict=True):
            said = words(search.task)
            indexed = vector is not None and plan.use_index(transaction, len(vector), fits=fits)
            nearby = Nearby(memory.sketches(transaction)) if indexed else None
            source = DatabaseSource(transaction, search, said, vector, known, nearby=nearby)
            found.append(_Recall(source, search, said, vector).found())
    return found


class _Recall:
    """One search in one scope."""

    def __init__(self, source: Source, search: Search, said: Sequence[str], vector: Floats | None) -> None:
        self._source, self._search, self._words, self._vector = source, search, said, vector
        self._width = 1
        self._pool = source.pool(self._width)
        self._scored: list[Scored] = []
        self._said: dict[int, list[str]] = {}

    def found(self) -> _Found:
        """Return what the page that was asked for shows."""
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
        return shown, len(order) >= wanted, self._crowd(), lead

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
            due = self._pool.take(least, max(_AT_ONCE, self._pool.at_once, count, len(self._scored)))
            if not due.size:
                return matching
            self._scored += self._source.score(due)

    def _widen(self) -> None:
        self._width *= _WIDER
        crowd = self._pool.crowd
        self._pool = self._source.pool(self._width)
        self._pool.crowd = crowd
        self._pool.leave_out({one.number for one in self._scored})

    def _with_head(self, ranked: Sequence[Scored]) -> list[Scored]:
        """Return the matches with the best few read again beside the query and put in order."""
        size = self._search.fusion.head
        head = [one.raised(self._bonus(one)) for one in ranked[:size]]
        head.sort(key=lambda one: (one.score, one.key), reverse=True)
        return head + list(ranked[size:])

    def _bonus(self, one: Scored) -> float:
        order = word_order(self._words, self._words_of(one))
        agrees = not differ(self._search.task, one.task)
        return head_bonus(order, agrees=agrees, dense=one.dense, fusion=self._search.fusion)

    def _words_of(self, one: Scored) -> list[str]:
        said = self._said.get(one.number)
        if said is None:
            said = self._said[one.number] = words(one.task)
        return said

    def _one_per_group(self, ranked: Sequence[Scored]) -> Iterator[Scored]:
        """Yield those, best first, whose task repeats no earlier one."""
        numbers: dict[str, int] = {}
        groups = one_per_group(
            (place, {numbers.setdefault(word, len(numbers)) for word in self._words_of(one)})
            for place, one in enumerate(ranked)
        )
        return (ranked[place] for place in groups)

    def _crowd(self) -> float:
        return self._pool.crowd if self._vector is not None else self._source.lexical_crowd()


def _pages(
    transaction: ScopeTransaction, searches: Sequence[Search], found: Sequence[_Found]
) -> list[SearchPage]:
    """Read what all pages show in one go."""
    numbers = {one.number for shown, *_ in found for one in shown}
    known = rows.by_number(transaction, list(numbers))
    return [
        SearchPage(
            tuple(
                Hit(
                    known[one.number],
                    one.similarity,
                    one.lexical,
                    one.relevance,
                    one.quality,
                    one.recency,
                    one.dense,
                )
                for one in shown
            ),
            search.offset,
            more,
            crowd,
            lead,
        )
        for search, (shown, more, crowd, lead) in zip(searches, found, strict=True)
    ]


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
