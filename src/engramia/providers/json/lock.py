"""The file that writers lock, so that one process writes at a time."""

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from engramia.errors import StorageUnavailableError
from engramia.providers.json import disk

_FIRST_NAP = 0.00005
_LONGEST_NAP = 0.002


class ProcessLock:
    """Held by one process at a time, and in it by one thread at a time; the file is made if missing.

    The descriptor stays open from one hold to the next. Entering raises `StorageUnavailableError` after
    `timeout` seconds.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self._path = path
        self._name = os.fspath(path)
        self._timeout = timeout
        self._fd: int | None = None
        self._inode: tuple[int, int] | None = None
        self._process = 0

    def __enter__(self) -> None:
        try:
            self._acquire()
        except OSError as error:
            raise disk.translate(error, f"Cannot lock {self._path}") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd is not None:
            fcntl.flock(self._fd, fcntl.LOCK_UN)  # said aloud: a forked child may still hold the descriptor

    def close(self) -> None:
        """Let go of the file; entering again opens it anew."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _acquire(self) -> None:
        """Lock the file that is at the path now, not one that was erased since it was opened."""
        deadline = time.monotonic() + self._timeout
        while True:
            fd = self._fd
            if fd is None or self._process != os.getpid():
                fd = self._open()
            try:
                self._wait_for(fd, deadline)
                found = disk.status(self._name)
                if found is not None and (found.st_dev, found.st_ino) == self._inode:
                    return
            except BaseException:
                self.close()
                raise
            self.close()

    def _open(self) -> int:
        self.close()  # one that a fork left us is the parent's: it would not exclude the parent
        while self._fd is None:
            try:
                self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, disk.FILE_MODE)
            except FileNotFoundError:
                disk.make_folder(self._path.parent)
        found = os.fstat(self._fd)
        self._inode, self._process = (found.st_dev, found.st_ino), os.getpid()
        return self._fd

    def _wait_for(self, fd: int, deadline: float) -> None:
        nap = _FIRST_NAP
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StorageUnavailableError(
                        f"Another process has held {self._path} for too long; is one stopped or stuck?"
                    ) from None
                time.sleep(nap)
                nap = min(nap * 2, _LONGEST_NAP)
            else:
                return
