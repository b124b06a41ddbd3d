"""Taking jobs up, scope by scope."""

import logging
from datetime import datetime, timedelta

from engramia.core import limits
from engramia.core.jobs import Job, JobError, JobStatus
from engramia.core.model import Scope
from engramia.core.ports import ScopedStorage, Storage, Stores
from engramia.errors import StorageError
from engramia.server.jobs.claim import Claim
from engramia.server.jobs.equipment import Equipment
from engramia.server.jobs.handlers import JobHandler

_log = logging.getLogger("engramia.jobs")

_EXPIRES = timedelta(hours=limits.JOB_EXPIRES_HOURS)
_KEPT = timedelta(days=limits.JOBS_KEPT_DAYS)
_PRUNE_EVERY = timedelta(minutes=1)
_REST = timedelta(seconds=30)


class Claims:
    """Takes up the due jobs of the scopes it is asked of, and remembers when it is worth asking again."""

    def __init__(self, storage: Storage, equipment: Equipment) -> None:
        self._storage = storage
        self._equipment = equipment
        self._resting: dict[Scope, datetime] = {}  # until when to leave a scope alone
        self._pruned: dict[Scope, datetime] = {}  # when to prune next
        self.next_due: datetime | None = None
        """When the first of the jobs that were met and not due will be; set to None to begin anew."""

    def take(self, scope: Scope) -> Claim | None:
        """Return a claimed job of the scope, or None; one whose storage fails is left alone for a while."""
        now = self._equipment.clock.now()
        if now < self._resting.get(scope, now):
            return None
        try:
            return self._take(scope, self._storage.scoped(scope), now)
        except StorageError as error:
            self._resting[scope] = now + _REST
            _log.warning("No job of %s/%s can be run: %s", scope.tenant_id, scope.project_id, error)
            return None

    def _take(self, scope: Scope, storage: ScopedStorage, now: datetime) -> Claim | None:
        self._resting.pop(scope, None)
        with storage.reading() as stores:
            due = stores.jobs.next_due()
        if due is not None and due > now:
            self.next_due = min(due, self.next_due or due)
            return None
        return self._first_runnable(scope, storage, now)

    def _first_runnable(self, scope: Scope, storage: ScopedStorage, now: datetime) -> Claim | None:
        """Return the first due job that can be run; end those before it that cannot."""
        while True:
            with storage.writing(durable=False) as stores:
                expired = stores.jobs.expire(now - _EXPIRES, now)
                self._prune(scope, stores, now)
                job = self._claim(stores, now)
                handler = None if job is None else self._handler(job)
                if job is not None and isinstance(handler, JobError):
                    stores.jobs.fail(job.id, job.fence, handler, now)
            for late in expired:
                self._ended(late, JobStatus.EXPIRED, "no worker took it up in time")
            if job is None or handler is None:
                return None
            if isinstance(handler, JobHandler):
                return Claim(scope, storage, job, handler)
            self._ended(job, JobStatus.FAILED, handler.detail)

    def _ended(self, job: Job, status: JobStatus, why: str) -> None:
        _log.warning("Job %s (%s) was not run: %s", job.id, job.operation, why)
        self._equipment.on_finished(job.operation, status)

    def _prune(self, scope: Scope, stores: Stores, now: datetime) -> None:
        """Delete old finished jobs, now and then."""
        if now >= self._pruned.get(scope, now):
            self._pruned[scope] = now + _PRUNE_EVERY
            stores.jobs.prune(now - _KEPT, limits.JOBS_KEPT)

    def _claim(self, stores: Stores, now: datetime) -> Job | None:
        lease_until = now + self._equipment.pace.lease_time
        return stores.jobs.claim(worker=self._equipment.name, now=now, lease_until=lease_until)

    def _handler(self, job: Job) -> JobHandler | JobError:
        """Return how to run the claimed job, or why it must not be run."""
        handler = self._equipment.handlers.get(job.operation)
        if handler is None:
            return JobError(
                "unknown_operation", f"This release has no operation {job.operation!r} to run as a job."
            )
        if job.attempts > handler.max_attempts:
            return JobError(
                "worker_lost", f"It was tried {handler.max_attempts} times, and its worker died in the last."
            )
        return handler
