"""Random histories, told to the JSON storage and to Postgres: whatever is asked, both answer the same."""

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from engramia.core.model import (
    Classification,
    Event,
    EventKind,
    Observation,
    PatternRecord,
    ReuseTier,
    Scope,
    Source,
)
from engramia.core.ports import PatternStore, Stores
from engramia.core.query import DecayPolicy, Filter, Search
from engramia.providers.json.storage import JSONStorage
from engramia.providers.postgres.storage import PostgresStorage
from tests.congruence.comparison import same_scope
from tests.contract.samples import MODEL, NOW, feedback, key, record, search, version

pytestmark = pytest.mark.slow  # a database server

_DIMENSION = 6
_WORDS = "sort list fast 3 7 report json csv Straße 日本 the of not parse log file x1 a.b_c".split()
_AGING, _FADING = DecayPolicy(0.98, 2.0), DecayPolicy(0.9, 0.15)
_numbers = itertools.count()

numbers = st.integers(0, 9)
scores = st.floats(0, 10)
texts = st.lists(st.sampled_from(_WORDS), min_size=0, max_size=7).map(" ".join)
tasks = st.one_of(texts, st.just("?!"))
directions = st.integers(0, 40)
flags = st.booleans()
searches: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    task=tasks,
    direction=st.one_of(st.none(), directions),
    limit=st.integers(1, 6),
    offset=st.integers(0, 3),
    deduplicate=flags,
    eval_weighted=flags,
    recency_weight=st.sampled_from([0.0, 0.4]),
    min_similarity=st.sampled_from([0.0, 0.3, 0.9]),
    filter=st.builds(
        Filter,
        st.one_of(st.none(), st.sampled_from(Classification)),
        st.one_of(st.none(), st.sampled_from([Source.API, Source.SDK])),
        st.one_of(st.none(), scores),
    ),
)


def direction(number: int) -> "np.ndarray[Any, np.dtype[np.float32]]":
    """Return a unit vector; the first ones lie close together."""
    drawn = np.random.default_rng(number).standard_normal(_DIMENSION)
    if number < 8:
        drawn = np.ones(_DIMENSION) + drawn * 10.0**-number
    return (drawn / np.linalg.norm(drawn)).astype(np.float32)


class BothStorages(RuleBasedStateMachine):
    """The same history in a folder and in a scope of the database."""

    url: str
    asked: list[Search]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="engramia-congruence-"))
        self.json, self.postgres = JSONStorage(self.folder, sync=False), self.open_postgres()
        scope = Scope("congruence", f"history-{next(_numbers)}")
        self.scopes = self.json.scoped(scope), self.postgres.scoped(scope)
        self.now = NOW
        self.asked = [search("sort list 3", direction(1), limit=4)]

    def open_postgres(self) -> PostgresStorage:
        return PostgresStorage(database_url=self.url)

    @contextmanager
    def both(self) -> Iterator[list[Stores]]:
        with self.scopes[0].writing() as json, self.scopes[1].writing() as postgres:
            yield [json, postgres]

    def there(self, patterns: PatternStore, number: int) -> PatternRecord | None:
        return patterns.get(key(number))

    @rule(
        number=numbers, task=tasks, code=texts, score=scores, seen=st.lists(scores, max_size=7),
        where=st.one_of(st.none(), directions), tags=st.lists(st.sampled_from("abc"), unique=True),
        source=st.sampled_from([Source.API, Source.SDK]), rank=st.sampled_from(Classification),
    )  # fmt: skip
    def add(
        self,
        *, number: int, task: str, code: str, score: float, seen: list[float], where: int | None,
        tags: list[str], source: Source, rank: Classification,
    ) -> None:  # fmt: skip
        one = record(
            number, task, scores=tuple(seen), code=code, success_score=score, source=source,
            classification=rank, skills=tuple(tags), embedding_model=None if where is None else MODEL,
        )  # fmt: skip
        with self.both() as stores:
            for store in stores:
                store.patterns.add(one, None if where is None else direction(where))

    @rule(first=st.integers(10, 60), count=st.integers(1, 12), task=tasks, where=directions)
    def add_many(self, first: int, count: int, task: str, where: int) -> None:
        with self.both() as stores:
            for number in range(first, first + count):
                one = record(number, f"{task} {number % 5}", embedding_model=MODEL)
                for store in stores:
                    store.patterns.add(one, direction(where + number % 3))

    @rule(number=numbers, task=tasks, code=texts, score=scores)
    def replace_and_observe(self, number: int, task: str, code: str, score: float) -> None:
        with self.both() as stores:
            for store in stores:
                old = store.patterns.get(key(number))
                if old is not None:
                    better = replace(old.pattern, task=task, code=code, success_score=score)
                    store.patterns.replace(better, version(number))
                    store.patterns.observe(key(number), Observation(score, self.now, "seen"))

    @rule(
        number=numbers,
        tags=st.lists(st.sampled_from("abc"), unique=True),
        rank=st.sampled_from(Classification),
    )
    def tag_and_classify(self, number: int, tags: list[str], rank: Classification) -> None:
        with self.both() as stores:
            for store in stores:
                if store.patterns.get(key(number)) is not None:
                    store.patterns.set_skills(key(number), tags)
                    store.patterns.classify(key(number), rank)

    @rule(some=st.lists(numbers, max_size=4))
    def count_reuse(self, some: list[int]) -> None:
        with self.both() as stores:
            for store in stores:
                store.patterns.count_reuse([key(number) for number in some])

    @rule(some=st.lists(numbers, max_size=3))
    def delete(self, some: list[int]) -> None:
        with self.both() as stores:
            gone = [store.patterns.delete([key(number) for number in some]) for store in stores]
        assert gone[0] == gone[1]

    @rule(days=st.integers(0, 90))
    def age(self, days: int) -> None:
        self.now += timedelta(days=days)
        with self.both() as stores:
            pruned = [store.patterns.age(_AGING, self.now) for store in stores]
            faded = [store.feedback.decay(_FADING, self.now) for store in stores]
        assert pruned[0] == pruned[1]
        assert faded[0] == faded[1]

    @rule(number=numbers, where=directions)
    def embed(self, number: int, where: int) -> None:
        with self.both() as stores:
            for store in stores:
                model = store.patterns.embedding_model() or MODEL
                store.patterns.set_vectors(model, [(key(number), direction(where))])

    @rule()
    def change_the_model(self) -> None:
        with self.both() as stores:
            for store in stores:
                store.patterns.use_embedding_model(MODEL)

    @rule(name=st.sampled_from("abcd"), text=texts, count=st.integers(1, 5), weight=st.floats(0.1, 1))
    def say(self, name: str, text: str, count: int, weight: float) -> None:
        item = replace(feedback(name, text, count=count, weight=weight, task="GROẞ"), decayed_at=self.now)
        with self.both() as stores:
            for store in stores:
                store.feedback.put(item)

    @rule(score=scores, tier=st.one_of(st.none(), st.sampled_from(ReuseTier)))
    def happen(self, score: float, tier: ReuseTier | None) -> None:
        kind = EventKind.LEARN if tier is None else EventKind.RECALL
        event = Event(kind, self.now, eval_score=score if tier is None else None, reuse_tier=tier)
        with self.both() as stores:
            for store in stores:
                store.activity.record(event)

    @rule(how=searches)
    def ask(self, how: dict[str, Any]) -> None:
        where = how.pop("direction")
        self.asked = [search(vector=None if where is None else direction(where), **how)]

    @invariant()
    def both_answer_the_same(self) -> None:
        with self.scopes[0].reading() as json, self.scopes[1].reading() as postgres:
            same_scope(postgres, json, self.asked)

    def teardown(self) -> None:
        self.json.close()
        self.postgres.close()
        shutil.rmtree(self.folder)


def compare(url: str, examples: int, steps: int, machine: type[BothStorages] = BothStorages) -> None:
    machine.url = url
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, derandomize=True,
            suppress_health_check=list(HealthCheck), phases=set(Phase) - {Phase.shrink, Phase.explain},
        ),
    )  # fmt: skip


def test_random_histories_are_told_the_same(postgres_url: str) -> None:
    compare(postgres_url, examples=12, steps=12)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_many_random_histories_are_told_the_same(postgres_url: str) -> None:
    compare(postgres_url, examples=120, steps=25)
