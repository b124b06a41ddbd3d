"""The jobs of a project over HTTP: list, look at, cancel."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from engramia.core import limits
from engramia.core.jobs import JobStatus
from engramia.errors import ConflictError, NotFoundError, ValidationError
from engramia.memory.facade import Memory
from engramia.server.jobs import schemas
from engramia.server.kit.endpoints import answer, guarded
from engramia.server.kit.operations import Document
from engramia.server.kit.permissions import Permission
from engramia.server.kit.services import services_of

router = APIRouter(tags=["jobs"])

type JobId = Annotated[str, Path(description="Id of a job.", max_length=limits.ID_MAX_CHARS)]


@router.get(
    "/v1/jobs",
    summary="List jobs",
    operation_id="list_jobs",
    response_model=schemas.JobList,
    **guarded(Permission.JOBS_LIST, ValidationError, example=schemas.EXAMPLES),
)
async def list_jobs(
    request: Request,
    status: schemas.StatusName | None = None,
    limit: Annotated[int, Query(ge=1, le=limits.JOBS_LIST_LIMIT_MAX)] = 20,
    offset: Annotated[int, Query(ge=0, le=limits.OFFSET_MAX)] = 0,
) -> Response:
    """Return the project's jobs, newest first."""

    def ask(memory: Memory) -> Document:
        wanted = None if status is None else JobStatus(status)
        with memory.engine.storage.reading() as stores:
            page = stores.jobs.list(wanted, limit=limit, offset=offset)
        return {
            "jobs": [schemas.job_document(job) for job in page],
            "has_more": page.has_more,
            "next_offset": page.next_offset,
        }

    return await answer(request, ask)


@router.get(
    "/v1/jobs/{job_id}",
    summary="One job",
    operation_id="get_job",
    response_model=schemas.JobBody,
    **guarded(Permission.JOBS_READ, NotFoundError, ValidationError, example=schemas.EXAMPLE),
)
async def get_job(request: Request, job_id: JobId) -> Response:
    """Return a job with its result, if it has one yet."""

    def ask(memory: Memory) -> Document:
        with memory.engine.storage.reading() as stores:
            job = stores.jobs.get(job_id)
        if job is None:
            raise _missing()
        return schemas.job_document(job)

    return await answer(request, ask)


@router.post(
    "/v1/jobs/{job_id}/cancel",
    summary="Cancel a pending job",
    operation_id="cancel_job",
    response_model=schemas.JobCancelled,
    **guarded(
        Permission.JOBS_CANCEL, NotFoundError, ConflictError, ValidationError, example=schemas.CANCELLED
    ),
)
async def cancel_job(request: Request, job_id: JobId) -> Response:
    """Cancel a job that no worker has taken up yet; one that was cancelled never completes."""

    def ask(memory: Memory) -> Document:
        with memory.engine.storage.writing() as stores:
            job = stores.jobs.get(job_id)
            if job is None:
                raise _missing()
            if not stores.jobs.cancel(job_id, memory.engine.clock.now()):
                raise ConflictError(
                    f"Only a pending job can be cancelled; this one is {job.status.value}.",
                    code="job_not_cancellable",
                    facts={"status": job.status.value},
                )
        services_of(request).observer.job_ended(job.operation, JobStatus.CANCELLED.value)
        return {"cancelled": True, "job_id": job_id}

    return await answer(request, ask)


def _missing() -> NotFoundError:
    return NotFoundError("There is no such job.")
