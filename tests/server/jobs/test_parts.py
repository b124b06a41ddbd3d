"""Jobs that are done in parts, each of them kept with how far the job is: imports, on both storages."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engramia.core.jobs import Job, JobError, JobStatus
from engramia.core.model import Scope
from engramia.core.ports import Storage
from engramia.errors import QuotaExceededError, StorageUnavailableError
from engramia.memory.facade import Memory
from engramia.providers.json.storage import JSONStorage
from engramia.providers.postgres.storage import PostgresStorage
from engramia.server.jobs.handlers import GoOn
from engramia.server.jobs.run_storage import RunStorages, SupersededError
from engramia.server.kit.operations import Document, Unfinished
from engramia.testing import FrozenClock
from tests.contract.samples import key
from tests.server.jobs.conftest import SOON, AnyShop, in_parts, memory_for, quick
from tests.server.jobs.imports import BATCH, COUNT, EXPECTED, begin, records

PATIENCE = 3.5
"""How many seconds a request waits for its turn to write."""


def _json(folder: Path, _request: pytest.FixtureRequest) -> Storage:
    return JSONStorage(folder / "data")


def _postgres(_folder: Path, request: pytest.FixtureRequest) -> Storage:
    return PostgresStorage(request.getfixturevalue("postgres_url"))


@pytest.fixture(params=[_json, pytest.param(_postgres, marks=pytest.mark.slow)], ids=["json", "postgres"])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[AnyShop[Storage]]:
    made: AnyShop[Storage] = AnyShop(request.param(tmp_path, request))
    with closing(made):
        yield made


@dataclass
class Watched:
    """Imports whose parts are told of before they are begun; what is told may wait, or raise."""

    before: Callable[[int], None]
    """Given how many parts were begun before, by whichever attempt."""
    begun: list[int] = field(default_factory=list)
    """How many records were done already when each part began."""

    def begin(self, request: Document) -> GoOn:
        go_on = begin(request)

        def watched(memory: Memory, progress: Document | None) -> Document | Unfinished:
            self.begun.append(0 if progress is None else progress["done"])
            self.before(len(self.begun) - 1)
            return go_on(memory, progress)

        return watched


class Gate:
    """Holds up the part of a number until it is opened."""

    def __init__(self, part: int) -> None:
        self._part = part
        self.reached, self._open = threading.Event(), threading.Event()

    def __call__(self, part: int) -> None:
        if part == self._part:
            self.reached.set()
            assert self._open.wait(SOON)

    def open(self) -> None:
        self._open.set()


def _freely(_part: int) -> None:
    """Hold up nothing."""


def submitted(store: AnyShop[Storage], **more: Any) -> Job:
    return store.submit("load", records=records(), **more)


def check_complete(store: AnyShop[Storage], job: Job) -> Job:
    """Check that the counts and the patterns are those of an import that nothing interrupted."""
    assert store.next_end() == ("load", JobStatus.COMPLETED)
    done = store.get(job)
    assert (done.result, done.progress) == (EXPECTED, None)
    whole = memory_for(Scope("whole"), store.storage.scoped(Scope("whole")))
    whole.import_data(records(), whole=True)
    assert exported(store, Scope()) == exported(store, Scope("whole"))
    return done


def exported(store: AnyShop[Storage], scope: Scope) -> list[Any]:
    memory = memory_for(scope, store.storage.scoped(scope))
    return [
        (one["key"], {name: value for name, value in one["data"].items() if not name.endswith("_at")})
        for one in memory.iter_export()
    ]


def test_an_import_in_parts_comes_to_what_it_comes_to_at_once(store: AnyShop[Storage]) -> None:
    watched = Watched(_freely)
    job = submitted(store)
    store.start(load=in_parts(watched.begin))
    assert check_complete(store, job).attempts == 1
    assert watched.begun == [0, BATCH, 2 * BATCH]


def test_an_import_of_nothing_is_done_at_once(store: AnyShop[Storage]) -> None:
    job = store.submit("load", records=[])
    store.start(load=in_parts(begin))
    assert store.next_end() == ("load", JobStatus.COMPLETED)
    assert store.get(job).result == {"imported": 0, "skipped": 0, "total": 0, "reasons": []}


def test_the_next_attempt_goes_on_where_a_dead_worker_was(store: AnyShop[Storage]) -> None:
    job = submitted(store)
    left_by_a_dead_worker(store, job, parts=2)
    left = store.get(job)
    assert left.progress is not None
    assert {name: left.progress[name] for name in ("done", "total", "imported", "skipped")} == {
        "done": 2 * BATCH,
        "total": COUNT,
        "imported": 2 * BATCH - 2,
        "skipped": 2,
    }
    watched = Watched(_freely)
    store.start(load=in_parts(watched.begin))
    assert check_complete(store, job).attempts == 2
    assert watched.begun == [2 * BATCH]


def left_by_a_dead_worker(store: AnyShop[Storage], job: Job, parts: int) -> tuple[Job, RunStorages]:
    """Claim the job, do some of its parts, and let the lease run out; return the claim of who is late."""
    with store.storage.jobs(Scope()) as jobs:
        mine = jobs.claim(worker="dead", now=store.clock.now(), lease_until=store.clock.now())
    assert mine is not None
    assert mine.id == job.id
    storages, progress = RunStorages(store.storage.scoped(Scope()), mine), None
    for _ in range(parts):
        progress = do_part(store, storages, mine, progress)
    return mine, storages


def do_part(
    store: AnyShop[Storage], storages: RunStorages, job: Job, progress: Mapping[str, Any] | None
) -> Mapping[str, Any]:
    storage = storages.next()
    with storage.transaction():
        outcome = begin(job.request)(memory_for(Scope(), storage), progress)
        assert isinstance(outcome, Unfinished)
        storage.advance(outcome.progress, store.clock.now())
    return outcome.progress


def beside_lease(job: Job) -> Job:
    """Return the job but for its lease, which the worker that has it extends meanwhile."""
    return replace(job, lease_until=None)


@pytest.mark.parametrize("ended", [False, True])
def test_who_comes_back_after_its_lease_changes_nothing(store: AnyShop[Storage], ended: bool) -> None:
    """It had done one part, and goes on while another is at the second, or has done all."""
    job = submitted(store)
    late, storages = left_by_a_dead_worker(store, job, parts=1)
    progress = store.get(job).progress
    gate = Gate(1)
    store.start(load=in_parts(Watched(gate).begin))
    assert gate.reached.wait(SOON)
    if ended:
        gate.open()
        check_complete(store, job)
    before = beside_lease(store.get(job)), store.patterns()
    with pytest.raises(SupersededError):
        do_part(store, storages, late, progress)
    assert (beside_lease(store.get(job)), store.patterns()) == before
    if not ended:
        assert before[0].progress is not None
        assert (before[0].progress["done"], before[1]) == (2 * BATCH, 2 * BATCH - 2)
        gate.open()
        check_complete(store, job)


def test_a_worker_that_slept_through_its_lease_between_two_parts_is_not_heard(
    store: AnyShop[Storage],
) -> None:
    gate = Gate(1)
    sleeper = Watched(gate)
    job = submitted(store)
    pace = quick(lease=0.2, heartbeat=600.0, max_concurrent=1)
    store.start(pace, load=in_parts(sleeper.begin))
    assert gate.reached.wait(SOON)
    second = Watched(_freely)
    store.start(load=in_parts(second.begin))
    assert check_complete(store, job).attempts == 2
    done = store.get(job), store.patterns()
    gate.open()
    for worker in store.workers:
        worker.stop(SOON)
    assert (store.get(job), store.patterns()) == done
    assert (sleeper.begun, second.begun) == ([0, BATCH], [BATCH, 2 * BATCH])
    assert store.ended.empty()


def test_what_is_in_stays_in_when_the_job_is_cancelled_between_two_attempts(store: AnyShop[Storage]) -> None:
    gate = Gate(1)
    job = submitted(store)
    worker = store.start(load=in_parts(Watched(gate).begin))
    assert gate.reached.wait(SOON)
    assert not cancel(store, job), "it is running"
    worker.stop(0.05)
    assert cancel(store, job)
    gate.open()
    worker.stop(SOON)
    over = store.get(job)
    assert (over.status, over.attempts, over.request) == (JobStatus.CANCELLED, 0, {})
    assert over.progress is not None
    assert (over.progress["done"], over.progress["imported"]) == (BATCH, BATCH - 1)
    assert store.patterns() == BATCH - 1
    store.start(load=in_parts(begin))
    store.submit("load", records=[])
    store.next_end()
    assert (store.get(job), store.patterns()) == (over, BATCH - 1), "nobody takes it up"


def cancel(store: AnyShop[Storage], job: Job) -> bool:
    with store.storage.scoped(Scope()).writing() as stores:
        return stores.jobs.cancel(job.id, store.clock.now())


def test_a_worker_that_is_stopped_between_two_parts_gives_back_the_rest(store: AnyShop[Storage]) -> None:
    gate = Gate(1)
    job = submitted(store)
    worker = store.start(load=in_parts(Watched(gate).begin))
    assert gate.reached.wait(SOON)
    worker.stop(0.05)
    left = store.get(job)
    assert (left.status, left.attempts) == (JobStatus.PENDING, 0)
    again = Watched(_freely)
    store.start(load=in_parts(again.begin))
    assert check_complete(store, job).attempts == 1
    gate.open()
    assert again.begun == [BATCH, 2 * BATCH]


def test_what_passes_by_itself_is_gone_on_from_after_a_while(store: AnyShop[Storage]) -> None:
    def busy_at_first(part: int) -> None:
        if part == 1:
            raise StorageUnavailableError("another writes")

    watched = Watched(busy_at_first)
    job = submitted(store)
    store.start(load=in_parts(watched.begin))
    assert check_complete(store, job).attempts == 2
    assert watched.begun == [0, BATCH, BATCH, 2 * BATCH]


def test_what_fails_in_the_middle_says_how_far_it_came(store: AnyShop[Storage]) -> None:
    def full(part: int) -> None:
        if part == 2:
            raise QuotaExceededError("The project is full.")

    job = submitted(store)
    store.start(load=in_parts(Watched(full).begin))
    assert store.next_end() == ("load", JobStatus.FAILED)
    failed = store.get(job)
    assert failed.error == JobError("QuotaExceededError", "The project is full.")
    assert failed.progress is not None
    assert (failed.progress["done"], failed.progress["imported"]) == (2 * BATCH, 2 * BATCH - 2)
    assert store.patterns() == 2 * BATCH - 2


def test_each_part_gives_its_worker_more_time(store: AnyShop[Storage]) -> None:
    """Heartbeats may meet the transactions of a run again and again, and then extend nothing."""
    clock = store.clock = FrozenClock()
    leases: list[bool] = []

    def slow(_part: int) -> None:
        clock.advance(timedelta(seconds=4))
        held = store.get(job).lease_until
        leases.append(held is not None and held > clock.now())

    job = submitted(store)
    store.start(quick(lease=5.0, heartbeat=600.0), load=in_parts(Watched(slow).begin))
    assert store.next_end() == ("load", JobStatus.COMPLETED)
    assert leases == [True] * 3
    assert store.get(job).attempts == 1


def test_others_store_between_the_parts(store: AnyShop[Storage]) -> None:
    """While the next batch is being prepared, and however often they ask."""
    waits: list[float] = []
    over = threading.Event()
    here = memory_for(Scope(), store.storage.scoped(Scope()))

    def learn_between(part: int) -> None:
        if part:
            here.learn(task=f"between the parts {part}", code="x", eval_score=5, on_duplicate="keep_both")

    def learn_on() -> None:
        for number in itertools.count():
            if over.is_set():
                return
            began = time.monotonic()
            here.learn(task=f"beside it {number}", code="x", eval_score=5, on_duplicate="keep_both")
            waits.append(time.monotonic() - began)

    thread = threading.Thread(target=learn_on)
    thread.start()
    try:
        job = store.submit("load", records=many(8 * BATCH))
        store.start(load=in_parts(Watched(learn_between).begin))
        assert store.next_end() == ("load", JobStatus.COMPLETED)
    finally:
        over.set()
        thread.join(SOON)
    done = store.get(job)
    assert done.result is not None
    assert (done.result["imported"], done.attempts) == (8 * BATCH, 1)
    assert store.patterns() == 8 * BATCH + 7 + len(waits)
    assert max(waits) < PATIENCE


def many(count: int) -> list[dict[str, Any]]:
    data = {"code": "x = 1", "success_score": 5}
    return [
        {"version": 1, "key": key(number), "data": {"task": f"record number {number}"} | data}
        for number in range(count)
    ]
