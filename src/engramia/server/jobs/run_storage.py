"""A job's storage: all that its operation writes is one transaction, together with the job's own end."""

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
    """One scope's storage for one run of one job, in one thread.

    A run whose claim does not hold any more cannot open the real transaction.
    """

    def __init__(self, storage: ScopedStorage, job: Job) -> None:
        super().__init__(storage, before_opening=self._check_wanted, on_opened=self._check_held)
        self._job = job
        self._abandoned = threading.Event()

    def finish(self, result: Mapping[str, Any], at: datetime) -> None:
        """Make the job completed with `result` a part of the transaction."""

        def complete(stores: Stores) -> None:
            if not stores.jobs.complete(self._job.id, self._job.fence, result, at):
                raise SupersededError

        self.at_end(complete)

    def abandon(self) -> None:
        """Stop the run at its next use of the storage; called from any thread."""
        self._abandoned.set()

    def _check_wanted(self) -> None:
        if self._abandoned.is_set():
            raise SupersededError

    def _check_held(self, stores: Stores) -> None:
        if not stores.jobs.holds(self._job.id, self._job.fence):
            raise SupersededError
