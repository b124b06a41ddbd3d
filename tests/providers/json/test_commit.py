import threading
import time

import pytest

from engramia.errors import StorageError
from engramia.providers.json.commit import GroupCommit


def must_not_be_called() -> int:
    raise AssertionError("it was on the disk already")


def test_one_sync_serves_all_who_wait() -> None:
    commit, syncs = GroupCommit(), []

    def sync() -> int:
        syncs.append(1)
        time.sleep(0.05)
        return 16

    threads = [threading.Thread(target=commit.wait, args=(seq, sync)) for seq in range(1, 17)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert not any(thread.is_alive() for thread in threads)
    assert len(syncs) == 1


def test_nobody_returns_before_his_line_is_on_the_disk() -> None:
    commit, written = GroupCommit(), 0

    def sync() -> int:
        return written

    written = 3
    commit.wait(3, sync)
    commit.wait(2, must_not_be_called)
    written = 5
    commit.wait(5, sync)


def test_a_failed_sync_fails_everybody_and_refuses_what_comes_later() -> None:
    commit, entered = GroupCommit(), threading.Event()
    failures: list[str] = []

    def sync() -> int:
        entered.set()
        time.sleep(0.05)
        raise OSError(5, "Input/output error")

    def wait(seq: int) -> None:
        try:
            commit.wait(seq, sync)
        except StorageError as error:
            failures.append(str(error))

    threads = [threading.Thread(target=wait, args=(seq,)) for seq in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert len(failures) == 3
    assert all("Input/output error" in failure for failure in failures)
    with pytest.raises(StorageError, match="opened again"):
        commit.check()
    with pytest.raises(StorageError):
        commit.wait(4, lambda: 4)


def test_what_was_on_the_disk_before_a_failure_stays_acknowledged() -> None:
    commit = GroupCommit()
    commit.reached(3)
    commit.fail("broken")
    commit.wait(3, lambda: 0)


def test_another_journal_begins_with_nothing_on_the_disk() -> None:
    commit = GroupCommit()
    commit.reached(9)
    commit.restart()
    with pytest.raises(AssertionError, match="already"):
        commit.wait(1, must_not_be_called)
