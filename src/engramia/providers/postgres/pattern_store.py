"""The patterns port over one transaction."""

from collections.abc import Callable, Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, Integer, Select, Text, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from engramia.core.model import Classification, Observation, Pattern, PatternRecord, Version
from engramia.core.query import DecayPolicy, Filter, Page, Search, SearchPage
from engramia.providers.postgres import rows
from engramia.providers.postgres.memory import ScopeMemory
from engramia.providers.postgres.near_identical import find_near_identical
from engramia.providers.postgres.pattern_statements import BY_KEYS
from engramia.providers.postgres.pattern_writer import PatternWriter
from engramia.providers.postgres.records import read_records
from engramia.providers.postgres.search import run_searches
from engramia.providers.postgres.tables import pattern_observations, pattern_skills, pattern_texts, patterns
from engramia.providers.postgres.transaction import ScopeTransaction, ours
from engramia.providers.postgres.vector_plan import VectorPlan

type Vector = NDArray[np.float32]

_limit, _offset = bindparam("at_most", type_=Integer), bindparam("from_place", type_=Integer)
_skills = bindparam("of_skills", type_=ARRAY(Text))
_TAGGED = (
    select(pattern_skills.c.number)
    .where(ours(pattern_skills), pattern_skills.c.skill == func.any(_skills))
    .group_by(pattern_skills.c.number)
    .having(func.count() >= bindparam("tags", type_=BigInteger))
)
_WITH_SKILLS = (
    select(patterns.c.number)
    .where(ours(patterns), patterns.c.number.in_(_TAGGED))
    .order_by(patterns.c.success_score.desc(), patterns.c.created_at.desc(), patterns.c.key.desc())
    .limit(_limit)
    .offset(_offset)
)
_MEAN = select(func.avg(pattern_observations.c.score)).where(
    ours(pattern_observations), pattern_observations.c.at >= bindparam("since")
)
_WAITING = (
    select(patterns.c.key, pattern_texts.c.task)
    .join_from(patterns, pattern_texts, rows.TEXTS_JOIN)
    .where(ours(patterns), ~patterns.c.dense)
    .order_by(patterns.c.number)
    .limit(_limit)
)


class PostgresPatternStore:
    """Implements `PatternStore`."""

    def __init__(
        self,
        transaction: ScopeTransaction,
        memory: ScopeMemory,
        plan: VectorPlan,
        apart: Callable[[ScopeTransaction, Filter], Iterator[PatternRecord]] | None,
    ) -> None:
        self._transaction = transaction
        self._memory, self._plan, self._apart = memory, plan, apart
        self._writer = PatternWriter(transaction)

    def count(self) -> int:
        """Return how many patterns there are."""
        return self._current().row.patterns

    def get(self, key: str) -> PatternRecord | None:
        """Return the pattern with its history, or None."""
        if self._writer.holds_back(key):
            self._writer.flush()
        self._transaction.check_open()
        return next(read_records(self._transaction, patterns.c.key == bindparam("of_key"), of_key=key), None)

    def present(self, keys: Collection[str]) -> AbstractSet[str]:
        """Return those of `keys` under which there is a pattern."""
        asked = [rows.text(key, "key") for key in keys]
        return {row.key for row in self._current().fetch(BY_KEYS, of_keys=asked)}

    def search(self, search: Search) -> SearchPage:
        """Answer a recall: full pages while matches remain, `has_more` true only if there is more."""
        return self.search_many([search])[0]

    def search_many(self, searches: Sequence[Search]) -> Sequence[SearchPage]:
        """Answer each recall just as `search` does, in the order given."""
        return run_searches(self._current(), searches, self._memory, self._plan)

    def near_identical(self, task: str, min_jaccard: float) -> Sequence[Pattern]:
        """Return patterns whose normalised task is `task`'s, then by overlap, then by score, newest first."""
        return find_near_identical(self._current(), task, min_jaccard)

    def list(self, filter: Filter, *, limit: int, offset: int) -> Page[Pattern]:
        """Return patterns newest first, those of one moment by descending key."""
        return self._page(_list(rows.shape(filter)), limit, offset, **rows.filter_values(filter))

    def with_skills(
        self, skills: Sequence[str], *, match_all: bool, limit: int, offset: int
    ) -> Page[Pattern]:
        """Return patterns tagged with all (or any) of `skills`, best `success_score` first, then newest."""
        asked = list(dict.fromkeys(skills))
        if not asked:
            return Page((), offset)
        tags = len(asked) if match_all else 1
        return self._page(_WITH_SKILLS, limit, offset, of_skills=asked, tags=tags)

    def records(self, filter: Filter) -> Iterator[PatternRecord]:
        """Return every pattern with its history in key order, as of the call, however long it is read."""
        transaction = self._current()
        if self._apart is not None:
            return self._apart(transaction, filter)
        # What this transaction wrote nobody else can see yet.
        return iter([*read_records(transaction, *rows.passing(filter), **rows.filter_values(filter))])

    def mean_observation(self, since: datetime) -> float | None:
        """Return the mean score of all observations made at or after `since`, or None."""
        mean: float | None = self._current().execute(_MEAN, since=since).scalar_one()
        return mean

    def embedding_model(self) -> str | None:
        """Return the identity of the model that fills this store, or None while it has no vector."""
        self._transaction.check_open()
        return self._transaction.row.embedding_model

    def waiting(self, limit: int) -> Sequence[tuple[str, str]]:
        """Return (key, task) of up to `limit` patterns that have no vector of the store's model."""
        return [(row.key, row.task) for row in self._current().execute(_WAITING, at_most=limit)]

    def waiting_count(self) -> int:
        """Return how many patterns have no vector of the store's model."""
        row = self._current().row
        return row.patterns - row.dense

    def add(self, record: PatternRecord, vector: Vector | None) -> None:
        """Store a pattern under its key, in place of one that has the key. `vector` is unit float32."""
        self._writer.add(record, vector)

    def replace(self, pattern: Pattern, superseded: Version) -> None:
        """Store `pattern` over the one with its key, whose vector it keeps, and append `superseded`."""
        self._writer.replace(pattern, superseded)

    def observe(self, key: str, observation: Observation) -> None:
        """Append a quality observation."""
        self._writer.observe(key, observation)

    def set_skills(self, key: str, skills: Sequence[str]) -> None:
        """Put these tags in place of the pattern's."""
        self._writer.set_skills(key, skills)

    def classify(self, key: str, classification: Classification) -> None:
        """Set the pattern's classification."""
        self._writer.classify(key, classification.value)

    def count_reuse(self, keys: Sequence[str]) -> None:
        """Add one to the reuse count for each time a key is named; keys that are gone are passed over."""
        self._writer.count_reuse(keys)

    def age(self, policy: DecayPolicy, now: datetime) -> int:
        """Decay every success score since it was last decayed, delete what fell low, return how many."""
        return self._writer.age(policy, now)

    def delete(self, keys: Sequence[str]) -> int:
        """Delete patterns and all that hangs on them; return how many there were."""
        return self._writer.delete(keys)

    def set_vectors(self, model: str, vectors: Sequence[tuple[str, Vector]]) -> None:
        """Give patterns their vectors, made by `model`; keys that are gone are passed over."""
        self._writer.set_vectors(model, vectors)

    def use_embedding_model(self, model: str) -> None:
        """Make `model` the store's own; vectors of any other no longer count and their patterns wait."""
        self._writer.use_embedding_model(model)

    def _current(self) -> ScopeTransaction:
        """Return the transaction, with everything written that was held back."""
        self._transaction.check_open()
        self._writer.flush()
        return self._transaction

    def _page(self, statement: Select[Any], limit: int, offset: int, **values: Any) -> Page[Pattern]:
        transaction = self._current()
        numbers = (
            transaction.execute(statement, at_most=limit + 1, from_place=offset, **values).scalars().all()
        )
        found = rows.by_number(transaction, numbers[:limit])
        return Page(tuple(found[number] for number in numbers[:limit]), offset, len(numbers) > limit)


@lru_cache(maxsize=16)
def _list(filter: Filter) -> Select[Any]:
    return (
        select(patterns.c.number)
        .where(ours(patterns), *rows.passing(filter))
        .order_by(patterns.c.created_at.desc(), patterns.c.key.desc())
        .limit(_limit)
        .offset(_offset)
    )
