"""Doing a request once, on a storage that counts and fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from engramia.bootstrap import NoRedaction, new_pattern_key
from engramia.core.model import Scope
from engramia.core.ports import ScopedStorage, Stores
from engramia.errors import InProgressError, StorageUnavailableError
from engramia.memory.engine import Embedder, Engine
from engramia.providers.json.storage import JSONStorage
from engramia.server.kit.once import Answered, Attempt, Once, attempt_at
from engramia.server.kit.one_transaction import OneTransaction
from engramia.server.memory.schemas import RecallRequest
from engramia.testing import FrozenClock
from tests.contract.samples import record

MINUTE = timedelta(minutes=1)


class Counted:
    """A storage whose openings for writing are counted; those with the numbers in `failing` fail."""

    def __init__(self, storage: ScopedStorage, *failing: int) -> None:
        self._storage = storage
        self._failing = failing
        self.opened = 0
        self.reading = storage.reading
        self.erase = storage.erase

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[Stores]:
        self.opened += 1
        if self.opened in self._failing:
            raise StorageUnavailableError("gone")
        with self._storage.writing(durable=durable) as stores:
            yield stores


@pytest.fixture
def scope(tmp_path: Path) -> Iterator[ScopedStorage]:
    storage = JSONStorage(tmp_path)
    yield storage.scoped(Scope())
    storage.close()


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


def engine_over(storage: ScopedStorage, clock: FrozenClock) -> Engine:
    return Engine(storage, Embedder(None, clock), NoRedaction(), clock, new_pattern_key)


def attempt(lease: timedelta | None = None) -> Attempt:
    return attempt_at("learn", "key_1", "k1", RecallRequest(task="x"), lease)


def write_twice(unit: OneTransaction) -> Answered:
    for number in (1, 2):
        with unit.writing() as stores:
            stores.patterns.add(record(number), None)
    return Answered(200, b'{"n":2}')


def count(scope: ScopedStorage) -> int:
    with scope.reading() as stores:
        return stores.patterns.count()


@pytest.mark.parametrize(("lease", "opened"), [(None, 1), (MINUTE, 2)])
def test_effects_and_answer_are_one_transaction(
    scope: ScopedStorage, clock: FrozenClock, lease: timedelta | None, opened: int
) -> None:
    counted = Counted(scope)
    outcome = Once().do(Scope(), engine_over(counted, clock), attempt(lease), write_twice)
    assert (outcome.status, outcome.content, outcome.is_replay) == (200, b'{"n":2}', False)
    assert counted.opened == opened
    again = Once().do(Scope(), engine_over(counted, clock), attempt(lease), write_twice)
    assert (again.content, again.is_replay) == (b'{"n":2}', True)
    assert counted.opened == opened, "a replay writes nothing"
    assert count(scope) == 2


class Boom(Exception):
    pass


def fail(unit: OneTransaction) -> Answered:
    write_twice(unit)
    raise Boom


def test_a_failure_that_cannot_be_noted_holds_its_key_for_the_lease(
    scope: ScopedStorage, clock: FrozenClock
) -> None:
    once, announced, work, taken_back = Once(), 1, 2, 3
    counted = Counted(scope, taken_back)
    with pytest.raises(Boom):
        once.do(Scope(), engine_over(counted, clock), attempt(MINUTE), fail)
    assert counted.opened == taken_back > work > announced
    with pytest.raises(InProgressError) as caught:
        once.do(Scope(), engine_over(scope, clock), attempt(MINUTE), write_twice)
    assert (caught.value.code, caught.value.retry_after) == ("idempotency_in_progress", 1.0)
    clock.advance(MINUTE)
    assert not once.do(Scope(), engine_over(scope, clock), attempt(MINUTE), write_twice).is_replay
    assert count(scope) == 2


def test_what_is_asked_within_itself_is_told_that_it_is_under_way(
    scope: ScopedStorage, clock: FrozenClock
) -> None:
    once = Once()

    def ask_again(unit: OneTransaction) -> Answered:
        with pytest.raises(InProgressError):
            once.do(Scope(), engine_over(scope, clock), attempt(), write_twice)
        return write_twice(unit)

    assert not once.do(Scope(), engine_over(scope, clock), attempt(), ask_again).is_replay
    assert once.do(Scope(), engine_over(scope, clock), attempt(), write_twice).is_replay
