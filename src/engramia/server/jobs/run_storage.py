"""A job's storage: all that a part of it writes is one transaction, together with how far the job is then."""

import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from engramia.core.jobs import Job
from engramia.core.ports import ScopedStorage, Stores
from engramia.server.kit.one_transaction import OneTransaction, WithdrawnError


class SupersededError(WithdrawnError):
    """The job is this run's no more: it was taken over, given back, or ended. No error of the operation's."""


class RunStorage(OneTransaction):
    """One scope's storage for one part of one run of a job, in one thread.

    A run whose claim does not hold any more cannot open the real transaction.
    """

    def __init__(self, storage: ScopedStorage, job: Job, abandoned: threading.Event | None = None) -> None:
        """Work on `storage` until `abandoned`, which the parts of a run have in common, is set."""
        super().__init__(storage, before_opening=self._check_wanted, on_opened=self._check_held)
        self._job = job
        self._abandoned = abandoned or threading.Event()

    def advance(self, progress: Mapping[str, Any], lease_until: datetime) -> None:
        """Make it a part of the transaction how far the job is, and that its worker has more time."""

        def note(stores: Stores) -> None:
            if not stores.jobs.advance(self._job.id, self._job.fence, progress, lease_until):
                raise SupersededError

        self.at_end(note)

    def finish(self, result: Mapping[str, Any], at: datetime) -> None:
        """Make the job completed with `result` a part of the transaction."""

        def complete(stores: Stores) -> None:
            if not stores.jobs.complete(self._job.id, self._job.fence, result, at):
                raise SupersededError

        self.at_end(complete)

    def _check_wanted(self) -> None:
        if self._abandoned.is_set():
            raise SupersededError

    def _check_held(self, stores: Stores) -> None:
        if not stores.jobs.holds(self._job.id, self._job.fence):
            raise SupersededError


class RunStorages:
    """The storages of one run: a transaction for each part, one after the other."""

    def __init__(self, storage: ScopedStorage, job: Job) -> None:
        self._storage = storage
        self._job = job
        self._abandoned = threading.Event()
        self._latest: RunStorage | None = None

    def next(self) -> RunStorage:
        """Return the storage of the next part; that of the one before is over."""
        self._latest = RunStorage(self._storage, self._job, self._abandoned)
        return self._latest

    def abandon(self) -> None:
        """Stop the run at its next use of the storage; called from any thread."""
        self._abandoned.set()

    @property
    def is_open(self) -> bool:
        """Whether a part's transaction is open, or just was, so that the lease is long enough."""
        return self._latest is not None and self._latest.is_open
