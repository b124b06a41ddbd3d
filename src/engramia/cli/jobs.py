"""The commands for jobs: list, show, cancel."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engramia.cli.command import block, command, fail
from engramia.cli.exit_codes import ExitCode
from engramia.cli.session import Session
from engramia.core import limits
from engramia.core.jobs import JobStatus
from engramia.errors import ConflictError, NotFoundError

if TYPE_CHECKING:
    from engramia.core.jobs import Job

_Id = Annotated[str, typer.Argument(metavar="ID", help="Id of a job: job_…")]
_Limit = Annotated[int, typer.Option(min=1, max=limits.JOBS_LIST_LIMIT_MAX, help="Most jobs.")]
_Offset = Annotated[int, typer.Option(min=0, max=limits.OFFSET_MAX, help="Jobs to pass over.")]
_Status = Annotated[JobStatus | None, typer.Option(help="Only jobs in this status.")]

_COLOURS: Mapping[StrEnum, str] = {
    JobStatus.COMPLETED: "green",
    JobStatus.FAILED: "bold red",
    JobStatus.RUNNING: "cyan",
    JobStatus.EXPIRED: "red",
}


def list_jobs(session: Session, status: _Status = None, limit: _Limit = 20, offset: _Offset = 0) -> None:
    """List the project's jobs, newest first."""
    with session.memory() as memory, memory.storage.scoped(memory.scope).reading() as stores:
        page = stores.jobs.list(status, limit=limit, offset=offset)
    jobs = list(page)
    session.terminal.answer(
        {
            "jobs": [_document(job) for job in jobs],
            "has_more": page.has_more,
            "next_offset": page.next_offset,
        },
        lambda: _table(jobs) if jobs else None,
    )
    if not jobs:
        session.terminal.say("No jobs. `Prefer: respond-async` on a request makes one.")
    elif page.has_more:
        session.terminal.say(f"There are more: --offset {page.next_offset}")


def show_job(session: Session, id: _Id) -> None:
    """Show one job with its result or its error."""
    with session.memory() as memory, memory.storage.scoped(memory.scope).reading() as stores:
        job = stores.jobs.get(id)
    if job is None:
        raise _missing(id)
    session.terminal.answer(_document(job), lambda: _view(job))


def cancel_job(session: Session, id: _Id) -> ExitCode | None:
    """Cancel a job that no worker has taken up yet; one that was cancelled never completes."""
    with session.memory() as memory, memory.storage.scoped(memory.scope).writing() as stores:
        job = stores.jobs.get(id)
        if job is None:
            raise _missing(id)
        cancelled = stores.jobs.cancel(id, memory.engine.clock.now())
    if not cancelled:
        sentence = f"Only a pending job can be cancelled; this one is {job.status.value}."
        return fail(session, ConflictError(sentence), status=job.status.value)
    session.terminal.answer({"cancelled": True, "job_id": id})
    session.terminal.say(f"Cancelled {id}.")
    return None


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    group = typer.Typer(
        help="What goes on after its request was answered: list, look, cancel.",
        epilog=block("Examples:", "  engramia jobs list", "  engramia jobs show job_01k9…"),
        rich_markup_mode=None,
    )
    command(group, "list", examples=("engramia jobs list", "engramia jobs list --status failed --json"))(
        list_jobs
    )
    command(group, "show", examples=("engramia jobs show job_01k9…",))(show_job)
    command(group, "cancel", examples=("engramia jobs cancel job_01k9…",))(cancel_job)
    app.add_typer(group, name="jobs")


def _missing(id: str) -> NotFoundError:
    return NotFoundError(f"There is no job {id} in this project.")


def _document(job: "Job") -> dict[str, Any]:
    from engramia.server.jobs.schemas import job_document

    return job_document(job)


def _table(jobs: "list[Job]") -> Any:
    from rich.text import Text

    from engramia.cli.tables import table
    from engramia.cli.terminal import plain

    drawn = table("Status", "Operation", "Created", "Attempts", "Job", right=("Attempts",))
    for job in jobs:
        told = Text(plain(job.id), style="dim")
        if job.error:
            told.append(plain(f"\n{job.error.code}: {job.error.detail}"), style="red")
        drawn.add_row(
            Text(job.status.value, style=_COLOURS.get(job.status, "")),
            job.operation,
            f"{job.created_at:%Y-%m-%d %H:%M:%S}",
            str(job.attempts),
            told,
        )
    return drawn


def _view(job: "Job") -> Any:
    from rich.console import Group

    from engramia.cli.tables import facts, named

    document = _document(job)
    result = document.pop("result")
    error = document.pop("error")
    progress = document.pop("progress", {})
    rows = [(name, value) for name, value in named(document) if value is not None]
    rows += (
        [("Progress", ", ".join(f"{count:,} {name}" for name, count in progress.items()))] if progress else []
    )
    rows += [("Error", f"{error['code']}: {error['detail']}")] if error else []
    if result is None:
        return facts(rows)
    return Group(facts(rows), facts(named(result), title="\nResult"))
