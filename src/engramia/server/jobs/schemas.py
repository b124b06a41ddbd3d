"""The bodies of the job endpoints."""

from typing import Any, Literal

from pydantic import Field

from engramia.core.jobs import Job
from engramia.core.record_format import format_time
from engramia.server.kit.auditing import counts_of
from engramia.server.kit.schemas import Answer, Moment

type StatusName = Literal["pending", "running", "completed", "failed", "cancelled", "expired"]

EXAMPLE_ID = "job_01kabcdefghjkmnpqrstvwxyz0"


class JobErrorBody(Answer):
    """Why a job failed, or why its last attempt did."""

    code: str = Field(description="The code that the request would have been answered with.")
    detail: str


class JobBody(Answer):
    """A job and what became of it."""

    id: str
    operation: str
    status: StatusName
    result: dict[str, Any] | None = Field(description="What the operation answered, once it is completed.")
    error: JobErrorBody | None
    progress: dict[str, int] | None = Field(
        None,
        description="How far an import is: `done` of `total` records, `imported`, `skipped`. It stays "
        "if the job fails or is cancelled, as what was imported does. Absent before the "
        "first batch, once the job is completed, and from jobs that are done in one step.",
    )
    attempts: int
    created_at: Moment
    started_at: Moment | None
    completed_at: Moment | None


class JobList(Answer):
    """A page of jobs, newest first."""

    jobs: list[JobBody]
    has_more: bool
    next_offset: int | None


class JobCancelled(Answer):
    """A job that nobody will take up any more."""

    cancelled: bool
    job_id: str


def job_document(job: Job) -> dict[str, Any]:
    """Return a job as the API shows it: without its request."""
    moments = {"created_at": job.created_at, "started_at": job.started_at, "completed_at": job.completed_at}
    shown = {} if job.progress is None else {"progress": counts_of(job.progress)}
    return {
        "id": job.id,
        "operation": job.operation,
        "status": job.status.value,
        "result": None if job.result is None else dict(job.result),
        "error": None if job.error is None else {"code": job.error.code, "detail": job.error.detail},
        **shown,
        "attempts": job.attempts,
        **{name: moment and format_time(moment) for name, moment in moments.items()},
    }


EXAMPLE = {
    "id": EXAMPLE_ID,
    "operation": "aging",
    "status": "completed",
    "result": {"pruned": 4},
    "error": None,
    "attempts": 1,
    "created_at": "2026-11-02T09:30:00Z",
    "started_at": "2026-11-02T09:30:01Z",
    "completed_at": "2026-11-02T09:30:02Z",
}
EXAMPLES = {"jobs": [EXAMPLE], "has_more": False, "next_offset": None}
CANCELLED = {"cancelled": True, "job_id": EXAMPLE_ID}
