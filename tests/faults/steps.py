"""A fixed run of writes, and what the storage holds after each: dying anywhere must leave one of these."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from engramia.core.model import Event, EventKind, Observation, Scope
from engramia.core.query import DecayPolicy, Filter
from engramia.providers.json.storage import JSONScopedStorage, JSONStorage
from tests.contract.samples import NOW, at_cosine, dense, feedback, key, pattern, search, unit, version

PAGE_MAX = 500

type Step = Callable[[JSONScopedStorage], None]


@contextmanager
def opened(path: Path) -> Iterator[JSONScopedStorage]:
    storage = JSONStorage(path, lock_timeout=20.0)
    try:
        yield storage.scoped(Scope())
    finally:
        storage.close()


def learn(number: int) -> Step:
    def step(scope: JSONScopedStorage) -> None:
        with scope.writing() as stores:
            stores.patterns.near_identical(f"task number {number}", 0.92)
            stores.patterns.add(dense(number, scores=(5.0,)), at_cosine(0.9))
            stores.activity.record(Event(EventKind.LEARN, NOW, eval_score=5.0, pattern_key=key(number)))

    return step


def overwrite(scope: JSONScopedStorage) -> None:
    with scope.writing() as stores:
        stores.patterns.replace(pattern(1, "task number 1", code="better()"), version(1))
        stores.patterns.observe(key(1), Observation(9.0, NOW, "good"))
        stores.patterns.set_skills(key(1), ["csv"])
        stores.feedback.put(feedback("a", "no tests"))


def bring_in(scope: JSONScopedStorage) -> None:
    """One transaction of so many records that it takes several lines."""
    with scope.writing() as stores:
        for number in range(100, 160):
            stores.patterns.add(dense(number, code="x = 1\n" * 800), at_cosine(0.5))


def delete(scope: JSONScopedStorage) -> None:
    with scope.writing() as stores:
        stores.patterns.delete([key(2), *(key(number) for number in range(110, 150))])


def age(scope: JSONScopedStorage) -> None:
    with scope.writing() as stores:
        stores.patterns.age(DecayPolicy(0.98, 0.1), NOW + timedelta(weeks=3))
        stores.feedback.decay(DecayPolicy(0.9, 0.15), NOW + timedelta(weeks=3))


def recall(scope: JSONScopedStorage) -> None:
    with scope.writing(durable=False) as stores:
        stores.patterns.count_reuse([key(1)])
        stores.activity.record(Event(EventKind.RECALL, NOW, pattern_key=key(1)))


def compact(scope: JSONScopedStorage) -> None:
    scope.compact()


def erase(scope: JSONScopedStorage) -> None:
    scope.erase()


STEPS: tuple[Step, ...] = (
    learn(1),
    learn(2),
    overwrite,
    bring_in,
    recall,
    delete,
    compact,
    age,
    learn(3),
    compact,
    learn(4),
    erase,
    learn(5),
)


def contents(scope: JSONScopedStorage) -> Any:
    """Return all that the scope holds, `PAGE_MAX` patterns at most, and check that recall finds them."""
    with scope.reading() as stores:
        records = list(stores.patterns.records(Filter()))
        asked = replace(search(vector=unit(1, 0, 0)), limit=PAGE_MAX, deduplicate=False)
        found = {hit.pattern.key for hit in stores.patterns.search(asked)}
        assert found == {record.pattern.key for record in records if record.pattern.embedding_model}
        items = stores.feedback.top(None, min_count=1, limit=99, offset=0).items
        events = stores.activity.events(since=None, kind=None, limit=99).items
        return records, items, events, stores.activity.counts()


def states(path: Path) -> list[Any]:
    """Return what the storage holds before and after each step."""
    with opened(path) as scope:
        found = [contents(scope)]
        for step in STEPS:
            step(scope)
            found.append(contents(scope))
    return found
