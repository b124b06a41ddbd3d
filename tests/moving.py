"""Memories to be moved, and what has to be the same on both sides afterwards."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from engramia.core.contents import Inventory, inventory_of
from engramia.core.jobs import UNFINISHED, Job
from engramia.core.model import Classification, Event, EventKind, Observation, ReuseTier, Scope, Source
from engramia.core.ports import JobStore, Mover, Storage, Stores
from engramia.core.query import Filter, Search
from tests.congruence.comparison import same_scope
from tests.contract.job_samples import ERROR, at, job
from tests.contract.samples import MODEL, NOW, dense, feedback, key, record, search, version

DIMENSION = 48
SCOPES = (Scope("acme", "Shop"), Scope("acme", "a.b"), Scope("zoo", "default"))


def direction(number: int) -> NDArray[np.float32]:
    """Return a unit vector of its own for each number."""
    drawn = np.random.default_rng(number).standard_normal(DIMENSION)
    return (drawn / np.linalg.norm(drawn)).astype(np.float32)


def searches() -> Sequence[Search]:
    return [
        search("task number 3", direction(3), limit=7),
        search("Straße report", None, limit=7),
        search("report for customer 4", direction(40), limit=5, offset=2, deduplicate=True),
    ]


def furnish(storage: Storage, scope: Scope, patterns: int = 12) -> None:
    """Put into a scope something of everything that it can hold."""
    with storage.scoped(scope).writing() as stores:
        _learn(stores, patterns)
        stores.feedback.put(feedback("b", "Too slow output", count=3, weight=0.123456789012345))
        stores.feedback.put(feedback("a", "no tests"))
        stores.feedback.put(feedback("b", "Too slow output ß", count=4, weight=0.7))
        for number in range(5):
            seen = NOW + timedelta(days=number % 3, microseconds=number)
            stores.activity.record(Event(EventKind.LEARN, seen, eval_score=number * 2.0, pattern_key=key(1)))
        stores.activity.record(Event(EventKind.RECALL, NOW, None, 0.93, ReuseTier.ADAPT, key(2)))
        _queue(stores.jobs)


def _learn(stores: Stores, patterns: int) -> None:
    store = stores.patterns
    for number in range(patterns):
        one = dense(number, f"Straße report {number}" if number % 2 else "", scores=(1.5, 9.25))
        store.add(one, direction(number))
    store.add(record(patterns, "without a vector", output=None, run_id="run", author="key_1"), None)
    store.add(record(patterns + 1, "?!", code="\t\n", skills=("b", "a"), source=Source.API), None)
    better = replace(store.list(Filter(), limit=1, offset=0).items[0], success_score=9.87654321)
    store.replace(better, version(1))
    store.observe(key(1), Observation(0.1 + 0.2, NOW, "späť"))
    store.classify(key(2), Classification.CONFIDENTIAL)
    store.count_reuse([key(0), key(0), key(3)])
    store.delete([key(4)])


def _queue(jobs: JobStore) -> None:
    """Add jobs of every kind that a process can leave behind."""
    for number in range(4):
        jobs.add(job(number, request={"task": f"t{number}", "z": 1, "a": [1.5, None]}, author="key_1"))
    for _ in range(3):
        assert jobs.claim(worker="w", now=at(100), lease_until=at(160))
    jobs.advance(job(2).id, 1, {"done": 2, "reasons": [{"key": None}]}, at(170))
    jobs.complete(job(0).id, 1, {"answer": {"b": 2, "a": 1}}, at(110))
    jobs.fail(job(1).id, 1, ERROR, at(111))


def jobs_of(stores: Stores) -> Sequence[Job]:
    listed = stores.jobs.list(None, limit=100, offset=0)
    whole = [stores.jobs.get(one.id) if one.status in UNFINISHED else one for one in listed]
    return [one for one in whole if one is not None]


def answer_the_same(ours: Storage, theirs: Storage, scope: Scope) -> None:
    """Compare everything that a scope answers from both storages."""
    with ours.scoped(scope).reading() as left, theirs.scoped(scope).reading() as right:
        same_scope(left, right, searches())
        assert jobs_of(left) == jobs_of(right)
        assert left.jobs.next_due() == right.jobs.next_due()
        assert left.patterns.embedding_model() == MODEL


def inventories(mover: Mover) -> dict[Scope, Inventory]:
    """Return what each scope holds, to the last bit of a vector."""
    found = {}
    for scope in mover.scopes():
        with mover.reading(scope) as contents:
            found[scope] = inventory_of(contents)
    return found
