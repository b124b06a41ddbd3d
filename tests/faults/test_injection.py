"""Dying or failing at a given system call of every kind of write, of compaction and of erasing."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from tests.faults.steps import STEPS, contents, opened, states

pytestmark = pytest.mark.slow

_ROOT = Path(__file__).parents[2]
_CALLS = ("pwrite64", "fdatasync", "fsync", "rename", "ftruncate", "mkdir", "unlink", "unlinkat")


type Run = Callable[[Path, str, int, str], list[list[str]]]


def start(path: Path, *fault: str) -> subprocess.Popen[str]:
    environment = {"PYTHONPATH": f"{_ROOT / 'src'}:{_ROOT}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.faults.worker", "steps", str(path), *fault]
    worker = subprocess.Popen(command, env=environment, stdin=PIPE, stdout=PIPE, text=True)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    return worker


def from_inside(path: Path, call: str, turn: int, fault: str) -> list[list[str]]:
    """Run the steps in a process that faults itself; return what it said, a list of words a line."""
    with start(path, call, str(turn), fault) as worker:
        said, _ = worker.communicate("go\n", timeout=60)
    return [line.split() for line in said.splitlines()]


def by_strace(path: Path, call: str, turn: int, fault: str) -> list[list[str]]:
    """Do the same by the kernel's own means: strace brings the fault about at the system call."""
    strace = shutil.which("strace")
    assert strace, "These tests inject faults with strace; install it (apt-get install strace)."
    effect = "signal=KILL" if fault == "kill" else f"error={fault}"
    turns = f"{turn}..{turn + 1}" if fault == "ENOSPC" else f"{turn}"
    inject = f"inject={call}:{effect}:when={turns}"
    with start(path) as worker:
        # Attached late, for a traced interpreter takes seconds to start.
        attach = [strace, "-f", "-qq", "-p", str(worker.pid), "-e", f"trace={call}", "-e", inject]
        with subprocess.Popen(attach, stderr=subprocess.DEVNULL) as tracer:
            wait_for_tracer(worker, tracer)
            said, _ = worker.communicate("go\n", timeout=60)
            tracer.wait(10)
    return [line.split() for line in said.splitlines()]


def wait_for_tracer(worker: subprocess.Popen[str], tracer: subprocess.Popen[bytes]) -> None:
    for _ in range(2000):
        assert tracer.poll() is None, "strace could not attach"
        if "TracerPid:\t0\n" not in Path(f"/proc/{worker.pid}/status").read_text():
            return
        time.sleep(0.005)
    raise AssertionError("strace did not attach")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return states(tmp_path_factory.mktemp("expected") / "data")


def check_killed(run: Run, path: Path, expected: list[Any], call: str, turn: int) -> bool:
    """Kill at the `turn`-th `call`, check what is left, and return whether the process got so far."""
    said = run(path, call, turn, "kill")
    done = [int(words[1]) for words in said if words[0] == "done"]
    acknowledged = max(done, default=0)
    with opened(path) as scope:
        left = contents(scope)
        assert left in expected[acknowledged : acknowledged + 2], (
            f"{call} {turn}: lost after step {acknowledged}"
        )
        assert scope.describe()["wrong"] == []
        for step in STEPS[:3]:
            step(scope)  # and it goes on
    assert not list(path.glob("*.erased-*"))
    return acknowledged < len(STEPS)


@pytest.mark.parametrize(
    ("call", "turn"),
    [
        ("pwrite", 1),
        ("pwrite", 3),
        ("pwrite", 14),
        ("fdatasync", 2),
        ("fsync", 5),
        ("rename", 2),
        ("unlink", 3),
    ],
)
def test_killed_at_a_call_nothing_acknowledged_is_lost(
    tmp_path: Path, expected: list[Any], call: str, turn: int
) -> None:
    assert check_killed(from_inside, tmp_path / "data", expected, call, turn), (
        "the process never made this call"
    )


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("call", _CALLS)
def test_killed_at_every_call_nothing_acknowledged_is_lost(
    tmp_path: Path, expected: list[Any], call: str
) -> None:
    turn = 1
    while check_killed(by_strace, tmp_path / str(turn), expected, call, turn):
        turn += 1
    assert turn > 1 or call in {"ftruncate", "unlink"}, "the process never made this call"


def check_full(run: Run, path: Path, expected: list[Any], call: str, turn: int) -> bool:
    """Let the `turn`-th write and the next find no space, and return whether a step failed by it."""
    said = run(path, call, turn, "ENOSPC")
    failed = [words for words in said if words[0] == "error"]
    holds = [int(words[1]) for words in said if words[0] == "holds"]
    assert len(holds) == len(STEPS), "reads went on after every step"
    assert [words[2] for words in failed][:1] in ([], ["StorageFullError"])
    assert {words[2] for words in failed} <= {"StorageFullError", "NotFoundError"}
    for words in failed:
        step = int(words[1])
        before = holds[step - 2] if step > 1 else 0
        assert holds[step - 1] == before, "nothing of the failed step is kept"
    with opened(path) as scope:
        assert scope.describe()["wrong"] == []
        assert len(contents(scope)[0]) == holds[-1]
        if not failed:
            assert contents(scope) == expected[-1]
    return bool(failed)


def test_without_space_a_write_fails_clearly_and_leaves_nothing(tmp_path: Path, expected: list[Any]) -> None:
    assert (
        sum(check_full(from_inside, tmp_path / str(turn), expected, "pwrite", turn) for turn in (1, 10, 16))
        >= 2
    )


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_without_space_at_any_write(tmp_path: Path, expected: list[Any]) -> None:
    assert (
        sum(check_full(by_strace, tmp_path / str(turn), expected, "pwrite64", turn) for turn in range(1, 41))
        >= 8
    )


def check_failed_sync(run: Run, path: Path, expected: list[Any]) -> None:
    said = run(path, "fdatasync", 2, "EIO")
    errors = {int(words[1]): words[2] for words in said if words[0] == "error"}
    assert min(errors) == 2
    assert errors[2] == errors[3] == "StorageError"
    assert [words[1] for words in said if words[0] == "holds"][1:3] == ["2", "2"], "reads go on"
    with opened(path) as scope:
        STEPS[0](scope)  # a storage opened anew writes again
        assert contents(scope) == expected[1]


def test_after_a_failed_sync_writes_are_refused_and_reads_go_on(tmp_path: Path, expected: list[Any]) -> None:
    check_failed_sync(from_inside, tmp_path / "data", expected)


@pytest.mark.soak
def test_after_a_sync_that_the_kernel_failed_writes_are_refused(tmp_path: Path, expected: list[Any]) -> None:
    check_failed_sync(by_strace, tmp_path / "data", expected)
