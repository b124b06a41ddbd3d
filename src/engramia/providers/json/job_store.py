"""The jobs port over the state of one scope."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from engramia.core.jobs import Job, JobError, JobStatus
from engramia.core.query import Page
from engramia.providers.json import codec
from engramia.providers.json.job_marker import JobMarker
from engramia.providers.json.jobs import JobTable, decode_job, encode_advance, encode_job, encode_move
from engramia.providers.json.transaction import Transaction


class JSONJobStore:
    """Implements `JobStore`."""

    def __init__(self, transaction: Transaction, marker: JobMarker) -> None:
        self._transaction = transaction
        self._marker = marker

    def add(self, job: Job) -> None:
        """Store a new job, after the marker of its scope has reached the disk."""
        event = encode_job(job)
        self._transaction.check_writable()
        self._marker.put()
        self._transaction.emit(event)

    def get(self, id: str) -> Job | None:
        """Return the job, or None."""
        row = self._table().rows.get(id)
        return None if row is None else decode_job(row)

    def list(self, status: JobStatus | None, *, limit: int, offset: int) -> Page[Job]:
        """Return jobs newest first, all or those in one status, without their requests."""
        rows = [row for row in self._table().rows.values() if status is None or row["status"] == status]
        rows.sort(key=lambda row: (row["created_at"], row["id"]), reverse=True)
        shown = tuple(decode_job(row, request=False) for row in rows[offset : offset + limit])
        return Page(shown, offset, len(rows) > offset + limit)

    def next_due(self) -> datetime | None:
        """Return when the next job may be claimed, or None while none is unfinished."""
        first = self._table().first_due()
        return None if first is None else codec.time_of(first[0])

    def claim(self, *, worker: str, now: datetime, lease_until: datetime) -> Job | None:
        """Take up the job that has been due the longest; if none is unfinished, the marker will go."""
        table = self._table()
        first = table.first_due()
        if first is None:
            self._transaction.found_no_job = True
        if first is None or first[0] > codec.time_text(now):
            return None
        job = decode_job(table.rows[first[1]]).claimed(worker=worker, now=now, lease_until=lease_until)
        self._transaction.emit(encode_move(job))
        return job

    def holds(self, id: str, fence: int) -> bool:
        """Return whether this claim holds the job."""
        return self._held(id, fence) is not None

    def extend(self, id: str, fence: int, lease_until: datetime) -> bool:
        """Give a running job's worker more time."""
        return self._move(id, fence, lambda job: job.extended(lease_until))

    def advance(self, id: str, fence: int, progress: Mapping[str, Any], lease_until: datetime) -> bool:
        """Keep how far a running job is, and give its worker more time."""
        job = self._held(id, fence)
        if job is None:
            return False
        self._transaction.emit(encode_advance(job.advanced(progress, lease_until)))
        return True

    def complete(self, id: str, fence: int, result: Mapping[str, Any], at: datetime) -> bool:
        """Finish a running job with its result."""
        return self._move(id, fence, lambda job: job.completed(result, at))

    def fail(self, id: str, fence: int, error: JobError, at: datetime) -> bool:
        """Finish a running job with an error."""
        return self._move(id, fence, lambda job: job.failed(error, at))

    def retry(self, id: str, fence: int, error: JobError, run_at: datetime) -> bool:
        """Let a running job wait for another attempt."""
        return self._move(id, fence, lambda job: job.retried(error, run_at))

    def release(self, id: str, fence: int) -> bool:
        """Let a running job wait again as if never taken up."""
        return self._move(id, fence, lambda job: job.released())

    def cancel(self, id: str, at: datetime) -> bool:
        """Finish a pending job so that nobody takes it up."""
        row = self._table().rows.get(id)
        if row is None or row["status"] != JobStatus.PENDING:
            return False
        self._transaction.emit(encode_move(decode_job(row, request=False).cancelled(at)))
        return True

    def expire(self, before: datetime, at: datetime) -> Sequence[Job]:
        """Finish pending jobs that have been due since before `before`."""
        table, oldest = self._table(), codec.time_text(before)
        first = table.first_due()
        if first is None or first[0] >= oldest:
            return []
        rows = [table.rows[id_] for id_ in table.unfinished]
        late = [row for row in rows if row["status"] == JobStatus.PENDING and row["run_at"] < oldest]
        late.sort(key=lambda row: (row["run_at"], row["id"]))
        jobs = [decode_job(row, request=False).expired(at) for row in late]
        for job in jobs:
            self._transaction.emit(encode_move(job))
        return jobs

    def prune(self, before: datetime, keep: int) -> int:
        """Delete jobs that finished long ago and all but the `keep` last finished."""
        table = self._table()
        finished = [
            (row["completed_at"], id_) for id_, row in table.rows.items() if id_ not in table.unfinished
        ]
        finished.sort(reverse=True)
        oldest = codec.time_text(before)
        gone = [id_ for place, (at, id_) in enumerate(finished) if place >= keep or at < oldest]
        if gone:
            self._transaction.emit({"kind": "jobs_dropped", "ids": gone})
        return len(gone)

    def _move(self, id: str, fence: int, step: Callable[[Job], Job]) -> bool:
        """Move a running job on if the claim of this number holds it."""
        job = self._held(id, fence)
        if job is None:
            return False
        self._transaction.emit(encode_move(step(job)))
        return True

    def _held(self, id: str, fence: int) -> Job | None:
        row = self._table().rows.get(id)
        job = None if row is None else decode_job(row, request=False)
        return job if job is not None and job.held_by(fence) else None

    def _table(self) -> JobTable:
        return self._transaction.state.jobs
