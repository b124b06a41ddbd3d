"""`kill -9` of those who hand in jobs and those who run them, at random moments, on a real disk."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE

import pytest

from engramia.core.jobs import UNFINISHED, Job, JobStatus
from engramia.core.query import Filter
from engramia.providers.json.storage import JSONStorage
from tests.server.jobs.imports import BATCH, COUNT, EXPECTED
from tests.server.jobs.process import THINKING, scope

_ROOT = Path(__file__).parents[3]


def start(*words: object) -> subprocess.Popen[str]:
    environment = {"PYTHONPATH": f"{_ROOT / 'src'}:{_ROOT}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.server.jobs.process", *map(str, words)]
    return subprocess.Popen(command, env=environment, stdin=PIPE, stdout=PIPE, text=True)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@contextmanager
def opened(path: Path) -> Iterator[JSONStorage]:
    storage = JSONStorage(path)
    try:
        yield storage
    finally:
        storage.close()


def jobs(path: Path, scopes: int) -> list[Job]:
    with opened(path) as storage:
        found: list[Job] = []
        for number in range(scopes):
            with storage.scoped(scope(number)).reading() as stores:
                found += stores.jobs.list(None, limit=1000, offset=0)
        return found


def tasks(path: Path, scopes: int) -> list[str]:
    """Return the task of every pattern: one for each time that a job had its effect."""
    with opened(path) as storage:
        found: list[str] = []
        for number in range(scopes):
            with storage.scoped(scope(number)).reading() as stores:
                found += [one.pattern.task for one in stores.patterns.records(Filter())]
            assert storage.scoped(scope(number)).describe()["wrong"] == []
        return found


def accept(path: Path, operation: str, scopes: int, count: int) -> set[str]:
    """Hand in jobs from one process, and return the ids of the accepted ones."""
    with start("submit", path, operation, scopes, count) as process:
        ids, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return set(ids.split())


def kill_at_work(path: Path, wait: float, after: str = "begin", times: int = 1) -> None:
    """Let a worker get so far with a job, and kill it `wait` seconds later."""
    with start("work", path) as process:
        for _ in range(times):
            while said(process) != after:
                assert process.poll() is None
        time.sleep(wait)
        process.kill()


def finish(path: Path, workers: int = 1) -> None:
    """Let workers run until no scope has an unfinished job, and end them as a server is ended."""
    processes = [start("work", path) for _ in range(workers)]
    with opened(path) as storage:
        deadline = time.monotonic() + 60
        while storage.scopes_with_jobs() and time.monotonic() < deadline:
            time.sleep(0.02)
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0


def check_all_ran_once(path: Path, scopes: int, accepted: set[str]) -> int:
    """Return how many attempts it took."""
    found = jobs(path, scopes)
    assert {one.id for one in found} >= accepted
    assert {one.status for one in found} == {JobStatus.COMPLETED}
    effects = tasks(path, scopes)
    assert len(effects) == len(set(effects)) == len(found)
    return sum(one.attempts for one in found)


def kill_workers(path: Path, seed: int, *, scopes: int, count: int, kills: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - when to kill is no secret
    accepted = accept(path, "learn", scopes, count)
    assert len(accepted) == count
    killed = 0
    while killed < kills and {one.status for one in jobs(path, scopes)} & UNFINISHED:
        kill_at_work(path, chance.uniform(0, 2 * THINKING))
        killed += 1
    finish(path)
    attempts = check_all_ran_once(path, scopes, accepted)
    assert attempts >= count + killed // 2, "kills hit jobs at work"


@pytest.mark.slow
def test_ten_jobs_survive_killed_workers_and_happen_once(tmp_path: Path) -> None:
    kill_workers(tmp_path, 1, scopes=2, count=10, kills=4)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_hundred_jobs_survive_killed_workers_and_happen_once(tmp_path: Path) -> None:
    kill_workers(tmp_path, 2, scopes=4, count=100, kills=30)


@pytest.mark.slow
def test_two_workers_on_one_folder_run_each_job_once(tmp_path: Path) -> None:
    accepted = accept(tmp_path, "learn", 2, 30)
    finish(tmp_path, workers=2)
    assert check_all_ran_once(tmp_path, 2, accepted) == 30


def kill_who_accept(path: Path, seed: int, rounds: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - when to kill is no secret
    accepted: set[str] = set()
    for number in range(rounds):
        place = path / str(number)
        with start("submit", place, "learn", 3, 10_000) as process:
            accepted = {said(process)}
            time.sleep(chance.uniform(0, 0.1))
            process.kill()
            rest, _ = process.communicate()
        accepted |= {line for line in rest.split("\n")[:-1] if line}
        found = jobs(place, 3)
        assert {one.id for one in found} >= accepted
        with opened(place) as storage:
            marked = set(storage.scopes_with_jobs())
            assert marked >= {scope(turn) for turn in range(3) if jobs_of(storage, turn)}


def jobs_of(storage: JSONStorage, number: int) -> int:
    with storage.scoped(scope(number)).reading() as stores:
        return len(stores.jobs.list(JobStatus.PENDING, limit=10_000, offset=0))


@pytest.mark.slow
def test_what_a_killed_server_accepted_is_there_and_found(tmp_path: Path) -> None:
    kill_who_accept(tmp_path, 1, rounds=3)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_what_a_hundred_killed_servers_accepted_is_there_and_found(tmp_path: Path) -> None:
    kill_who_accept(tmp_path, 2, rounds=100)


def kill_imports(path: Path, seed: int, rounds: int) -> set[int]:
    """Kill importing workers at random moments; return how many records they were through after a kill."""
    chance = random.Random(seed)  # noqa: S311 - when to kill is no secret
    ends = set[int]()
    for number in range(rounds):
        place = path / str(number)
        accept(place, "import", 1, 1)
        for times in (1, number % 3):
            after = ("begin", 1) if times == 0 else ("stored", times)
            if imported(place)[0] < COUNT:
                kill_at_work(place, chance.uniform(0, 0.02), *after)
                ends.add(imported(place)[0])
        finish(place)
        assert imported(place) == (COUNT, EXPECTED["imported"])
    return ends


def imported(place: Path) -> tuple[int, int]:
    """Return how many records are done, which the job says, and how many went in, which the patterns show."""
    (job,) = jobs(place, 1)
    if job.status is JobStatus.COMPLETED:
        assert (job.result, job.progress) == (EXPECTED, None)
        return COUNT, len(tasks(place, 1))
    if job.progress is None:
        assert tasks(place, 1) == []
        return 0, 0
    done: int = job.progress["done"]
    assert done % BATCH == 0
    assert job.progress["imported"] == len(tasks(place, 1))
    return done, job.progress["imported"]


@pytest.mark.slow
def test_a_killed_import_is_gone_on_from_where_it_was(tmp_path: Path) -> None:
    assert kill_imports(tmp_path, 1, rounds=2) & {BATCH, 2 * BATCH}, (
        "a kill hit an import between two batches"
    )


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_killed_imports_are_gone_on_from_where_they_were(tmp_path: Path) -> None:
    assert kill_imports(tmp_path, 2, rounds=16) >= {0, BATCH, 2 * BATCH}
