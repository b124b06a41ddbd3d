"""What a worker is made with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from engramia.core import limits
from engramia.core.jobs import Job, JobError, JobStatus
from engramia.core.model import Scope
from engramia.core.ports import Clock
from engramia.errors import EngramiaError
from engramia.server.jobs.handlers import JobHandler, MemoryFor
from engramia.server.jobs.retrying import Backoff
from engramia.server.kit.one_transaction import OneTransaction
from engramia.server.kit.operations import Document, Unfinished


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
    def poll_time(self) -> timedelta:
        return timedelta(seconds=self.poll_interval)

    @property
    def lease_time(self) -> timedelta:
        return timedelta(seconds=self.lease)


def unlimited(_scope: Scope, _author: str | None) -> None:
    """Let anybody store any number of patterns."""


type Account = Callable[[Scope, Job, OneTransaction], Callable[[Document | Unfinished], None]]
"""Is told of a part of a job and its transaction before it begins, and returns what is told what came of it.

The job says how far the parts before came.
"""


def _uncounted(_scope: Scope, _job: Job, _unit: OneTransaction) -> Callable[[Document | Unfinished], None]:
    return lambda _outcome: None


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
    limit_of: Callable[[Scope, str | None], int | None] = unlimited
    """Returns how many patterns a scope may come to hold by the jobs of an author; None for any number."""
    account: Account = _uncounted
    """Makes the audit trail's entry of a job that must be accounted for a part of its transaction."""
    on_finished: Callable[[str, JobStatus], None] = _unheard
    """Called with the operation and its end, when a job has finished in this worker's hands."""
