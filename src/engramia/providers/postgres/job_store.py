"""The jobs port over one transaction: each job a row, taken up by `FOR UPDATE SKIP LOCKED`."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Integer, Row, Update, bindparam, delete, func, or_, select, update

from engramia.core.jobs import UNFINISHED, Job, JobError, JobStatus
from engramia.core.query import Page
from engramia.errors import ValidationError
from engramia.providers.postgres import rows
from engramia.providers.postgres.tables import jobs, scopes
from engramia.providers.postgres.transaction import ScopeTransaction, ours

JOBS_CHANNEL = "engramia_jobs"
"""What is notified when a job waits for a worker, without saying whose."""

_NOTHING = "{}"
_of_id = jobs.c.id == bindparam("of_id")
_limit, _offset = bindparam("at_most", type_=Integer), bindparam("from_place", type_=Integer)

_GET = select(jobs).where(ours(jobs), _of_id)
# Where nobody reads what a job was asked for, which may be long, it stays where it is.
_SHOWN = tuple(column for column in jobs.c if column.name != "request")
_LOOK = select(*_SHOWN).where(ours(jobs), _of_id)
_LIST = (
    select(*_SHOWN)
    .where(ours(jobs))
    .order_by(jobs.c.created_at.desc(), jobs.c.id.desc())
    .limit(_limit)
    .offset(_offset)
)
_LIST_STATUS = _LIST.where(jobs.c.status == bindparam("of_status"))
_NEXT_DUE = select(func.min(jobs.c.due_at)).where(ours(jobs), jobs.c.due_at.is_not(None))
# For the rest of the transaction nobody else takes the job up.
_HELD = _LOOK.with_for_update()
# A job that another transaction holds is passed over.
_DUE = (
    select(jobs)
    .where(ours(jobs), jobs.c.due_at <= bindparam("now"))
    .order_by(jobs.c.due_at, jobs.c.id)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_LATE = (
    select(*_SHOWN)
    .where(ours(jobs), jobs.c.status == JobStatus.PENDING.value, jobs.c.due_at < bindparam("before"))
    .order_by(jobs.c.due_at, jobs.c.id)
    .with_for_update(skip_locked=True)
)
_FINISHED_NEWEST = (
    select(jobs.c.id)
    .where(ours(jobs), jobs.c.due_at.is_(None))
    .order_by(jobs.c.completed_at.desc(), jobs.c.id.desc())
    .limit(_limit)
)
_PRUNE = delete(jobs).where(
    ours(jobs),
    jobs.c.due_at.is_(None),
    or_(jobs.c.completed_at < bindparam("before"), jobs.c.id.not_in(_FINISHED_NEWEST)),
)
_MOVES = (
    "status",
    "run_at",
    "due_at",
    "attempts",
    "fence",
    "worker",
    "lease_until",
    "started_at",
    "completed_at",
    "result",
    "error_code",
    "error_detail",
)
"""What changes on a job's way."""
_MOVE = (
    update(jobs)
    .where(ours(jobs), _of_id, jobs.c.fence == bindparam("of_fence"), jobs.c.status == bindparam("of_status"))
    .values({name: bindparam(f"new_{name}") for name in _MOVES})
)
_END = _MOVE.values(request=_NOTHING)
_COMPLETE = _END.values(progress=None)
_ADVANCE = (
    update(jobs)
    .where(
        ours(jobs),
        _of_id,
        jobs.c.fence == bindparam("of_fence"),
        jobs.c.status == JobStatus.RUNNING.value,
    )
    .values(progress=bindparam("so_far"), lease_until=bindparam("until"), due_at=bindparam("until"))
)

_WAITS = (
    update(scopes)
    .where(ours(scopes))
    .values(jobs_due=func.least(scopes.c.jobs_due, bindparam("of_due", type_=scopes.c.jobs_due.type)))
)
_LOCKED_SCOPE = select(scopes.c.jobs_due).where(ours(scopes)).with_for_update(skip_locked=True)
_NOTED = (
    update(scopes)
    .where(ours(scopes))
    .values(jobs_due=select(func.min(jobs.c.due_at)).where(ours(jobs)).scalar_subquery())
)
_TELL = select(func.pg_notify(JOBS_CHANNEL, ""))


class PostgresJobStore:
    """Implements `JobStore`."""

    def __init__(self, transaction: ScopeTransaction) -> None:
        self._transaction = transaction

    def add(self, job: Job) -> None:
        """Store a new job."""
        values = _values(job)
        made = {
            "id": rows.text(job.id, "id"),
            "operation": rows.text(job.operation, "operation"),
            "created_at": job.created_at,
            "author": rows.optional_text(job.author, "author"),
            "request": _text(job.request, "request") if job.status in UNFINISHED else _NOTHING,
            "progress": _optional_text(job.progress, "progress"),
        }
        self._transaction.insert(jobs, [made | values])
        self._waits(job)

    def get(self, id: str) -> Job | None:
        """Return the job, or None."""
        row = self._transaction.execute(_GET, of_id=id).one_or_none()
        return None if row is None else _job(row)

    def list(self, status: JobStatus | None, *, limit: int, offset: int) -> Page[Job]:
        """Return jobs newest first, all or those in one status, without their requests."""
        values: dict[str, Any] = {"at_most": limit + 1, "from_place": offset}
        if status is None:
            found = self._transaction.execute(_LIST, **values).all()
        else:
            found = self._transaction.execute(_LIST_STATUS, of_status=status.value, **values).all()
        return Page(tuple(_job(row, request=_NOTHING) for row in found[:limit]), offset, len(found) > limit)

    def next_due(self) -> datetime | None:
        """Return when the next job may be claimed, or None while none is unfinished."""
        return rows.optional_utc(self._transaction.execute(_NEXT_DUE).scalar_one())

    def claim(self, *, worker: str, now: datetime, lease_until: datetime) -> Job | None:
        """Take up the job that has been due the longest."""
        self._transaction.check_writable()
        row = self._transaction.execute(_DUE, now=now).one_or_none()
        if row is None:
            self._note_next_due()
            return None
        job = _job(row)
        claimed = job.claimed(worker=rows.text(worker, "worker"), now=now, lease_until=lease_until)
        self._move(job, claimed)
        return claimed

    def holds(self, id: str, fence: int) -> bool:
        """Return whether this claim holds the job."""
        return self._held(id, fence) is not None

    def extend(self, id: str, fence: int, lease_until: datetime) -> bool:
        """Give a running job's worker more time."""
        return self._step(id, fence, lambda job: job.extended(lease_until))

    def advance(self, id: str, fence: int, progress: Mapping[str, Any], lease_until: datetime) -> bool:
        """Keep how far a running job is, and give its worker more time."""
        so_far = _text(progress, "progress")
        done = self._transaction.write(_ADVANCE, of_id=id, of_fence=fence, so_far=so_far, until=lease_until)
        return done == 1

    def complete(self, id: str, fence: int, result: Mapping[str, Any], at: datetime) -> bool:
        """Finish a running job with its result."""
        return self._step(id, fence, lambda job: job.completed(result, at))

    def fail(self, id: str, fence: int, error: JobError, at: datetime) -> bool:
        """Finish a running job with an error."""
        return self._step(id, fence, lambda job: job.failed(error, at))

    def retry(self, id: str, fence: int, error: JobError, run_at: datetime) -> bool:
        """Let a running job wait for another attempt."""
        return self._step(id, fence, lambda job: self._waits(job.retried(error, run_at)))

    def release(self, id: str, fence: int) -> bool:
        """Let a running job wait again as if never taken up."""
        return self._step(id, fence, lambda job: self._waits(job.released()))

    def cancel(self, id: str, at: datetime) -> bool:
        """Finish a pending job so that nobody takes it up."""
        self._transaction.check_writable()
        job = self.get(id)
        if job is None or job.status is not JobStatus.PENDING:
            return False
        return self._move(job, job.cancelled(at))

    def expire(self, before: datetime, at: datetime) -> Sequence[Job]:
        """Finish pending jobs that have been due since before `before`."""
        self._transaction.check_writable()
        late = [_job(row, request=_NOTHING) for row in self._transaction.execute(_LATE, before=before)]
        expired = [job.expired(at) for job in late]
        for job, ended in zip(late, expired, strict=True):
            self._move(job, ended)
        return expired

    def prune(self, before: datetime, keep: int) -> int:
        """Delete jobs that finished long ago and all but the `keep` last finished."""
        return self._transaction.write(_PRUNE, before=before, at_most=keep)

    def _step(self, id: str, fence: int, step: Callable[[Job], Job]) -> bool:
        """Move a running job on if the claim of this number holds it."""
        self._transaction.check_writable()
        job = self._held(id, fence)
        return job is not None and self._move(job, step(job))

    def _held(self, id: str, fence: int) -> Job | None:
        statement = _HELD if self._transaction.writable else _LOOK
        row = self._transaction.execute(statement, of_id=id).one_or_none()
        job = None if row is None else _job(row, request=_NOTHING)
        return job if job is not None and job.held_by(fence) else None

    def _move(self, job: Job, moved: Job) -> bool:
        """Store what became of a job, if it is still what it was."""
        values = {f"new_{name}": value for name, value in _values(moved).items()}
        done = self._transaction.write(
            _statement(moved.status), of_id=job.id, of_fence=job.fence, of_status=job.status.value, **values
        )
        return done == 1

    def _waits(self, job: Job) -> Job:
        """Let the workers find the scope when the job is due, and tell them as soon as this is committed."""
        if job.due is not None:
            if not self._transaction.write(_WAITS, of_due=job.due):
                # The scope has no row yet, and gets one at the end of the transaction.
                self._transaction.row.jobs_due = min(job.due, self._transaction.row.jobs_due or job.due)
            self._transaction.execute(_TELL)
        return job

    def _note_next_due(self) -> None:
        """Let the workers not look here before a job is due, unless another transaction is adding one.

        The lock comes first: what was added before it, the second statement sees; what comes later waits for
        it, and then moves the moment back.
        """
        if self._transaction.execute(_LOCKED_SCOPE).one_or_none() is not None:
            self._transaction.write(_NOTED)


def _statement(status: JobStatus) -> Update:
    """Return what moves a job to this status; what was asked is not kept longer than it is needed."""
    if status in UNFINISHED:
        return _MOVE
    return _COMPLETE if status is JobStatus.COMPLETED else _END


def _values(job: Job) -> dict[str, Any]:
    return {
        "status": job.status.value,
        "run_at": job.run_at,
        "due_at": job.due,
        "attempts": job.attempts,
        "fence": job.fence,
        "worker": job.worker,
        "lease_until": job.lease_until,
        "started_at": job.started_at,
        "completed_at": job.completed_at,
        "result": _optional_text(job.result, "result"),
        "error_code": None if job.error is None else rows.text(job.error.code, "error"),
        "error_detail": None if job.error is None else rows.text(job.error.detail, "error"),
    }


def _job(row: Row[Any], *, request: str | None = None) -> Job:
    return Job(
        id=row.id,
        operation=row.operation,
        request=orjson.loads(row.request if request is None else request),
        created_at=rows.utc(row.created_at),
        run_at=rows.utc(row.run_at),
        author=row.author,
        status=JobStatus(row.status),
        attempts=row.attempts,
        fence=row.fence,
        worker=row.worker,
        lease_until=rows.optional_utc(row.lease_until),
        started_at=rows.optional_utc(row.started_at),
        completed_at=rows.optional_utc(row.completed_at),
        result=_optional_object(row.result),
        error=None if row.error_code is None else JobError(row.error_code, row.error_detail),
        progress=_optional_object(row.progress),
    )


def _text(value: Mapping[str, Any], field: str) -> str:
    try:
        return orjson.dumps(dict(value)).decode()
    except TypeError as error:
        raise ValidationError(f"{field} cannot be stored as JSON: {error}.", field=field) from error


def _optional_text(value: Mapping[str, Any] | None, field: str) -> str | None:
    return None if value is None else _text(value, field)


def _optional_object(text: str | None) -> Any:
    return None if text is None else orjson.loads(text)
