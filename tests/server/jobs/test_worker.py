"""The worker, with real storage, real threads and jobs that do as they are told."""

import logging
import threading
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engramia.core import limits
from engramia.core.jobs import JobError, JobStatus
from engramia.core.model import Scope
from engramia.errors import (
    EngramiaError,
    ProviderBusyError,
    ProviderLimitedError,
    ProviderOutputError,
    ProviderTimeoutError,
    ProviderUnreachableError,
    StorageError,
    StorageUnavailableError,
    ValidationError,
)
from engramia.memory.facade import Memory
from engramia.providers.json.storage import JSONScopedStorage, JSONStorage
from engramia.server.jobs.queue import JobQueue
from engramia.testing import FrozenClock
from tests.server.jobs.conftest import SOON, Shop, handler, new_id, quick

type Request = Mapping[str, Any]


def learn(memory: Memory, request: Request) -> Request:
    """Leave one more pattern, however often it is done."""
    key = memory.learn(task=request["task"], code="x", eval_score=5, on_duplicate="keep_both").pattern_key
    return {"pattern_key": key}


def echo(_memory: Memory, request: Request) -> Request:
    return {"said": request}


def test_a_job_is_run_and_its_result_kept_with_its_effects(shop: Shop) -> None:
    job = shop.submit("learn", task="Parse a CSV file")
    assert (job.status, job.attempts) == (JobStatus.PENDING, 0)
    shop.start(learn=handler(learn))
    assert shop.next_end() == ("learn", JobStatus.COMPLETED)
    done = shop.get(job)
    assert (done.status, done.attempts, done.error) == (JobStatus.COMPLETED, 1, None)
    assert done.result is not None
    assert done.started_at is not None
    assert done.completed_at is not None
    assert job.created_at <= done.started_at <= done.completed_at
    with shop.storage.scoped(Scope()).reading() as stores:
        assert stores.patterns.get(done.result["pattern_key"]) is not None


def test_handing_in_wakes_the_worker_of_the_process(shop: Shop) -> None:
    shop.start(quick(poll_interval=600.0), work=handler(echo))
    for number in range(3):
        shop.submit(n=number)
        assert shop.next_end() == ("work", JobStatus.COMPLETED)


def test_jobs_of_other_processes_are_noticed_by_looking(shop: Shop, tmp_path: Path) -> None:
    shop.start(work=handler(echo))
    other = JSONStorage(tmp_path / "data")
    submitted: list[str] = []
    JobQueue(other, shop.clock, new_id, on_submitted=submitted.append).submit(Scope("a", "b"), "work", {})
    assert submitted == ["work"]
    assert shop.next_end() == ("work", JobStatus.COMPLETED)
    other.close()


def test_a_scope_without_unfinished_jobs_is_not_looked_at_any_more(shop: Shop) -> None:
    shop.start(work=handler(echo))
    shop.submit()
    shop.next_end()
    for _ in range(500):
        if not shop.storage.scopes_with_jobs():
            break
        threading.Event().wait(0.01)
    assert list(shop.storage.scopes_with_jobs()) == []


PASSING = [
    ProviderUnreachableError("no connection"),
    ProviderLimitedError("slow down", retry_after=0.01),
    ProviderBusyError("too many wait"),
    ProviderTimeoutError("no answer"),
    StorageUnavailableError("locked"),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_what_passes_by_itself_is_tried_again(shop: Shop, error: EngramiaError) -> None:
    errors = [error, error]

    def flaky(memory: Memory, request: Request) -> Request:
        if errors:
            memory.learn(task="left by a failed attempt", code="x", eval_score=5)
            raise errors.pop()
        return learn(memory, request)

    job = shop.submit(task="x")
    shop.start(work=handler(flaky))
    assert shop.next_end() == ("work", JobStatus.COMPLETED)
    assert shop.get(job).attempts == 3
    assert shop.patterns() == 1, "what the failed attempts wrote is gone"


def test_after_the_last_attempt_it_fails(shop: Shop) -> None:
    def down(_memory: Memory, _request: Request) -> Request:
        raise ProviderTimeoutError("no answer within 60 s")

    job = shop.submit()
    shop.start(work=handler(down, max_attempts=2))
    assert shop.next_end() == ("work", JobStatus.FAILED)
    failed = shop.get(job)
    assert failed.attempts == 2
    assert failed.error == JobError("ProviderTimeoutError", "no answer within 60 s")


@pytest.mark.parametrize(
    "error",
    [
        ValidationError("task is blank", field="task"),
        ProviderOutputError("not JSON"),
        StorageError("no"),
    ],
)
def test_what_does_not_pass_fails_at_once_and_leaves_nothing(shop: Shop, error: EngramiaError) -> None:
    def fails(memory: Memory, _request: Request) -> Request:
        memory.learn(task="half of it", code="x", eval_score=5)
        raise error

    job = shop.submit()
    shop.start(work=handler(fails))
    assert shop.next_end() == ("work", JobStatus.FAILED)
    failed = shop.get(job)
    assert (failed.attempts, failed.error) == (1, JobError(type(error).__name__, str(error)))
    assert shop.patterns() == 0


def test_an_unexpected_error_is_told_in_the_log_only(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    def bug(_memory: Memory, request: Request) -> Request:
        return {"n": 1 / len(request)}

    job = shop.submit()
    shop.start(work=handler(bug))
    assert shop.next_end() == ("work", JobStatus.FAILED)
    error = shop.get(job).error
    assert error is not None
    assert error.code == "internal_error"
    assert "division" not in error.detail
    (logged,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert job.id in logged.getMessage()
    assert logged.exc_info is not None
    assert "ZeroDivisionError" in str(logged.exc_info[0])


def test_a_result_that_is_no_json_is_a_failure(shop: Shop) -> None:
    job = shop.submit()
    shop.start(work=handler(lambda _memory, _request: {"set": {1}}))
    assert shop.next_end() == ("work", JobStatus.FAILED)
    assert shop.get(job).result is None


def test_an_unknown_operation_fails_with_a_sentence_and_the_next_job_runs(shop: Shop) -> None:
    job = shop.submit("paint")
    shop.submit()
    shop.start(work=handler(echo))
    assert [shop.next_end(), shop.next_end()] == [
        ("paint", JobStatus.FAILED),
        ("work", JobStatus.COMPLETED),
    ]
    error = shop.get(job).error
    assert error is not None
    assert error.code == "unknown_operation"
    assert "'paint'" in error.detail


def test_at_most_so_many_run_at_once(shop: Shop) -> None:
    lock, most, now = threading.Lock(), [0], [0]
    together = threading.Barrier(2)

    def work(_memory: Memory, _request: Request) -> Request:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        together.wait(SOON)  # passes only while two are at work
        with lock:
            now[0] -= 1
        return {}

    for _ in range(6):
        shop.submit()
    shop.start(quick(max_concurrent=2), work=handler(work))
    assert {shop.next_end() for _ in range(6)} == {("work", JobStatus.COMPLETED)}
    assert most == [2]


def test_scopes_take_turns(shop: Shop) -> None:
    order: list[str] = []

    def work(_memory: Memory, request: Request) -> Request:
        order.append(request["of"])
        return {}

    for number in range(12):
        shop.submit(scope=Scope("big", "one"), of=f"big {number}")
    for tenant in ("small", "tiny"):
        shop.submit(scope=Scope(tenant), of=tenant)
    shop.start(quick(max_concurrent=1), work=handler(work))
    for _ in range(14):
        shop.next_end()
    assert order[:3] == ["big 0", "small", "tiny"]
    assert order[3:] == [f"big {number}" for number in range(1, 12)]


@pytest.mark.slow  # leases as long as a busy machine needs
def test_a_long_job_keeps_its_lease(shop: Shop) -> None:
    """While it runs many leases long, a second worker gets no hold of it."""
    begun, go_on = threading.Event(), threading.Event()
    runs: list[int] = []

    def slow(memory: Memory, request: Request) -> Request:
        runs.append(1)
        begun.set()
        assert go_on.wait(SOON)
        return learn(memory, request)

    pace = quick(lease=2.0)  # longer than a busy machine holds up a thread
    job = shop.submit(task="x")
    shop.start(pace, work=handler(slow))
    assert begun.wait(SOON)
    shop.start(pace, work=handler(slow))
    first = shop.get(job).lease_until
    assert first is not None
    while (present := shop.get(job).lease_until) is not None and present < first + timedelta(seconds=2.5):
        threading.Event().wait(0.01)
    go_on.set()
    assert shop.next_end() == ("work", JobStatus.COMPLETED)
    assert (len(runs), shop.get(job).attempts, shop.patterns()) == (1, 1, 1)


@pytest.mark.parametrize("deadline", [60.0, 0.1])
def test_heartbeats_do_not_meet_an_open_transaction(shop: Shop, deadline: float) -> None:
    """A job that is writing already is past being stopped: nobody else can take it, nor end it half way."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(memory: Memory, request: Request) -> Request:
        done = learn(memory, request)
        begun.set()
        go_on.wait(0.3)  # several heartbeats, and leases
        return done

    job = shop.submit(task="x")
    shop.start(quick(lease=0.1, heartbeat=0.02), work=handler(slow, deadline=deadline))
    assert begun.wait(SOON)
    shop.start(quick(), work=handler(learn))
    assert shop.next_end() == ("work", JobStatus.COMPLETED)
    assert (shop.get(job).attempts, shop.patterns()) == (1, 1)


def test_a_job_that_misses_its_deadline_fails_and_what_it_does_later_is_refused(shop: Shop) -> None:
    go_on, over = threading.Event(), threading.Event()

    def stuck(memory: Memory, request: Request) -> Request:
        assert go_on.wait(SOON)
        try:
            return learn(memory, request)
        finally:
            over.set()

    job = shop.submit(task="x")
    worker = shop.start(work=handler(stuck, deadline=0.1))
    assert shop.next_end() == ("work", JobStatus.FAILED)
    error = shop.get(job).error
    assert error == JobError("job_deadline_exceeded", "It was not done within 0.1 seconds.")
    go_on.set()
    assert over.wait(SOON)
    worker.stop(SOON)
    assert (shop.get(job).status, shop.patterns()) == (JobStatus.FAILED, 0)
    assert shop.ended.empty()


def test_a_job_whose_worker_died_is_taken_over(shop: Shop) -> None:
    clock = shop.clock = FrozenClock()
    job = shop.submit(task="x")
    with shop.storage.scoped(Scope()).writing() as stores:
        dead = stores.jobs.claim(
            worker="dead", now=clock.now(), lease_until=clock.now() + timedelta(seconds=30)
        )
    assert dead is not None
    shop.start(work=handler(learn))
    shop.submit(scope=Scope("other"), task="y")
    shop.next_end()
    assert shop.get(job) == dead, "as long as its lease holds"
    clock.advance(timedelta(seconds=30))
    shop.wake.set()
    assert shop.next_end() == ("work", JobStatus.COMPLETED)
    assert shop.get(job).attempts == 2
    with shop.storage.scoped(Scope()).writing() as stores:
        assert not stores.jobs.complete(dead.id, dead.fence, {"late": 1}, clock.now())


def test_a_job_that_kills_its_worker_each_time_is_given_up(shop: Shop) -> None:
    clock = shop.clock = FrozenClock()
    job = shop.submit()
    for _ in range(2):
        with shop.storage.scoped(Scope()).writing() as stores:
            assert stores.jobs.claim(worker="dead", now=clock.now(), lease_until=clock.now())
    shop.start(work=handler(echo, max_attempts=2))
    assert shop.next_end() == ("work", JobStatus.FAILED)
    error = shop.get(job).error
    assert error is not None
    assert (error.code, "2 times" in error.detail) == ("worker_lost", True)


def test_what_nobody_took_for_a_day_expires(shop: Shop) -> None:
    clock = shop.clock = FrozenClock()
    old = shop.submit("old")
    clock.advance(timedelta(hours=limits.JOB_EXPIRES_HOURS))
    shop.submit("new")
    clock.advance(timedelta(microseconds=1))
    shop.start(old=handler(echo), new=handler(echo))
    assert [shop.next_end(), shop.next_end()] == [
        ("old", JobStatus.EXPIRED),
        ("new", JobStatus.COMPLETED),
    ]
    assert shop.get(old).status is JobStatus.EXPIRED


def test_finished_jobs_are_kept_for_a_week_and_no_longer(shop: Shop) -> None:
    clock = shop.clock = FrozenClock()
    shop.start(work=handler(echo))
    first = shop.submit()
    shop.next_end()
    clock.advance(timedelta(days=limits.JOBS_KEPT_DAYS))
    second = shop.submit()
    shop.next_end()
    assert shop.get(first).status is JobStatus.COMPLETED
    clock.advance(timedelta(minutes=1))
    shop.submit()
    shop.next_end()
    with shop.storage.scoped(Scope()).reading() as stores:
        assert stores.jobs.get(first.id) is None
        assert stores.jobs.get(second.id) is not None


def test_a_scope_that_cannot_be_opened_stops_no_other(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    broken = Scope("broken")
    shop.submit(scope=broken)
    folder = shop.storage.path / "broken@default"
    (folder / "journal.jsonl").write_bytes(b"")
    shop.submit(scope=Scope("sound"))
    shop.start(work=handler(echo))
    assert shop.next_end() == ("work", JobStatus.COMPLETED)
    shop.submit(scope=Scope("sound"))
    assert shop.next_end() == ("work", JobStatus.COMPLETED)
    told = [one for one in caplog.records if "broken/default" in one.getMessage()]
    assert len(told) == 1, "and it is left alone for a while"


def test_stopping_waits_for_what_runs_and_takes_nothing_new(shop: Shop) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(memory: Memory, request: Request) -> Request:
        begun.set()
        assert go_on.wait(SOON)
        return learn(memory, request)

    running, waiting = shop.submit(task="x"), shop.submit(task="y")
    worker = shop.start(quick(max_concurrent=1), work=handler(slow))
    assert begun.wait(SOON)
    stopping = threading.Thread(target=worker.stop, args=(SOON,))
    stopping.start()
    go_on.set()
    stopping.join(SOON)
    assert not stopping.is_alive()
    assert shop.get(running).status is JobStatus.COMPLETED
    assert (shop.get(waiting).status, shop.get(waiting).attempts) == (JobStatus.PENDING, 0)


def test_what_does_not_end_in_time_is_given_back_and_its_late_effects_are_refused(shop: Shop) -> None:
    begun, go_on, over = threading.Event(), threading.Event(), threading.Event()

    def slow(memory: Memory, request: Request) -> Request:
        begun.set()
        assert go_on.wait(SOON)
        try:
            return learn(memory, request)
        finally:
            over.set()

    job = shop.submit(task="x")
    worker = shop.start(work=handler(slow))
    assert begun.wait(SOON)
    worker.stop(0.05)
    given_back = shop.get(job)
    assert (given_back.status, given_back.attempts) == (JobStatus.PENDING, 0)
    shop.start(work=handler(learn))
    assert shop.next_end() == ("work", JobStatus.COMPLETED)
    done = shop.get(job)
    go_on.set()
    assert over.wait(SOON)
    worker.stop(SOON)
    assert (shop.get(job), shop.patterns()) == (done, 1)
    assert done.attempts == 1
    assert shop.ended.empty()


class Halting(JSONStorage):
    """A storage that makes whoever opens a scope wait."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.reached, self.go_on = threading.Event(), threading.Event()

    def scoped(self, scope: Scope) -> JSONScopedStorage:
        self.reached.set()
        assert self.go_on.wait(SOON)
        return super().scoped(scope)


def test_what_is_taken_up_while_it_stops_is_given_back(shop: Shop) -> None:
    job = shop.submit()
    halting = Halting(shop.storage.path)
    worker = Shop(halting).start(work=handler(echo))
    assert halting.reached.wait(SOON)
    worker.stop(0.01)
    halting.go_on.set()
    worker.stop(SOON)
    left = shop.get(job)
    assert (left.status, left.attempts, left.fence) == (JobStatus.PENDING, 0, 1)
    halting.close()


def test_a_worker_that_was_never_started_can_be_stopped(shop: Shop) -> None:
    shop.submit()
    shop.worker(work=handler(echo)).stop(1.0)
    assert shop.ended.empty()
