"""What a worker is made with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from engramia.core import limits
from engramia.core.jobs import JobError, JobStatus
from engramia.core.ports import Clock
from engramia.errors import EngramiaError
from engramia.server.jobs.handlers import JobHandler, MemoryFor
from engramia.server.jobs.retrying import Backoff


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how much; times in seconds."""

    poll_interval: float = 2.0
    """How long a job of another process may go unnoticed."""
    max_concurrent: int = 3
    lease: float = float(limits.JOB_LEASE_SECONDS)
    """How long a worker may be silent before its jobs are taken over."""
    heartbeat: float = float(limits.JOB_HEARTBEAT_SECONDS)
    """How often it says that it is alive; well under `lease`."""
    backoff: Backoff = field(default_factory=Backoff)

    @property
    def lease_time(self) -> timedelta:
        return timedelta(seconds=self.lease)


def _unheard(_operation: str, _status: JobStatus) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """Everything a worker needs beside the storage."""

    handlers: Mapping[str, JobHandler]
    """By operation."""
    memory_for: MemoryFor
    describe_error: Callable[[EngramiaError], JobError]
    """Says an error in words for whoever asked for the job."""
    clock: Clock
    name: str
    """Which worker this is, for people: it stands in its jobs."""
    pace: Pace = field(default_factory=Pace)
    on_finished: Callable[[str, JobStatus], None] = _unheard
    """Called with the operation and its end, when a job has finished in this worker's hands."""
