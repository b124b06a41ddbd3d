"""Jobs in the journal, and the file that tells of them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engramia.core.jobs import Job, JobStatus
from engramia.core.model import Scope
from engramia.core.ports import ScopedStorage
from engramia.providers.json.storage import JSONStorage
from tests.contract.job_samples import at, job, name
from tests.faults import job_worker
from tests.faults.job_worker import STEPS

_ROOT = Path(__file__).parents[3]


def folder(path: Path) -> Path:
    return path / "default@default"


def jobs(scope: ScopedStorage) -> list[Job]:
    with scope.reading() as stores:
        return list(stores.jobs.list(None, limit=1000, offset=0))


def finish(scope: ScopedStorage, number: int, request: dict[str, Any]) -> None:
    with scope.writing() as stores:
        stores.jobs.add(job(number, request=request))
        assert stores.jobs.cancel(name(number), at(number))


def test_compaction_keeps_jobs_and_their_order(tmp_path: Path) -> None:
    storage = JSONStorage(tmp_path)
    scope = storage.scoped(Scope())
    for number in range(4):
        finish(scope, number, {"n": number})
    with scope.writing() as stores:
        stores.jobs.add(job(5, author="key_1"))
        stores.jobs.add(job(6))
        mine = stores.jobs.claim(worker="w", now=at(10), lease_until=at(40))
    assert mine is not None
    before = jobs(scope)
    scope.compact()
    storage.close()
    storage = JSONStorage(tmp_path)
    scope = storage.scoped(Scope())
    assert jobs(scope) == before
    with scope.writing() as stores:
        assert stores.jobs.complete(mine.id, mine.fence, {"n": 5}, at(11))
        assert stores.jobs.prune(at(2), 100) == 2
        assert stores.jobs.next_due() == at(6)
    storage.close()


def test_a_compacted_journal_holds_no_request_of_a_finished_job(tmp_path: Path) -> None:
    storage = JSONStorage(tmp_path)
    scope = storage.scoped(Scope())
    finish(scope, 1, {"task": "a word like xylophone"})
    assert b"xylophone" in (folder(tmp_path) / "journal.jsonl").read_bytes()
    scope.compact()
    assert b"xylophone" not in (folder(tmp_path) / "journal.jsonl").read_bytes()
    storage.close()


def test_long_requests_are_compacted_away_by_themselves(tmp_path: Path) -> None:
    storage = JSONStorage(tmp_path)
    scope = storage.scoped(Scope())
    for number in range(8):
        finish(scope, number, {"records": ["x" * 1_000_000]})
    assert (folder(tmp_path) / "journal.jsonl").stat().st_size < 5_000_000
    storage.close()


def test_a_request_that_looks_like_a_line_of_the_journal_stays_a_request(tmp_path: Path) -> None:
    storage = JSONStorage(tmp_path)
    scope = storage.scoped(Scope())
    line = (b'{"seq":99,"crc":"', b'{"kind":"job"}')
    request = {"a": {"seq": 99, "crc": "00000000", "events": []}, "b": [part.decode() for part in line]}
    with scope.writing() as stores:
        stores.jobs.add(job(1, request=request))
    text = (folder(tmp_path) / "journal.jsonl").read_bytes().rstrip(b"\0")
    assert all(line.count(b'{"seq":') == 1 for line in text.splitlines())
    with scope.reading() as stores:
        found = stores.jobs.get(name(1))
    assert found is not None
    assert found.request == request
    storage.close()


def test_a_move_of_a_job_whose_line_was_damaged_is_passed_over(tmp_path: Path) -> None:
    storage = JSONStorage(tmp_path)
    scope = storage.scoped(Scope())
    finish(scope, 1, {})
    finish(scope, 2, {})
    with scope.writing() as stores:
        stores.jobs.add(job(3))
        stores.jobs.add(job(4))
    with scope.writing() as stores:
        stores.jobs.claim(worker="w", now=at(10), lease_until=at(40))
    storage.close()
    journal = folder(tmp_path) / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[-2] = lines[-2].replace(b"pending", b"pendant")
    journal.write_bytes(b"".join(lines))
    storage = JSONStorage(tmp_path)
    assert [one.id for one in jobs(storage.scoped(Scope()))] == [name(2), name(1)]
    with storage.scoped(Scope()).writing() as stores:
        assert stores.jobs.next_due() is None
    storage.close()


def run_to_death(path: Path, call: str, turn: int) -> int:
    """Run the steps in a process that dies at the `turn`-th `call`; return how many it had done."""
    environment = {"PYTHONPATH": f"{_ROOT / 'src'}:{_ROOT}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.faults.job_worker", str(path), call, str(turn)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in {0, -9}, done.stderr
    return len(done.stdout.splitlines())


def check_death(path: Path, expected: list[list[Job]], call: str, turn: int) -> bool:
    """Die there, check that no job is lost or hidden, and return whether the process got so far."""
    done = run_to_death(path, call, turn)
    storage = JSONStorage(path)
    left = jobs(storage.scoped(Scope()))
    assert left in expected[done : done + 2], f"{call} {turn}: after step {done}"
    hidden = {one.status for one in left} & {JobStatus.PENDING, JobStatus.RUNNING}
    seen = list(storage.scopes_with_jobs())
    assert not hidden or seen == [Scope()], f"{call} {turn}: hidden after step {done}"
    for one in left:
        if one.status is JobStatus.PENDING:
            with storage.scoped(Scope()).writing() as stores:
                assert stores.jobs.cancel(one.id, at(1))
    with storage.scoped(Scope()).writing() as stores:
        stores.jobs.add(job(99))
    assert list(storage.scopes_with_jobs()) == [Scope()], "and it goes on"
    storage.close()
    return done < len(STEPS)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[list[Job]]:
    """What there is before and after each step."""
    storage = JSONStorage(tmp_path_factory.mktemp("expected"))
    scope = storage.scoped(Scope())
    found = [jobs(scope)]
    for step in STEPS:
        step(scope)
        found.append(jobs(scope))
    storage.close()
    return found


_QUICK = [("open", 4), ("pwrite", 2), ("pwrite", 5), ("fsync", 3), ("unlink", 2)]


@pytest.mark.slow
@pytest.mark.parametrize(("call", "turn"), _QUICK)
def test_dying_between_marker_and_line_hides_no_job(
    tmp_path: Path, expected: list[list[Job]], call: str, turn: int
) -> None:
    assert check_death(tmp_path, expected, call, turn), "the process never made this call"


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("call", job_worker.CALLS)
def test_dying_at_any_call_hides_no_job(tmp_path: Path, expected: list[list[Job]], call: str) -> None:
    turn = 1
    while check_death(tmp_path / str(turn), expected, call, turn):
        turn += 1
    assert turn > 1, "the process never made this call"
