"""A job's storage: one transaction for each part, and a fence before it."""

from datetime import timedelta

import pytest

from engramia.core.jobs import Job
from engramia.core.model import Scope
from engramia.core.ports import ScopedStorage
from engramia.errors import StorageError
from engramia.providers.json.storage import JSONStorage
from engramia.server.jobs.run_storage import RunStorage, RunStorages, SupersededError
from tests.contract.job_samples import at, job
from tests.contract.samples import key, record
from tests.server.jobs.conftest import Shop


@pytest.fixture
def scope(shop: Shop) -> ScopedStorage:
    return shop.storage.scoped(Scope())


@pytest.fixture
def mine(scope: ScopedStorage) -> Job:
    with scope.writing() as stores:
        stores.jobs.add(job(1))
        taken = stores.jobs.claim(worker="w", now=at(1), lease_until=at(31))
    assert taken is not None
    return taken


def count(scope: ScopedStorage) -> int:
    with scope.reading() as stores:
        return stores.patterns.count()


def learn(run: RunStorage, *numbers: int) -> None:
    for number in numbers:
        with run.writing() as stores:
            stores.patterns.add(record(number), None)


def get(scope: ScopedStorage, one: Job) -> Job | None:
    with scope.reading() as stores:
        return stores.jobs.get(one.id)


def test_all_writes_and_the_end_are_one_transaction(shop: Shop, scope: ScopedStorage, mine: Job) -> None:
    other = JSONStorage(shop.storage.path)
    run = RunStorage(scope, mine)
    with run.transaction():
        assert count(run) == 0
        assert not run.is_open
        learn(run, 1, 2)
        assert run.is_open
        assert count(run) == 2, "it sees its own"
        assert count(other.scoped(Scope())) == 0, "others do not, yet"
        run.finish({"n": 2}, at(5))
        assert get(other.scoped(Scope()), mine) == mine
    assert count(other.scoped(Scope())) == 2
    assert get(other.scoped(Scope()), mine) == mine.completed({"n": 2}, at(5))
    other.close()


def test_a_run_that_writes_nothing_ends_too(scope: ScopedStorage, mine: Job) -> None:
    run = RunStorage(scope, mine)
    with run.transaction():
        assert count(run) == 0
        run.finish({}, at(5))
    assert get(scope, mine) == mine.completed({}, at(5))


class Boom(Exception):
    pass


def fail_after_writing(run: RunStorage) -> None:
    with run.transaction():
        learn(run, 1)
        run.finish({}, at(5))
        raise Boom


def test_a_run_that_fails_leaves_nothing(scope: ScopedStorage, mine: Job) -> None:
    with pytest.raises(Boom):
        fail_after_writing(RunStorage(scope, mine))
    assert count(scope) == 0
    assert get(scope, mine) == mine


def fail_inside_a_block(run: RunStorage) -> None:
    with run.writing() as stores:
        stores.patterns.add(record(1), None)
        raise Boom


def swallow(run: RunStorage) -> None:
    with run.transaction():
        with pytest.raises(Boom):
            fail_inside_a_block(run)
        run.finish({}, at(5))


def test_a_block_that_failed_spoils_the_run_also_when_the_operation_goes_on(
    scope: ScopedStorage, mine: Job
) -> None:
    with pytest.raises(StorageError, match="nothing of it is kept"):
        swallow(RunStorage(scope, mine))
    assert count(scope) == 0
    assert get(scope, mine) == mine


def write_late(run: RunStorage) -> None:
    with run.transaction():
        learn(run, 1)
        run.finish({"by": "late"}, at(50))


def finish_late(run: RunStorage) -> None:
    with run.transaction():
        run.finish({"by": "late"}, at(50))


@pytest.mark.parametrize("late", [write_late, finish_late])
@pytest.mark.parametrize("what", ["taken over", "completed", "given back", "failed", "erased"])
def test_a_late_worker_cannot_write_effects_or_overwrite(
    scope: ScopedStorage, mine: Job, late: object, what: str
) -> None:
    with scope.writing() as stores:
        match what:
            case "given back":
                assert stores.jobs.release(mine.id, mine.fence)
            case "failed":
                assert stores.jobs.cancel(mine.id, at(40)) is False
                assert stores.jobs.release(mine.id, mine.fence)
                assert stores.jobs.cancel(mine.id, at(40))
            case "taken over" | "completed":
                second = stores.jobs.claim(worker="v", now=at(31), lease_until=at(90))
                assert second is not None
                if what == "completed":
                    assert stores.jobs.complete(second.id, second.fence, {"by": "second"}, at(40))
            case _:
                pass
    if what == "erased":
        scope.erase()
    before = get(scope, mine)
    assert callable(late)
    with pytest.raises(SupersededError):
        late(RunStorage(scope, mine))
    assert count(scope) == 0
    assert get(scope, mine) == before


def test_a_late_worker_learns_it_at_its_first_write(scope: ScopedStorage, mine: Job) -> None:
    with scope.writing() as stores:
        assert stores.jobs.release(mine.id, mine.fence)
    run = RunStorage(scope, mine)
    with run.transaction(), pytest.raises(SupersededError):
        learn(run, 1)
    assert count(scope) == 0


def test_a_worker_that_is_late_but_was_not_replaced_may_end(scope: ScopedStorage, mine: Job) -> None:
    """Its lease has run out, and nobody took the job: there is nothing to protect."""
    run = RunStorage(scope, mine)
    with run.transaction():
        learn(run, 1)
        run.finish({}, at(31) + timedelta(hours=1))
    assert count(scope) == 1


def test_an_abandoned_run_stops_at_its_next_look(scope: ScopedStorage, mine: Job) -> None:
    parts = RunStorages(scope, mine)
    run = parts.next()
    assert count(run) == 0
    parts.abandon()
    with pytest.raises(SupersededError):
        count(run)
    with pytest.raises(SupersededError):
        write_late(run)
    assert get(scope, mine) == mine


def test_a_run_that_is_writing_cannot_be_abandoned(scope: ScopedStorage, mine: Job) -> None:
    parts = RunStorages(scope, mine)
    run = parts.next()
    with run.transaction():
        learn(run, 1)
        parts.abandon()
        learn(run, 2)
        assert count(run) == 2
        run.finish({}, at(5))
    with scope.reading() as stores:
        assert stores.patterns.get(key(2)) is not None


def advance(run: RunStorage, number: int) -> None:
    with run.transaction():
        learn(run, number)
        run.advance({"done": number}, at(40 + number))


def test_each_part_is_a_transaction_with_how_far_it_came(scope: ScopedStorage, mine: Job) -> None:
    parts = RunStorages(scope, mine)
    assert not parts.is_open
    for number in (1, 2):
        run = parts.next()
        assert not parts.is_open, "while it is being prepared"
        with run.transaction():
            learn(run, number)
            assert parts.is_open
            run.advance({"done": number}, at(40 + number))
        assert count(scope) == number
        assert get(scope, mine) == mine.advanced({"done": number}, at(40 + number))
    with (last := parts.next()).transaction():
        last.finish({"n": 2}, at(50))
    assert get(scope, mine) == mine.completed({"n": 2}, at(50))


@pytest.mark.parametrize("what", ["taken over", "cancelled"])
def test_a_worker_that_lost_the_job_between_two_parts_does_no_further_one(
    scope: ScopedStorage, mine: Job, what: str
) -> None:
    parts = RunStorages(scope, mine)
    advance(parts.next(), 1)
    late = parts.next()
    with scope.writing() as stores:
        if what == "cancelled":
            assert stores.jobs.release(mine.id, mine.fence)
            assert stores.jobs.cancel(mine.id, at(42))
        else:
            assert stores.jobs.claim(worker="v", now=at(41), lease_until=at(90))
    before = get(scope, mine)
    with pytest.raises(SupersededError):
        advance(late, 2)
    with pytest.raises(SupersededError):
        finish_late(parts.next())
    assert (count(scope), get(scope, mine)) == (1, before)


def test_an_abandoned_run_does_no_further_part(scope: ScopedStorage, mine: Job) -> None:
    parts = RunStorages(scope, mine)
    advance(parts.next(), 1)
    parts.abandon()
    with pytest.raises(SupersededError):
        advance(parts.next(), 2)
    assert count(scope) == 1


def test_a_job_cannot_erase_its_scope(scope: ScopedStorage, mine: Job) -> None:
    with pytest.raises(StorageError, match="cannot be erased"):
        RunStorage(scope, mine).erase()
