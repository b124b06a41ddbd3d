"""Group commit: many threads wait for the disk, one syncs for all."""

import threading
from collections.abc import Callable

from engramia.errors import StorageError


class GroupCommit:
    """Knows up to which line the journal is on the disk, and lets one thread at a time sync it further."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting = 0
        self._durable = 0
        self._syncing = False
        self._failure: str | None = None

    @property
    def syncing(self) -> bool:
        """Whether a thread is syncing now: what others write meanwhile goes to the disk together."""
        return self._syncing

    def check(self) -> None:
        """Raise `StorageError` if a sync has failed: what the disk holds is unknown then."""
        if self._failure is not None:
            raise StorageError(self._failure)

    def fail(self, reason: str) -> None:
        """Refuse everything that is not yet on the disk, now and later, because of `reason`."""
        with self._lock:
            self._failure = self._failure or reason
            self._tell()

    def reached(self, seq: int) -> None:
        """Note that every line up to `seq` is on the disk."""
        with self._lock:
            self._durable = max(self._durable, seq)
            self._tell()

    def restart(self) -> None:
        """Know nothing to be on the disk: the journal is another one now."""
        with self._lock:
            self._durable = 0

    def wait(self, seq: int, sync: Callable[[], int]) -> None:
        """Return once line `seq` is on the disk; `sync` brings all lines there and returns the last."""
        if not self._lead(seq):
            return
        reached = 0
        try:
            reached = sync()
        except OSError as error:
            self.fail(
                f"The disk refused to confirm a write ({error.strerror or error}); whether the last writes "
                "were kept is unknown. Reads go on, writes are refused until the storage is opened again."
            )
            self.check()
        finally:
            with self._lock:
                self._syncing = False
                self._durable = max(self._durable, reached)
                self._tell()

    def _lead(self, seq: int) -> bool:
        """Wait until `seq` is durable (False) or it is this thread's turn to sync (True)."""
        with self._lock:
            while self._durable < seq:
                self.check()
                if not self._syncing:
                    self._syncing = True
                    return True
                self._waiting += 1
                try:
                    self._changed.wait()
                finally:
                    self._waiting -= 1
            return False

    def _tell(self) -> None:
        """Wake those who wait, with the lock held."""
        if self._waiting:
            self._changed.notify_all()
