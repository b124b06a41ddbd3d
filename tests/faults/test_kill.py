"""`kill -9` at random, and many processes at once."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engramia.core.model import Scope
from engramia.providers.json.storage import JSONStorage
from tests.contract.samples import key, search, unit
from tests.faults.worker import first

pytestmark = pytest.mark.slow

_ROOT = Path(__file__).parents[2]


def start(path: Path, *numbers: int) -> subprocess.Popen[str]:
    environment = {"PYTHONPATH": f"{_ROOT / 'src'}:{_ROOT}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.faults.worker", "learn", str(path), *map(str, numbers)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def kill_some(path: Path, first_round: int, rounds: int, seed: int) -> int:
    """Kill writers at random moments; return how many patterns they had acknowledged, none of them lost."""
    chance = random.Random(seed)  # noqa: S311 - when to kill is no secret
    acknowledged: set[str] = set()
    for turn in range(first_round, first_round + rounds):
        worker = start(path, turn, 4)
        assert worker.stdout is not None
        acknowledged.add(worker.stdout.readline().strip())
        time.sleep(chance.uniform(0.0, 0.15))
        worker.kill()
        rest, _ = worker.communicate()
        acknowledged |= {line for line in rest.split("\n")[:-1] if line}
    acknowledged.discard("")
    storage = JSONStorage(path)
    scope = storage.scoped(Scope())
    with scope.reading() as stores:
        missing = [one for one in acknowledged if stores.patterns.get(one) is None]
        asked = search(vector=unit(1, 0, 0), limit=10**6, deduplicate=False)
        recalled = {hit.pattern.key for hit in stores.patterns.search(asked)}
        base = stores.patterns.get(key(0))
        assert base is not None
        assert base.pattern.reuse_count == stores.patterns.count() - 1, (
            "a transaction is kept whole or not at all"
        )
    assert not missing
    assert acknowledged <= recalled
    assert scope.describe()["wrong"] == []
    storage.close()
    return len(acknowledged)


def test_a_killed_writer_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    first(tmp_path / "data")
    assert kill_some(tmp_path / "data", 1, 4, seed=1) >= 4


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_hundred_killed_writers_lose_nothing_they_acknowledged(tmp_path: Path) -> None:
    first(tmp_path / "data")
    assert kill_some(tmp_path / "data", 1, 120, seed=2) >= 120


def work_together(path: Path, processes: int, threads: int, times: int) -> None:
    first(path)
    workers = [start(path, number, threads, times) for number in range(1, processes + 1)]
    said = [worker.communicate(timeout=300)[0].split() for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * processes
    total = processes * threads * times
    assert len({one for lines in said for one in lines}) == total
    storage = JSONStorage(path)
    with storage.scoped(Scope()).reading() as stores:
        base = stores.patterns.get(key(0))
        assert base is not None
        assert (stores.patterns.count(), base.pattern.reuse_count) == (total + 1, total)
    storage.close()


def test_processes_and_threads_together_lose_no_count(tmp_path: Path) -> None:
    work_together(tmp_path / "data", processes=3, threads=4, times=10)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_four_processes_of_sixteen_threads_lose_no_count(tmp_path: Path) -> None:
    work_together(tmp_path / "data", processes=4, threads=16, times=60)
