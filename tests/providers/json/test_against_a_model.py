"""Random operations, reopening and compaction, beside a plain dictionary that does the same."""

import contextlib
import shutil
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engramia.core.model import Classification, Observation, PatternRecord, Scope
from engramia.core.query import DecayPolicy, Filter
from engramia.providers.json.storage import JSONScopedStorage, JSONStorage
from tests.contract.samples import MODEL, NOW, key, record, search, unit, version

pytestmark = pytest.mark.slow

numbers = st.integers(0, 7)
scores = st.floats(0, 10)
POLICY = DecayPolicy(0.98, 0.5)


class Boom(Exception):
    pass


class StorageBesideADictionary(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="engramia-model-"))
        self.storage = JSONStorage(self.folder, sync=False)
        self.other = JSONStorage(self.folder, sync=False)
        self.expected: dict[str, PatternRecord] = {}
        self.now = NOW

    @property
    def scope(self) -> JSONScopedStorage:
        return self.storage.scoped(Scope())

    @rule(
        number=numbers,
        score=scores,
        vector=st.booleans(),
        skills=st.lists(st.sampled_from("ab"), unique=True),
    )
    def add(self, number: int, score: float, vector: bool, skills: list[str]) -> None:
        one = record(
            number, success_score=score, skills=tuple(skills), embedding_model=MODEL if vector else None
        )
        with self.scope.writing() as stores:
            stores.patterns.add(one, unit(1, number) if vector else None)
        self.expected[key(number)] = one

    @rule(number=numbers)
    def add_that_fails(self, number: int) -> None:
        with contextlib.suppress(Boom), self.scope.writing() as stores:
            stores.patterns.add(record(number, "never"), None)
            raise Boom

    @rule(number=numbers, score=scores)
    def observe_and_replace(self, number: int, score: float) -> None:
        old = self.expected.get(key(number))
        if old is None:
            return
        better = replace(old.pattern, code="better", task=f"task number {number} again", success_score=score)
        with self.scope.writing() as stores:
            stores.patterns.replace(better, version(number))
            stores.patterns.observe(key(number), Observation(score, self.now))
            stores.patterns.classify(key(number), Classification.PUBLIC)
        better = replace(better, classification=Classification.PUBLIC)
        seen = (*old.observations, Observation(score, self.now))
        self.expected[key(number)] = PatternRecord(better, (*old.versions, version(number))[-20:], seen)

    @rule(some=st.lists(numbers))
    def count_reuse(self, some: list[int]) -> None:
        with self.scope.writing(durable=False) as stores:
            stores.patterns.count_reuse([key(number) for number in some])
        for number in some:
            old = self.expected.get(key(number))
            if old is not None:
                counted = replace(old.pattern, reuse_count=old.pattern.reuse_count + 1)
                self.expected[key(number)] = replace(old, pattern=counted)

    @rule(some=st.lists(numbers, max_size=3))
    def delete(self, some: list[int]) -> None:
        there = {key(number) for number in some} & self.expected.keys()
        with self.scope.writing() as stores:
            assert stores.patterns.delete([key(number) for number in some]) == len(there)
        for one in there:
            del self.expected[one]

    @rule(days=st.integers(0, 60))
    def age(self, days: int) -> None:
        self.now += timedelta(days=days)
        kept = {}
        for one, old in self.expected.items():
            factor = POLICY.factor(old.pattern.decayed_at, self.now)
            score = old.pattern.success_score * factor
            if score >= POLICY.prune_below:
                decayed = max(old.pattern.decayed_at, self.now)
                kept[one] = replace(
                    old, pattern=replace(old.pattern, success_score=score, decayed_at=decayed)
                )
        with self.scope.writing() as stores:
            assert stores.patterns.age(POLICY, self.now) == len(self.expected) - len(kept)
        self.expected = kept

    @rule()
    def compact(self) -> None:
        self.scope.compact()

    @rule()
    def reopen(self) -> None:
        self.storage.close()
        self.storage = JSONStorage(self.folder, sync=False)

    @rule()
    def change_sides(self) -> None:
        self.storage, self.other = self.other, self.storage

    @rule()
    def erase(self) -> None:
        self.scope.erase()
        self.expected = {}

    @invariant()
    def both_hold_what_is_expected(self) -> None:
        for storage in (self.storage, self.other):
            with storage.scoped(Scope()).reading() as stores:
                found = {one.pattern.key: one for one in stores.patterns.records(Filter())}
                assert found == self.expected
                assert stores.patterns.count() == len(found)
                dense = {one for one, held in found.items() if held.pattern.embedding_model}
                assert stores.patterns.waiting_count() == len(found) - len(dense)
                asked = search("zzz", unit(1, 0), deduplicate=False, limit=50)
                hits = {hit.pattern.key for hit in stores.patterns.search(asked)} if dense else set()
                assert hits == dense
                for skill in "ab":
                    tagged = stores.patterns.with_skills([skill], match_all=True, limit=50, offset=0)
                    wanted = {one for one, held in found.items() if skill in held.pattern.skills}
                    assert {one.key for one in tagged} == wanted

    def teardown(self) -> None:
        self.storage.close()
        self.other.close()
        shutil.rmtree(self.folder)


TestAgainstADictionary = StorageBesideADictionary.TestCase
TestAgainstADictionary.settings = settings(max_examples=30, stateful_step_count=30, derandomize=True)
