"""Workers on Postgres in several processes: killed, stopped, woken; and the server killed beneath them."""

import itertools
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from engramia.bootstrap import SystemClock
from engramia.core.jobs import Job, JobStatus
from engramia.core.query import Filter
from engramia.db.private_server import PrivateServer
from engramia.db.schema import upgrade
from engramia.errors import StorageUnavailableError
from engramia.providers.postgres.storage import PostgresStorage
from engramia.server.jobs.queue import JobQueue
from tests.server.jobs.conftest import new_id
from tests.server.jobs.imports import EXPECTED
from tests.server.jobs.process import IDLE, LEASE, POLL, THINKING, scope

pytestmark = pytest.mark.soak  # a database server, and real processes killed

SOON = 60.0
SCOPES = 5
_ROOT = Path(__file__).parents[2]
_OVERDUE = "SELECT coalesce(max(extract(epoch FROM now() - due_at)), 0) FROM jobs WHERE due_at IS NOT NULL"
_numbers = itertools.count()


@dataclass
class WorkerProcess:
    """A worker in a process of its own, and what it says."""

    place: str
    said: list[str] = field(default_factory=list)
    heard: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.server.jobs.process", "work", self.place],
            env={"PYTHONPATH": f"{_ROOT / 'src'}:{_ROOT}", "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self.heard:
                self.said.append(line.strip())
                self.heard.notify_all()

    def wait_for(self, word: str, times: int = 1, seconds: float = SOON) -> bool:
        """Wait until it has said `word` so often; return whether it has."""
        with self.heard:
            self.heard.wait_for(lambda: self.said.count(word) >= times or self.process.poll(), seconds)
            return self.said.count(word) >= times

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it: at once, or by SIGTERM's gentler way, the end of its input."""
        if number is signal.SIGKILL:
            self.process.kill()
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(SOON)
        self._reader.join(SOON)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def at_work(place: str, count: int) -> Iterator[list[WorkerProcess]]:
    """Run workers, which the test may end and replace; the rest is killed at the end."""
    workers = [WorkerProcess(place) for _ in range(count)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.process.send_signal(signal.SIGCONT)
            worker.end()


@dataclass
class Office:
    """Hands jobs in, and looks at what became of them."""

    storage: PostgresStorage
    accepted: list[Job] = field(default_factory=list)

    def submit(self, count: int, operation: str = "learn") -> list[Job]:
        jobs = JobQueue(self.storage, SystemClock(), new_id)
        new = [
            jobs.submit(scope(number % SCOPES), operation, {"task": f"task number {number}"})
            for number in itertools.islice(_numbers, count)
        ]
        self.accepted += new
        return new

    def jobs(self) -> list[Job]:
        found: list[Job] = []
        for number in range(SCOPES):
            with self.storage.scoped(scope(number)).reading() as stores:
                found += stores.jobs.list(None, limit=1000, offset=0)
        return found

    def tasks(self) -> list[str]:
        """Return the task of every pattern: one for each time that a job had its effect."""
        found: list[str] = []
        for number in range(SCOPES):
            with self.storage.scoped(scope(number)).reading() as stores:
                found += [one.pattern.task for one in stores.patterns.records(Filter())]
        return found

    def wait_for_all(self) -> None:
        """Wait until every job that was handed in has ended."""
        ends = time.monotonic() + SOON
        while left := [one for one in self.jobs() if one.completed_at is None]:
            assert time.monotonic() < ends, left
            time.sleep(POLL)

    def check_all_ran_once(self) -> int:
        """Return how many attempts it took."""
        found = self.jobs()
        assert {one.id for one in found} == {one.id for one in self.accepted}
        assert {one.status for one in found} == {JobStatus.COMPLETED}
        done = self.tasks()
        assert sorted(done) == sorted(str(one.request["task"]) for one in self.accepted)
        return sum(one.attempts for one in found)


@pytest.fixture
def office(postgres_url: str) -> Iterator[Office]:
    storage = PostgresStorage(postgres_url)
    yield Office(storage)
    storage.close()


@contextmanager
def overdue(place: str) -> Iterator[list[float]]:
    """Collect, every moment, for how many seconds the most neglected job could have been taken up."""
    seen: list[float] = []
    over = threading.Event()

    def look() -> None:
        with psycopg.connect(place, autocommit=True) as connection:
            while not over.wait(POLL / 2):
                row = connection.execute(_OVERDUE).fetchone()
                assert row is not None
                seen.append(float(row[0]))

    with ThreadPoolExecutor(1) as threads:
        looking = threads.submit(look)
        try:
            yield seen
        finally:
            over.set()
            looking.result(SOON)


def killed_at_work(
    office: Office, place: str, *, kills: int, jobs: int, seed: int
) -> tuple[int, list[float]]:
    """Kill one of three workers again and again while jobs come in; return attempts and jobs' waits."""
    chance = random.Random(seed)  # noqa: S311 - when to kill is no secret
    with at_work(place, 3) as workers, overdue(place) as waits:
        for _ in range(kills):
            victim = chance.randrange(len(workers))
            assert workers[victim].wait_for("ready")
            # Starting takes longer than a lease on a busy machine: without another there would be nobody.
            assert workers[victim - 1].wait_for("ready")
            done = workers[victim].said.count("begin")
            office.submit(jobs // kills)
            workers[victim].wait_for("begin", done + 1, seconds=1.0)  # the others may be quicker
            time.sleep(chance.uniform(0, 3 * THINKING))
            workers[victim].end()
            workers[victim] = WorkerProcess(place)
        office.wait_for_all()
    return office.check_all_ran_once(), waits


def test_workers_killed_four_times(office: Office, postgres_url: str) -> None:
    attempts, _ = killed_at_work(office, postgres_url, kills=4, jobs=80, seed=1)
    assert attempts > 80, "kills hit jobs at work"


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_workers_killed_a_hundred_times(office: Office, postgres_url: str) -> None:
    attempts, waits = killed_at_work(office, postgres_url, kills=100, jobs=1000, seed=2)
    assert attempts > 1050, "kills hit jobs at work"
    assert max(waits) <= LEASE + 2 * POLL, "a job waited for longer than a lease and two sweeps"


def killed_imports(office: Office, place: str, *, kills: int, seed: int) -> int:
    """Kill one of two workers again and again while each scope has an import; return the attempts."""
    chance = random.Random(seed)  # noqa: S311 - when to kill is no secret
    office.submit(SCOPES, "import")
    with at_work(place, 2) as workers:
        for turn in range(kills):
            victim = turn % 2
            assert workers[victim].wait_for("ready")
            workers[victim].wait_for("stored", 1 + turn % 2, seconds=LEASE)
            time.sleep(chance.uniform(0, 0.05))
            workers[victim].end()
            workers[victim] = WorkerProcess(place)
        office.wait_for_all()
    found = office.jobs()
    assert [(one.status, one.result) for one in found] == [(JobStatus.COMPLETED, EXPECTED)] * SCOPES
    assert len(office.tasks()) == SCOPES * EXPECTED["imported"]
    return sum(one.attempts for one in found)


def test_imports_whose_workers_are_killed_are_gone_on_from_where_they_were(
    office: Office, postgres_url: str
) -> None:
    assert killed_imports(office, postgres_url, kills=4, seed=3) > SCOPES, "kills hit imports at work"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(4, 12))
def test_imports_whose_workers_are_killed_in_many_other_moments(
    office: Office, postgres_url: str, seed: int
) -> None:
    killed_imports(office, postgres_url, kills=4, seed=seed)


@pytest.mark.parametrize(("operation", "moment"), [("learn", "begin"), ("hold_on", "stored")])
def test_a_worker_that_wakes_up_after_its_lease_changes_nothing(
    office: Office, postgres_url: str, operation: str, moment: str
) -> None:
    """Stopped before its transaction, and in it: the database ends that, or it would hold up its scope."""
    with at_work(postgres_url, 1) as workers:
        (job,) = office.submit(1, operation)
        assert workers[0].wait_for(moment)
        workers[0].process.send_signal(signal.SIGSTOP)
        workers.append(WorkerProcess(postgres_url))
        office.wait_for_all()
        before = office.jobs(), office.tasks()
        workers[0].process.send_signal(signal.SIGCONT)
        workers[1].end()
        workers.pop()
        office.submit(SCOPES)  # it works on, and its late end has come before it takes the next
        office.wait_for_all()
        found = office.jobs(), office.tasks()
    assert office.check_all_ran_once() == SCOPES + 2
    assert [one for one in found[0] if one.id == job.id] == before[0]
    assert before[1] == [job.request["task"]]


def test_what_is_stopped_holds_up_its_scope_no_longer_than_the_lease(
    office: Office, postgres_url: str
) -> None:
    with at_work(postgres_url, 1) as workers:
        (job,) = office.submit(1, "hold_on")
        assert workers[0].wait_for("stored")
        workers[0].process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        with office.storage.scoped(scope(_place(job))).writing():
            waited = time.monotonic() - began
    assert waited <= IDLE + 1.0


def _place(job: Job) -> int:
    return int(str(job.request["task"]).rpartition(" ")[2]) % SCOPES


def test_a_cancelled_job_never_completes(office: Office, postgres_url: str) -> None:
    with at_work(postgres_url, 2) as workers:
        office.submit(20)
        assert any(worker.wait_for("begin") for worker in workers)
        raced = office.submit(100)
        cancelled = {one.id for one in raced[::-1] if cancel(office.storage, one)}
        office.wait_for_all()
    ends = {one.id: one.status for one in office.jobs()}
    assert {one for one, status in ends.items() if status is JobStatus.CANCELLED} == cancelled
    assert set(ends.values()) == {JobStatus.CANCELLED, JobStatus.COMPLETED}, "both won some"
    kept = [str(one.request["task"]) for one in office.accepted if one.id not in cancelled]
    assert sorted(office.tasks()) == sorted(kept)


def cancel(storage: PostgresStorage, job: Job) -> bool:
    with storage.scoped(scope(_place(job))).writing() as stores:
        return stores.jobs.cancel(job.id, SystemClock().now())


@contextmanager
def own_server() -> Iterator[PrivateServer]:
    """A server that may be killed: nobody else's."""
    folder = Path(tempfile.mkdtemp(prefix="engramia-jobs-"))
    with PrivateServer(folder, options={"shared_buffers": "64MB"}) as server:
        yield server
    shutil.rmtree(folder)


def through_crashes(crashes: int, jobs: int) -> None:
    with own_server() as server:
        place = server.create_database("jobs")
        upgrade(place)
        storage = PostgresStorage(place)
        office = Office(storage)
        with at_work(place, 3) as workers:
            for turn in range(crashes):
                office.submit(jobs // crashes)
                assert workers[turn % 3].wait_for("begin")
                server.stop(immediate=True)
                server.start()
                until_it_answers(office)
            office.wait_for_all()
        office.check_all_ran_once()
        storage.close()


def until_it_answers(office: Office) -> None:
    ends = time.monotonic() + SOON
    while time.monotonic() < ends:
        with suppress(StorageUnavailableError):
            office.jobs()
            return
        time.sleep(POLL)


def test_jobs_survive_a_crash_of_the_database() -> None:
    through_crashes(1, 30)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_jobs_survive_twenty_crashes_of_the_database() -> None:
    through_crashes(20, 400)
