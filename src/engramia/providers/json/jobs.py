"""The jobs of one scope in memory, made by the events of its journal.

Requests and results stand in the journal as texts: an object in a line could pass for a line of its own.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple
from datetime import datetime
from typing import Any

import orjson

from engramia.core.jobs import UNFINISHED, Job, JobError, JobStatus
from engramia.errors import ValidationError
from engramia.providers.json import codec

type Events = Sequence[codec.Json]

_MOVES = (
    "status",
    "run_at",
    "attempts",
    "fence",
    "worker",
    "lease_until",
    "started_at",
    "completed_at",
    "result",
    "error",
)
"""What changes on a job's way."""
_FIELDS = ("id", "operation", "request", "created_at", "author", *_MOVES)
_TEXTS = ("request", "progress", "result")
_LINE_BYTES = 450  # about what a job's line has beside its texts
_NOTHING = "{}"


class JobTable:
    """Jobs by id as they stand in the journal, and the unfinished ones by when they are due."""

    def __init__(self) -> None:
        self.rows: dict[str, codec.Json] = {}
        self.unfinished: set[str] = set()
        self._due: list[tuple[str, str]] = []  # a heap; what is not true any more is passed over
        self.handlers = {
            "job": self._put,
            "job_moved": self._move,
            "job_advanced": self._advance,
            "jobs_dropped": self._drop,
        }
        """What each kind of event does, given consecutive events of the kind."""

    def snapshot(self) -> Iterator[list[bytes]]:
        """Yield the events that make this table out of an empty one, a line each."""
        for row in self.rows.values():
            yield [codec.dumps({"kind": "job"} | row)]

    def live_bytes(self) -> int:
        """Return about how long the snapshot is."""
        texts = sum(len(row[name] or "") for row in self.rows.values() for name in _TEXTS)
        return texts + _LINE_BYTES * len(self.rows)

    def first_due(self) -> tuple[str, str] | None:
        """Return when the job that is due first is due, as a text, and its id."""
        while self._due and due_of(self.rows.get(self._due[0][1])) != self._due[0][0]:
            heapq.heappop(self._due)
        return self._due[0] if self._due else None

    def _put(self, events: Events) -> None:
        for event in events:
            # Older lines say nothing of progress: nothing was done in parts.
            self._keep({name: event[name] for name in _FIELDS} | {"progress": event.get("progress")})

    def _advance(self, events: Events) -> None:
        for event in events:
            row = self.rows.get(event["id"])
            if row is not None:
                self._keep(row | {name: event[name] for name in ("progress", "lease_until")})

    def _move(self, events: Events) -> None:
        for event in events:
            row = self.rows.get(event["id"])
            if row is not None:  # a damaged line may have been the one that made it
                self._keep(row | {name: event[name] for name in _MOVES})

    def _keep(self, row: codec.Json) -> None:
        self.rows[row["id"]] = row
        due = due_of(row)
        if due is not None:
            self.unfinished.add(row["id"])
            heapq.heappush(self._due, (due, row["id"]))
        else:
            self.unfinished.discard(row["id"])
            row["request"] = _NOTHING
            if row["status"] == JobStatus.COMPLETED:
                row["progress"] = None

    def _drop(self, events: Events) -> None:
        for event in events:
            for id_ in event["ids"]:
                self.rows.pop(id_, None)
                self.unfinished.discard(id_)


def due_of(row: codec.Json | None) -> str | None:
    """Return when the job may be claimed, or None if it has finished or there is none."""
    if row is None or row["status"] not in UNFINISHED:
        return None
    due: str = row["run_at" if row["status"] == JobStatus.PENDING else "lease_until"]
    return due


def encode_job(job: Job) -> codec.Json:
    """Return the event that stores a job."""
    made = {
        "id": job.id,
        "operation": job.operation,
        "request": _text(job.request, field="request"),
        "created_at": codec.time_text(job.created_at),
        "author": job.author,
        "progress": _optional_text(job.progress, field="progress"),
    }
    return {"kind": "job"} | made | _encode_moves(job)


def encode_move(job: Job) -> codec.Json:
    """Return the event that brings a stored job to where `job` is on its way."""
    return {"kind": "job_moved", "id": job.id} | _encode_moves(job)


def encode_advance(job: Job) -> codec.Json:
    """Return the event that keeps how far a stored, running job is."""
    return {
        "kind": "job_advanced",
        "id": job.id,
        "progress": _optional_text(job.progress, field="progress"),
        "lease_until": _time_text(job.lease_until),
    }


def _encode_moves(job: Job) -> codec.Json:
    return {
        "status": job.status.value,
        "run_at": codec.time_text(job.run_at),
        "attempts": job.attempts,
        "fence": job.fence,
        "worker": job.worker,
        "lease_until": _time_text(job.lease_until),
        "started_at": _time_text(job.started_at),
        "completed_at": _time_text(job.completed_at),
        "result": _optional_text(job.result, field="result"),
        "error": None if job.error is None else astuple(job.error),
    }


def decode_job(row: codec.Json, *, request: bool = True) -> Job:
    """Return the job of the domain; without its request, which may be long, if that is not wanted."""
    return Job(
        id=row["id"],
        operation=row["operation"],
        request=orjson.loads(row["request"]) if request else {},
        created_at=codec.time_of(row["created_at"]),
        run_at=codec.time_of(row["run_at"]),
        author=row["author"],
        status=JobStatus(row["status"]),
        attempts=row["attempts"],
        fence=row["fence"],
        worker=row["worker"],
        lease_until=_time_of(row["lease_until"]),
        started_at=_time_of(row["started_at"]),
        completed_at=_time_of(row["completed_at"]),
        result=_optional_object(row["result"]),
        error=None if row["error"] is None else JobError(*row["error"]),
        progress=_optional_object(row["progress"]),
    )


def _text(value: Mapping[str, Any], *, field: str) -> str:
    try:
        return orjson.dumps(dict(value)).decode()
    except TypeError as error:
        raise ValidationError(f"{field} cannot be stored as JSON: {error}.", field=field) from error


def _optional_text(value: Mapping[str, Any] | None, *, field: str) -> str | None:
    return None if value is None else _text(value, field=field)


def _optional_object(text: str | None) -> Any:
    return None if text is None else orjson.loads(text)


def _time_text(moment: datetime | None) -> str | None:
    return None if moment is None else codec.time_text(moment)


def _time_of(text: str | None) -> datetime | None:
    return None if text is None else codec.time_of(text)
