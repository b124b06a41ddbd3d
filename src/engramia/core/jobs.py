"""Jobs: work that goes on after its request was answered, and how one moves from state to state."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Self


class JobStatus(StrEnum):
    """Where a job is on its way; the last four are the end of it."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """Nobody took it in time."""


UNFINISHED = frozenset({JobStatus.PENDING, JobStatus.RUNNING})


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job failed: a snake_case code and a sentence, without secrets and stack traces."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work and what became of it."""

    id: str
    operation: str
    request: Mapping[str, Any]
    """What to do, as a JSON object, redacted; empty once the job has finished."""
    created_at: datetime
    run_at: datetime
    """When it may begin, at the earliest."""
    author: str | None = None
    status: JobStatus = JobStatus.PENDING
    attempts: int = 0
    """How often a worker took it up, not counting those that gave it back unharmed."""
    fence: int = 0
    """How often it was claimed, ever: who claimed it n-th may change it only while this is still n."""
    worker: str | None = None
    lease_until: datetime | None = None
    """When others may take it from its worker, if that does not ask for more time before."""
    started_at: datetime | None = None
    """When the latest attempt began."""
    completed_at: datetime | None = None
    """When it finished, however it did."""
    result: Mapping[str, Any] | None = None
    """What the operation answered, as a JSON object."""
    error: JobError | None = None
    """Why it failed, or why the last attempt of a pending or running one did."""
    progress: Mapping[str, Any] | None = None
    """How far one is that is done in parts, as a JSON object; the next attempt goes on from there.

    Numbers in it are for people. None before its first part is done, and once it is completed.
    """

    @property
    def due(self) -> datetime | None:
        """When a worker may claim it; None once it has finished."""
        return {JobStatus.PENDING: self.run_at, JobStatus.RUNNING: self.lease_until}.get(self.status)

    def held_by(self, fence: int) -> bool:
        """Return whether the claim of this number still holds."""
        return self.status is JobStatus.RUNNING and self.fence == fence

    def claimed(self, *, worker: str, now: datetime, lease_until: datetime) -> Self:
        """Return the job as `worker` takes it up."""
        return replace(
            self,
            status=JobStatus.RUNNING,
            attempts=self.attempts + 1,
            fence=self.fence + 1,
            worker=worker,
            lease_until=lease_until,
            started_at=now,
        )

    def extended(self, lease_until: datetime) -> Self:
        """Return the job with more time for its worker."""
        return replace(self, lease_until=lease_until)

    def advanced(self, progress: Mapping[str, Any], lease_until: datetime) -> Self:
        """Return the job with one more of its parts done, and with more time for its worker."""
        return replace(self, progress=progress, lease_until=lease_until)

    def retried(self, error: JobError, run_at: datetime) -> Self:
        """Return the job as it waits for its next attempt."""
        return replace(
            self, status=JobStatus.PENDING, run_at=run_at, error=error, worker=None, lease_until=None
        )

    def released(self) -> Self:
        """Return the job as if this attempt had not begun; only the fence tells."""
        return replace(
            self,
            status=JobStatus.PENDING,
            attempts=self.attempts - 1,
            worker=None,
            lease_until=None,
            started_at=None,
        )

    def completed(self, result: Mapping[str, Any], at: datetime) -> Self:
        """Return the job with its result."""
        return replace(self._ended(JobStatus.COMPLETED, at), result=result, error=None, progress=None)

    def failed(self, error: JobError, at: datetime) -> Self:
        """Return the job with the reason of its failure."""
        return replace(self._ended(JobStatus.FAILED, at), error=error)

    def cancelled(self, at: datetime) -> Self:
        """Return the job as nobody will take it up any more."""
        return self._ended(JobStatus.CANCELLED, at)

    def expired(self, at: datetime) -> Self:
        """Return the job that nobody took up in time."""
        return self._ended(JobStatus.EXPIRED, at)

    def _ended(self, status: JobStatus, at: datetime) -> Self:
        return replace(self, status=status, completed_at=at, request={}, worker=None, lease_until=None)
