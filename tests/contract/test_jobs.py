"""The obligations of `JobStore`, and of finding the scopes that have jobs."""

import threading
from collections.abc import Callable
from functools import partial

import pytest

from engramia.core.jobs import Job, JobStatus
from engramia.core.model import Scope
from engramia.core.ports import ScopedStorage, Storage, Stores
from engramia.errors import StorageError, ValidationError
from tests.contract.conftest import Open
from tests.contract.job_samples import ERROR, at, job, name
from tests.contract.samples import record


def add(scope: ScopedStorage, *jobs: Job) -> None:
    with scope.writing() as stores:
        for one in jobs:
            stores.jobs.add(one)


def get(scope: ScopedStorage, number: int) -> Job | None:
    with scope.reading() as stores:
        return stores.jobs.get(name(number))


def take(stores: Stores, now: float = 1000, lease: float = 30) -> Job | None:
    return stores.jobs.claim(worker="w", now=at(now), lease_until=at(now + lease))


def claim(scope: ScopedStorage, now: float = 1000, lease: float = 30) -> Job:
    with scope.writing() as stores:
        taken = take(stores, now, lease)
    assert taken is not None
    return taken


def test_a_job_comes_back_as_it_was_added(scope: ScopedStorage, elsewhere: ScopedStorage) -> None:
    request = {"task": "Größe in µm 📏", "code": 'say("\\n")', "deep": [{"a": [1, 2.5, None, True]}], "": {}}
    one = job(1, request=request, author="key_1", run_at=at(3.000001))
    add(scope, one)
    assert get(elsewhere, 1) == one
    assert get(elsewhere, 2) is None


def test_what_json_cannot_hold_is_refused_and_nothing_is_kept(scope: ScopedStorage, storage: Storage) -> None:
    with pytest.raises(ValidationError, match="request"):
        add(scope, job(1, request={"when": {1, 2}}))
    assert get(scope, 1) is None
    assert list(storage.scopes_with_jobs()) == []


def test_a_job_is_added_in_a_block_for_writing_only(scope: ScopedStorage, storage: Storage) -> None:
    with scope.reading() as stores, pytest.raises(StorageError):
        stores.jobs.add(job(1))
    assert list(storage.scopes_with_jobs()) == []


def test_jobs_are_listed_newest_first_by_status_in_exact_pages(scope: ScopedStorage) -> None:
    add(scope, *(job(number) for number in (2, 5, 1, 4, 3)))
    claim(scope, now=1)
    with scope.reading() as stores:
        page = stores.jobs.list(None, limit=2, offset=1)
        assert [one.id for one in page] == [name(4), name(3)]
        assert page.next_offset == 3
        assert not stores.jobs.list(None, limit=2, offset=3).has_more
        assert [one.id for one in stores.jobs.list(JobStatus.RUNNING, limit=9, offset=0)] == [name(1)]
        assert len(stores.jobs.list(JobStatus.PENDING, limit=9, offset=0)) == 4
        assert len(stores.jobs.list(JobStatus.FAILED, limit=9, offset=0)) == 0
        assert {len(one.request) for one in stores.jobs.list(None, limit=9, offset=0)} == {0}


def test_the_job_that_was_due_the_longest_is_claimed(scope: ScopedStorage, elsewhere: ScopedStorage) -> None:
    add(scope, job(1, run_at=at(9)), job(2), job(3, run_at=at(0)))
    assert [claim(view).id for view in (scope, elsewhere, scope)] == [name(3), name(2), name(1)]
    with scope.writing() as stores:
        assert take(stores) is None


def test_a_claim_is_an_attempt_with_a_lease(scope: ScopedStorage, elsewhere: ScopedStorage) -> None:
    add(scope, job(1))
    taken = claim(scope, now=2, lease=30)
    assert taken == job(1).claimed(worker="w", now=at(2), lease_until=at(32))
    assert get(elsewhere, 1) == taken


def test_nothing_is_claimed_before_it_is_due(scope: ScopedStorage) -> None:
    add(scope, job(5))
    with scope.writing() as stores:
        assert take(stores, now=4.999999) is None
        assert stores.jobs.next_due() == at(5)
        assert take(stores, now=5) is not None


def test_next_due_is_of_the_first_pending_job_or_lease(scope: ScopedStorage) -> None:
    with scope.reading() as stores:
        assert stores.jobs.next_due() is None
    add(scope, job(5), job(50))
    first = claim(scope, now=10, lease=30)
    with scope.writing() as stores:
        assert stores.jobs.next_due() == at(40)
        assert stores.jobs.extend(first.id, first.fence, at(60))
        assert stores.jobs.next_due() == at(50)
        assert stores.jobs.complete(first.id, first.fence, {}, at(20))
        assert stores.jobs.cancel(name(50), at(21))
        assert stores.jobs.next_due() is None


@pytest.mark.parametrize("ended", [False, True])
def test_after_its_lease_a_job_is_taken_over_and_the_late_worker_cannot_touch_it(
    scope: ScopedStorage, elsewhere: ScopedStorage, ended: bool
) -> None:
    add(scope, job(1))
    late = claim(scope, now=2, lease=30)
    with elsewhere.writing() as stores:
        assert take(stores, now=31.999) is None
        second = take(stores, now=32)
        assert second is not None
        assert (second.attempts, second.fence) == (2, 2)
        if ended:
            assert stores.jobs.complete(second.id, second.fence, {"by": "second"}, at(33))
    before = get(scope, 1)
    with scope.writing() as stores:
        jobs = stores.jobs
        assert not jobs.holds(late.id, late.fence)
        assert not jobs.extend(late.id, late.fence, at(90))
        assert not jobs.advance(late.id, late.fence, {"by": "late"}, at(90))
        assert not jobs.complete(late.id, late.fence, {"by": "late"}, at(40))
        assert not jobs.fail(late.id, late.fence, ERROR, at(40))
        assert not jobs.retry(late.id, late.fence, ERROR, at(40))
        assert not jobs.release(late.id, late.fence)
        assert jobs.holds(second.id, second.fence) is not ended
    assert get(scope, 1) == before


def test_more_time_keeps_a_job_from_being_taken_over(scope: ScopedStorage) -> None:
    add(scope, job(1))
    mine = claim(scope, now=2, lease=30)
    with scope.writing() as stores:
        assert stores.jobs.extend(mine.id, mine.fence, at(60))
        assert take(stores, now=59) is None
        assert stores.jobs.holds(mine.id, mine.fence)


def test_completing_keeps_the_result_and_forgets_the_request(
    scope: ScopedStorage, elsewhere: ScopedStorage
) -> None:
    add(scope, job(1))
    mine = claim(scope)
    result = {"median_score": 7.5, "feedback": "Prüfe “leere” Eingaben", "stages": [{"name": "a"}]}
    with scope.writing() as stores:
        assert stores.jobs.complete(mine.id, mine.fence, result, at(1001))
        assert not stores.jobs.complete(mine.id, mine.fence, {"again": 1}, at(1002))
    assert get(elsewhere, 1) == mine.completed(result, at(1001))


PARTS = {"done": 2, "reasons": [{"index": 1, "reason": "“leer”"}]}


def advanced(scope: ScopedStorage) -> Job:
    """Claim the one job there is and bring it a part further."""
    mine = claim(scope, now=2, lease=30)
    with scope.writing() as stores:
        assert stores.jobs.advance(mine.id, mine.fence, PARTS, at(60))
    return mine.advanced(PARTS, at(60))


def test_how_far_it_is_is_kept_with_more_time_for_its_worker(
    scope: ScopedStorage, elsewhere: ScopedStorage
) -> None:
    add(scope, job(1))
    mine = advanced(scope)
    assert get(elsewhere, 1) == mine
    with elsewhere.writing() as stores:
        assert stores.jobs.holds(mine.id, mine.fence)
        assert stores.jobs.next_due() == at(60)
        assert take(stores, now=59) is None
        (listed,) = stores.jobs.list(None, limit=9, offset=0)
        assert listed.progress == PARTS
        assert stores.jobs.advance(mine.id, mine.fence, {"done": 3}, at(61))
    assert get(scope, 1) == mine.advanced({"done": 3}, at(61))


def test_the_next_attempt_goes_on_from_where_the_job_was(
    scope: ScopedStorage, elsewhere: ScopedStorage
) -> None:
    add(scope, job(1))
    mine = advanced(scope)
    second = claim(elsewhere, now=60, lease=30)
    assert second == mine.claimed(worker="w", now=at(60), lease_until=at(90))
    assert (second.progress, second.request) == (PARTS, {"task": "task 1"})


@pytest.mark.parametrize("step", ["extend", "retry", "release"])
def test_how_far_it_is_outlasts_what_happens_to_it(
    scope: ScopedStorage, elsewhere: ScopedStorage, step: str
) -> None:
    add(scope, job(1))
    mine = advanced(scope)
    with scope.writing() as stores:
        match step:
            case "extend":
                assert stores.jobs.extend(mine.id, mine.fence, at(90))
            case "retry":
                assert stores.jobs.retry(mine.id, mine.fence, ERROR, at(70))
            case _:
                assert stores.jobs.release(mine.id, mine.fence)
    left = get(elsewhere, 1)
    assert left is not None
    assert (left.progress, left.request) == (PARTS, {"task": "task 1"})


@pytest.mark.parametrize("end", ["complete", "fail", "cancel", "expire"])
def test_once_completed_only_the_result_says_what_was_done(
    scope: ScopedStorage, elsewhere: ScopedStorage, end: str
) -> None:
    add(scope, job(1))
    mine = advanced(scope)
    with scope.writing() as stores:
        match end:
            case "complete":
                assert stores.jobs.complete(mine.id, mine.fence, {"all": 3}, at(70))
            case "fail":
                assert stores.jobs.fail(mine.id, mine.fence, ERROR, at(70))
            case "cancel":
                assert stores.jobs.release(mine.id, mine.fence)
                assert stores.jobs.cancel(mine.id, at(70))
            case _:
                assert stores.jobs.release(mine.id, mine.fence)
                assert stores.jobs.expire(at(50), at(70)) == [mine.released().expired(at(70))]
    over = get(elsewhere, 1)
    assert over is not None
    assert (over.progress, over.request) == (None if end == "complete" else PARTS, {})


def test_only_a_running_job_advances(scope: ScopedStorage, elsewhere: ScopedStorage) -> None:
    add(scope, job(1), job(2))
    done = claim(scope)
    with scope.writing() as stores:
        assert stores.jobs.complete(done.id, done.fence, {}, at(1001))
        assert not stores.jobs.advance(done.id, done.fence, PARTS, at(1100))
        assert not stores.jobs.advance(name(2), 0, PARTS, at(1100))
        assert not stores.jobs.advance(name(3), 1, PARTS, at(1100))
    assert get(elsewhere, 1) == done.completed({}, at(1001))
    assert get(elsewhere, 2) == job(2)


def advance_and_stop(scope: ScopedStorage, mine: Job) -> None:
    with scope.writing() as stores:
        stores.patterns.add(record(1), None)
        assert stores.jobs.advance(mine.id, mine.fence, {"done": 3}, at(90))
        raise Stop


def test_a_part_is_kept_with_how_far_it_went_or_not_at_all(
    scope: ScopedStorage, elsewhere: ScopedStorage
) -> None:
    add(scope, job(1))
    mine = advanced(scope)
    with pytest.raises(Stop):
        advance_and_stop(scope, mine)
    for view in (scope, elsewhere):
        assert get(view, 1) == mine
        with view.reading() as stores:
            assert stores.patterns.count() == 0


def test_how_far_it_is_must_be_json(scope: ScopedStorage) -> None:
    add(scope, job(1))
    mine = claim(scope)
    with scope.writing() as stores, pytest.raises(ValidationError, match="progress"):
        stores.jobs.advance(mine.id, mine.fence, {"a set": {1}}, at(1100))


def test_failing_keeps_the_reason(scope: ScopedStorage, elsewhere: ScopedStorage) -> None:
    add(scope, job(1))
    mine = claim(scope)
    with scope.writing() as stores:
        assert stores.jobs.fail(mine.id, mine.fence, ERROR, at(1001))
    failed = get(elsewhere, 1)
    assert failed == mine.failed(ERROR, at(1001))
    with scope.writing() as stores:
        assert take(stores, now=9999) is None


def test_a_retry_waits_until_it_is_due(scope: ScopedStorage, elsewhere: ScopedStorage) -> None:
    add(scope, job(1))
    mine = claim(scope)
    with scope.writing() as stores:
        assert stores.jobs.retry(mine.id, mine.fence, ERROR, at(2000))
        assert take(stores, now=1999) is None
    assert get(elsewhere, 1) == mine.retried(ERROR, at(2000))
    assert claim(elsewhere, now=2000).attempts == 2


def test_what_is_given_back_is_claimed_as_if_for_the_first_time_by_another_fence(
    scope: ScopedStorage, elsewhere: ScopedStorage
) -> None:
    add(scope, job(1))
    mine = claim(scope)
    with scope.writing() as stores:
        assert stores.jobs.release(mine.id, mine.fence)
    again = claim(elsewhere)
    assert again.attempts == mine.attempts == 1
    with scope.writing() as stores:
        assert not stores.jobs.complete(mine.id, mine.fence, {}, at(1001))
        assert stores.jobs.complete(again.id, again.fence, {}, at(1001))


def test_only_a_pending_job_is_cancelled(scope: ScopedStorage, elsewhere: ScopedStorage) -> None:
    add(scope, job(1), job(2))
    running = claim(scope)
    with scope.writing() as stores:
        assert not stores.jobs.cancel(running.id, at(1001))
        assert stores.jobs.cancel(name(2), at(1001))
        assert not stores.jobs.cancel(name(2), at(1002))
        assert not stores.jobs.cancel(name(3), at(1001))
        assert take(stores, now=1001) is None
    assert get(elsewhere, 1) == running
    assert get(elsewhere, 2) == job(2).cancelled(at(1001))


def test_jobs_that_nobody_takes_expire(scope: ScopedStorage, elsewhere: ScopedStorage) -> None:
    add(scope, job(1), job(2), job(3), job(4))
    claim(scope, now=4, lease=1)
    with scope.writing() as stores:
        assert stores.jobs.expire(at(2), at(1000)) == []
        assert stores.jobs.expire(at(4), at(1000)) == [job(2).expired(at(1000)), job(3).expired(at(1000))]
    assert [one.status for number in (1, 2, 3, 4) if (one := get(elsewhere, number))] == [
        "running",
        "expired",
        "expired",
        "pending",
    ]


def finish(stores: Stores, number: int, end: float) -> None:
    stores.jobs.add(job(number))
    assert stores.jobs.cancel(name(number), at(end))


def test_old_and_surplus_finished_jobs_are_pruned(scope: ScopedStorage, elsewhere: ScopedStorage) -> None:
    with scope.writing() as stores:
        for number, end in ((1, 100), (2, 400), (3, 200), (4, 300)):
            finish(stores, number, end)
        stores.jobs.add(job(5))
        assert stores.jobs.prune(at(100), 4) == 0
        assert stores.jobs.prune(at(100.5), 2) == 2
        assert stores.jobs.prune(at(100.5), 2) == 0
    with elsewhere.reading() as stores:
        left = [one.id for one in stores.jobs.list(None, limit=9, offset=0)]
        assert left == [name(5), name(4), name(2)]
        assert stores.jobs.next_due() == at(5)


def test_an_unknown_job_is_nobodys(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        assert not stores.jobs.holds(name(1), 1)
        assert not stores.jobs.extend(name(1), 1, at(1))
        assert not stores.jobs.complete(name(1), 1, {}, at(1))


class Stop(Exception):
    pass


def fail_half_way(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        mine = take(stores)
        assert mine is not None
        stores.patterns.add(record(1), None)
        assert stores.jobs.complete(mine.id, mine.fence, {}, at(1001))
        raise Stop


def test_a_job_ends_with_the_rest_of_its_transaction_or_not_at_all(
    scope: ScopedStorage, elsewhere: ScopedStorage
) -> None:
    add(scope, job(1))
    with pytest.raises(Stop):
        fail_half_way(scope)
    for view in (scope, elsewhere):
        assert get(view, 1) == job(1)
        with view.reading() as stores:
            assert stores.patterns.count() == 0
            assert stores.jobs.next_due() == at(1)


def test_scopes_with_unfinished_jobs_are_found_by_every_process(open_storage: Open) -> None:
    here, there = open_storage(), open_storage()
    scopes = [Scope("acme", "a"), Scope("acme", "B"), Scope("zeta", "x.y")]
    for scope in reversed(scopes):
        add(here.scoped(scope), job(1))
        with here.scoped(scope).writing() as stores:
            stores.patterns.add(record(1), None)
    with here.scoped(Scope("no", "jobs")).writing() as stores:
        stores.patterns.add(record(1), None)
    expected = sorted(scopes, key=lambda scope: (scope.tenant_id, scope.project_id))
    assert list(there.scopes_with_jobs()) == list(here.scopes_with_jobs()) == expected


@pytest.mark.parametrize("end", ["complete", "fail", "cancel", "expire"])
def test_a_scope_whose_jobs_have_finished_is_not_found_once_a_claim_found_nothing(
    open_storage: Open, end: str
) -> None:
    here, there = open_storage(), open_storage()
    add(here.scoped(Scope()), job(1), job(2))
    ends: dict[str, Callable[[Stores, Job], object]] = {
        "complete": lambda stores, one: stores.jobs.complete(one.id, one.fence, {}, at(1001)),
        "fail": lambda stores, one: stores.jobs.fail(one.id, one.fence, ERROR, at(1001)),
        "cancel": lambda stores, one: (
            stores.jobs.release(one.id, one.fence) and stores.jobs.cancel(one.id, at(1001))
        ),
        "expire": lambda stores, one: (
            stores.jobs.release(one.id, one.fence) and stores.jobs.expire(at(3), at(1001))
        ),
    }
    with there.scoped(Scope()).writing() as stores:
        mine = take(stores)
        assert mine is not None
        assert ends[end](stores, mine)
    if end != "expire":
        assert list(there.scopes_with_jobs()) == [Scope()], "one is left"
        with there.scoped(Scope()).writing() as stores:
            assert stores.jobs.cancel(name(2), at(1001))
    with there.scoped(Scope()).writing() as stores:
        assert take(stores) is None
    assert list(here.scopes_with_jobs()) == list(there.scopes_with_jobs()) == []
    add(here.scoped(Scope()), job(3))
    assert list(here.scopes_with_jobs()) == list(there.scopes_with_jobs()) == [Scope()]


def test_a_scope_with_a_job_that_is_not_due_or_is_running_is_found(storage: Storage) -> None:
    scope = storage.scoped(Scope())
    add(scope, job(1, run_at=at(5000)), job(2))
    claim(scope)
    with scope.writing() as stores:
        assert take(stores) is None
    assert list(storage.scopes_with_jobs()) == [Scope()]


def finish_and_ask(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        assert stores.jobs.cancel(name(1), at(1))
        assert take(stores) is None
        raise Stop


def test_a_transaction_that_is_not_kept_hides_no_job(storage: Storage) -> None:
    add(storage.scoped(Scope()), job(1))
    with pytest.raises(Stop):
        finish_and_ask(storage.scoped(Scope()))
    assert list(storage.scopes_with_jobs()) == [Scope()]


def test_a_job_added_after_a_claim_found_nothing_is_found(storage: Storage) -> None:
    with storage.scoped(Scope()).writing() as stores:
        assert take(stores) is None
        stores.jobs.add(job(1))
    assert list(storage.scopes_with_jobs()) == [Scope()]


def test_erasing_takes_the_jobs_along(open_storage: Open) -> None:
    here, there = open_storage(), open_storage()
    add(here.scoped(Scope()), job(1))
    mine = claim(there.scoped(Scope()))
    here.scoped(Scope()).erase()
    assert list(there.scopes_with_jobs()) == []
    assert get(there.scoped(Scope()), 1) is None
    with there.scoped(Scope()).writing() as stores:
        assert not stores.jobs.complete(mine.id, mine.fence, {}, at(1001))
    add(there.scoped(Scope()), job(2))
    assert list(here.scopes_with_jobs()) == [Scope()], "and it goes on"


def in_threads(*works: Callable[[], None]) -> None:
    """Run all at the same time, and raise what one of them raises."""
    start, errors = threading.Barrier(len(works)), list[BaseException]()

    def run(work: Callable[[], None]) -> None:
        start.wait(10)
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again below, in the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for error in errors:
        raise error


def test_each_job_is_claimed_once_however_many_ask(open_storage: Open) -> None:
    views = [open_storage().scoped(Scope()) for _ in range(3)]
    add(views[0], *(job(number) for number in range(30)))
    taken: list[str] = []

    def work(view: ScopedStorage) -> None:
        while True:
            with view.writing(durable=False) as stores:
                one = take(stores)
            if one is None:
                return
            taken.append(one.id)

    in_threads(*(partial(work, view) for view in (*views, *views)))
    assert sorted(taken) == [name(number) for number in range(30)]


def test_a_job_is_cancelled_or_claimed_and_never_both(open_storage: Open) -> None:
    here, there = open_storage().scoped(Scope()), open_storage().scoped(Scope())
    outcomes: list[tuple[str, str]] = []

    def cancel(number: int) -> None:
        with here.writing() as stores:
            if stores.jobs.cancel(name(number), at(1000)):
                outcomes.append((name(number), "cancelled"))

    def run() -> None:
        with there.writing() as stores:
            one = take(stores)
        if one is not None:
            with there.writing() as stores:
                assert stores.jobs.complete(one.id, one.fence, {}, at(1001))
            outcomes.append((one.id, "completed"))

    for number in range(40):
        add(here, job(number))
        in_threads(partial(cancel, number), run)
    with here.reading() as stores:
        page = stores.jobs.list(None, limit=99, offset=0)
    assert sorted(outcomes) == sorted((one.id, one.status.value) for one in page)
    assert len(outcomes) == 40
