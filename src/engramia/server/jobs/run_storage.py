"""A job's storage: all that its operation writes is one transaction, together with the job's own end."""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from engramia.core.jobs import Job
from engramia.core.ports import ScopedStorage, Stores
from engramia.errors import StorageError


class SupersededError(Exception):
    """The job is this run's no more: it was taken over, given back, or ended. No error of the operation's."""


class RunStorage:
    """One scope's storage for one run of one job, in one thread. Implements `ScopedStorage`.

    The first `writing()` opens the real transaction, which stays open until the run ends; from then on reads
    see its writes. A run whose claim does not hold any more cannot open it.
    """

    def __init__(self, storage: ScopedStorage, job: Job) -> None:
        self._storage = storage
        self._job = job
        self._stack = contextlib.ExitStack()
        self._stores: Stores | None = None
        self._spoilt = False
        self._abandoned = threading.Event()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep all of the block if it ends normally and reached `finish`, nothing otherwise."""
        with self._stack:
            yield

    @contextlib.contextmanager
    def reading(self) -> Iterator[Stores]:
        """Open the stores for reading."""
        if self._stores is not None:
            yield self._stores
            return
        self._check_wanted()
        with self._storage.reading() as stores:
            yield stores

    @contextlib.contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[Stores]:
        """Join the run's transaction; it is durable when it ends, whatever `durable` says."""
        del durable
        stores = self._opened()
        try:
            yield stores
        except BaseException:
            self._spoilt = True  # what the block did before it failed must not be kept, whoever catches this
            raise

    def erase(self) -> None:
        """Refuse: a job cannot erase the scope that it is in."""
        raise StorageError("A job cannot erase its own scope.")

    def finish(self, result: Mapping[str, Any], at: datetime) -> None:
        """Make the job completed with `result` a part of the transaction."""
        stores = self._opened()
        if self._spoilt:
            raise StorageError("A write of this job failed, so nothing of it is kept.")
        if not stores.jobs.complete(self._job.id, self._job.fence, result, at):
            raise SupersededError

    def abandon(self) -> None:
        """Stop the run at its next use of the storage; called from any thread."""
        self._abandoned.set()

    @property
    def is_open(self) -> bool:
        """Whether the transaction is open, so that nobody else can take the job."""
        return self._stores is not None

    def _opened(self) -> Stores:
        if self._stores is None:
            self._check_wanted()
            stores = self._stack.enter_context(self._storage.writing())
            if not stores.jobs.holds(self._job.id, self._job.fence):
                raise SupersededError
            self._stores = stores
        return self._stores

    def _check_wanted(self) -> None:
        if self._abandoned.is_set():
            raise SupersededError
