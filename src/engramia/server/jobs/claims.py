"""Taking jobs up, scope by scope."""

import logging
from datetime import datetime, timedelta

from engramia.core import limits
from engramia.core.jobs import Job, JobError, JobStatus
from engramia.core.model import Scope
from engramia.core.ports import JobStore, Storage
from engramia.errors import StorageError, StorageUnavailableError
from engramia.server.jobs.claim import Claim
from engramia.server.jobs.equipment import Equipment
from engramia.server.jobs.handlers import JobHandler

_log = logging.getLogger("engramia.jobs")

_EXPIRES = timedelta(hours=limits.JOB_EXPIRES_HOURS)
_KEPT = timedelta(days=limits.JOBS_KEPT_DAYS)
_PRUNE_EVERY = timedelta(minutes=1)
_REST = timedelta(seconds=30)
"""How long a scope whose storage is broken is left alone; one that is only away, until the next look."""


class Claims:
    """Takes up the due jobs of the scopes it is asked of, and remembers when it is worth asking again."""

    def __init__(self, storage: Storage, equipment: Equipment) -> None:
        self._storage = storage
        self._equipment = equipment
        self._resting: dict[Scope, datetime] = {}  # until when to leave a scope alone
        self._pruned: dict[Scope, datetime] = {}  # when to prune next
        self.next_due: datetime | None = None
        """When the first of the jobs that were met and not due will be; set to None to begin anew."""

    def take(self, scope: Scope, due: datetime | None) -> Claim | None:
        """Return a claimed job of the scope, or None; one whose storage fails is left alone for a while.

        `due` is when the first may be claimed, if that is known.
        """
        now = self._equipment.clock.now()
        if now < self._resting.get(scope, now):
            return None
        try:
            self._resting.pop(scope, None)
            return self._first_runnable(scope, now) if self._is_due(scope, due, now) else None
        except StorageError as error:
            passes = isinstance(error, StorageUnavailableError)
            self._resting[scope] = now + (self._equipment.pace.poll_time if passes else _REST)
            _log.warning("No job of %s/%s can be run: %s", scope.tenant_id, scope.project_id, error)
            return None

    def _is_due(self, scope: Scope, due: datetime | None, now: datetime) -> bool:
        """Return whether a claim is worth it; if not yet, remember when it will be."""
        if due is None:
            with self._storage.scoped(scope).reading() as stores:
                due = stores.jobs.next_due()
        if due is None or due <= now:
            return True
        self.next_due = min(due, self.next_due or due)
        return False

    def _first_runnable(self, scope: Scope, now: datetime) -> Claim | None:
        """Return the first due job that can be run; end those before it that cannot."""
        while True:
            with self._storage.jobs(scope) as jobs:
                expired = jobs.expire(now - _EXPIRES, now)
                self._prune(scope, jobs, now)
                job = self._claim(jobs, now)
                handler = None if job is None else self._handler(job)
                if job is not None and isinstance(handler, JobError):
                    jobs.fail(job.id, job.fence, handler, now)
            for late in expired:
                self._ended(late, JobStatus.EXPIRED, "no worker took it up in time")
            if job is None or handler is None:
                return None
            if isinstance(handler, JobHandler):
                return Claim(scope, self._storage, job, handler)
            self._ended(job, JobStatus.FAILED, handler.detail)

    def _ended(self, job: Job, status: JobStatus, why: str) -> None:
        _log.warning("Job %s (%s) was not run: %s", job.id, job.operation, why)
        self._equipment.on_finished(job.operation, status)

    def _prune(self, scope: Scope, jobs: JobStore, now: datetime) -> None:
        """Delete old finished jobs, now and then."""
        if now >= self._pruned.get(scope, now):
            self._pruned[scope] = now + _PRUNE_EVERY
            jobs.prune(now - _KEPT, limits.JOBS_KEPT)

    def _claim(self, jobs: JobStore, now: datetime) -> Job | None:
        lease_until = now + self._equipment.pace.lease_time
        return jobs.claim(worker=self._equipment.name, now=now, lease_until=lease_until)

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
