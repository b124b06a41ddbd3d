"""The lock between processes: two never hold the file that is at the path."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engramia.errors import StorageError, StorageUnavailableError
from engramia.providers.json.lock import ProcessLock

_FORKED = """
import os, sys
from pathlib import Path
from engramia.errors import StorageUnavailableError
from engramia.providers.json.lock import ProcessLock

lock = ProcessLock(Path(sys.argv[1]), 0.05)
with lock:
    pass
ready, go = os.pipe()
child = os.fork()
if not child:
    os.read(ready, 1)
    try:
        with lock:
            os._exit(1)
    except StorageUnavailableError:
        os._exit(0)
with lock:
    os.write(go, b"x")
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scope" / "lock"


def check_excluded(path: Path) -> None:
    with pytest.raises(StorageUnavailableError, match="Another process"), ProcessLock(path, 0.01):
        pytest.fail("two hold the lock")


def test_one_holds_it_again_and_again(path: Path) -> None:
    lock = ProcessLock(path, 1.0)
    for _ in range(3):
        with lock:
            check_excluded(path)
        with ProcessLock(path, 0.01):
            pass


@pytest.mark.parametrize("again", [True, False], ids=["made anew", "gone"])
def test_after_its_folder_was_erased_it_is_the_new_file_that_is_locked(path: Path, *, again: bool) -> None:
    lock = ProcessLock(path, 1.0)
    with lock:
        pass
    shutil.rmtree(path.parent)
    if again:
        with ProcessLock(path, 1.0):
            pass
    with lock:
        check_excluded(path)
    with ProcessLock(path, 0.01):
        pass


def test_it_is_let_go_when_the_block_fails_and_when_it_is_closed(path: Path) -> None:
    lock = ProcessLock(path, 1.0)
    with pytest.raises(ZeroDivisionError), lock:
        raise ZeroDivisionError
    with ProcessLock(path, 0.01):
        pass
    with lock:
        lock.close()
        with ProcessLock(path, 0.01):
            pass


def test_a_path_that_cannot_be_locked_is_told(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StorageError, match="Cannot lock"), ProcessLock(path, 0.01):
        pytest.fail("a folder was locked")


def test_a_forked_child_is_excluded_by_its_parent(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _FORKED, str(path)], timeout=30, check=False)
    assert done.returncode == 0
