"""A job that this worker holds, and what its worker may do to it from outside the run."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

from engramia.core.jobs import Job, JobError
from engramia.core.model import Scope
from engramia.core.ports import JobStore, ScopedStorage, Storage
from engramia.server.jobs.handlers import JobHandler


@dataclass(frozen=True, slots=True)
class Claim:
    """A claimed job and how to run it. Once the claim is lost, its methods return False and do nothing."""

    scope: Scope
    all_scopes: Storage
    job: Job
    handler: JobHandler

    @property
    def storage(self) -> ScopedStorage:
        """What the job's operation is about."""
        return self.all_scopes.scoped(self.scope)

    def extend(self, lease_until: datetime) -> bool:
        """Ask for more time."""
        with self._jobs() as jobs:
            return jobs.extend(self.job.id, self.job.fence, lease_until)

    def fail(self, error: JobError, at: datetime) -> bool:
        """End the job with `error`."""
        with self._jobs() as jobs:
            return jobs.fail(self.job.id, self.job.fence, error, at)

    def retry(self, error: JobError, run_at: datetime) -> bool:
        """Let it be tried again, not before `run_at`."""
        with self._jobs() as jobs:
            return jobs.retry(self.job.id, self.job.fence, error, run_at)

    def release(self) -> bool:
        """Give it back to the queue."""
        with self._jobs() as jobs:
            return jobs.release(self.job.id, self.job.fence)

    def _jobs(self) -> AbstractContextManager[JobStore]:
        return self.all_scopes.jobs(self.scope)

    def __str__(self) -> str:
        scope = f"{self.scope.tenant_id}/{self.scope.project_id}"
        return f"job {self.job.id} ({self.job.operation}, attempt {self.job.attempts}) of {scope}"
