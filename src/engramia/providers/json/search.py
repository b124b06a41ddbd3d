"""Recall over the patterns of one scope, many searches at once: pages out of what the passes find best."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import batched, islice

from engramia.core.query import Hit, Search, SearchPage
from engramia.core.ranking import head_bonus, one_per_group, word_order
from engramia.core.similarity import differ
from engramia.core.words import words
from engramia.errors import EmbeddingModelMismatchError
from engramia.providers.json.passes import Passes, Scored
from engramia.providers.json.patterns import PatternTable
from engramia.providers.json.rows import pattern_of

_SPARE = 24  # candidates beyond the page at first: groups take some
_TOGETHER = 16  # searches that share a pass over the matrix: more gain little, and each has its products


def run_searches(table: PatternTable, searches: Sequence[Search]) -> list[SearchPage]:
    """Answer recalls exactly, as `PatternStore.search_many` asks."""
    if not table.rows:
        return [SearchPage((), search.offset) for search in searches]
    alike: dict[Hashable, list[tuple[int, Search]]] = {}
    for place, asked in enumerate(searches):
        search = _usable(table, asked)
        alike.setdefault(_terms(search), []).append((place, search))
    pages: dict[int, SearchPage] = {}
    for group in alike.values():
        for some in batched(group, _TOGETHER):
            pages |= _pages(table, dict(some))
    return [pages[place] for place in range(len(searches))]


def _usable(table: PatternTable, search: Search) -> Search:
    """Return the search, with its vector if there is any to compare it with; refuse another dimension."""
    if search.vector is None or not table.dense_count:
        return replace(search, vector=None)
    if len(search.vector) != table.dimension:
        raise EmbeddingModelMismatchError(
            f"The query has {len(search.vector)} dimensions, the vectors stored {table.dimension}. "
            "Run `engramia reindex` to re-embed the store with the present model."
        )
    return search


def _terms(search: Search) -> Hashable:
    """Return what of a search makes the scores of all rows, beside its task."""
    recency = search.recency_weight, search.recency_half_life_days, search.now
    return (
        search.vector is None,
        search.filter,
        search.fusion,
        search.min_similarity,
        search.eval_weighted,
        recency,
    )


def _pages(table: PatternTable, searches: Mapping[int, Search]) -> dict[int, SearchPage]:
    """Return the pages of searches that are alike."""
    passes = Passes(table, [*searches.values()])
    counts = [(which, _first_count(search)) for which, search in enumerate(searches.values())]
    scored, ranked = passes.best(counts)
    crowds = passes.crowds(scored)
    return {
        place: _Recall(table, search, passes, which).page(scored, ranked[which], crowds[which])
        for which, (place, search) in enumerate(searches.items())
    }


def _wanted(search: Search) -> int:
    """Return how many matches show the page, and whether there is more."""
    return search.offset + search.limit + 1


def _first_count(search: Search) -> int:
    return max(search.fusion.head, _wanted(search)) + _SPARE


class _Recall:
    """One search of some that share their passes."""

    def __init__(self, table: PatternTable, search: Search, passes: Passes, which: int) -> None:
        """Be number `which` of the searches of `passes`."""
        self._table, self._search, self._passes, self._which = table, search, passes, which
        self._words = passes.words[which]
        self._said: dict[int, list[str]] = {}

    def page(self, scored: Scored, ranked: list[int], crowd: float) -> SearchPage:
        """Return the page that the search asks for, found among its first candidates or more of them."""
        search = self._search
        wanted, count, possible = _wanted(search), _first_count(search), self._passes.candidates.counts
        while True:
            ranked = self._with_head(scored, ranked)
            order = self._one_per_group(scored, ranked) if search.deduplicate else iter(ranked)
            found = list(islice(order, wanted))
            if len(found) == wanted or count >= possible[self._which]:
                break
            count *= 4
            scored, (ranked,) = self._passes.best([(self._which, count)])
        return SearchPage(
            tuple(self._hit(scored, place) for place in found[search.offset : search.offset + search.limit]),
            search.offset,
            len(found) == wanted,
            crowd,
            self._lead(scored, found if search.deduplicate else self._one_per_group(scored, ranked)),
        )

    def _with_head(self, scored: Scored, ranked: list[int]) -> list[int]:
        """Return the places with the best few read again beside the query and put in order."""
        head = ranked[: self._search.fusion.head]
        for place in head:
            bonus = self._bonus(int(scored.rows[place]), dense=bool(scored.dense[place]))
            scored.relevance[place] = relevance = scored.relevance[place] + bonus
            scored.score[place] = relevance * scored.quality[place] * scored.recency[place]
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

    def _one_per_group(self, scored: Scored, places: Sequence[int]) -> Iterator[int]:
        """Yield of `places`, best first, those whose task repeats no earlier one."""
        numbers: dict[str, int] = {}
        rows = scored.rows
        return one_per_group(
            (place, {numbers.setdefault(word, len(numbers)) for word in self._words_of(int(rows[place]))})
            for place in places
        )

    def _lead(self, scored: Scored, leaders: Sequence[int] | Iterator[int]) -> float:
        """Return how far the best candidate's relevance lies above the next group's."""
        relevances = [float(scored.relevance[place]) for place in islice(leaders, 2)]
        return relevances[0] - sum(relevances[1:]) if relevances else 0.0

    def _hit(self, scored: Scored, place: int) -> Hit:
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
