"""What the service can do with a memory, one row an operation: the same for HTTP, for jobs and for MCP."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from engramia.memory.facade import Memory
from engramia.server.kit.auditing import AskedBy
from engramia.server.kit.lanes import Lane
from engramia.server.kit.permissions import Permission
from engramia.server.kit.schemas import Request

type Document = Mapping[str, Any]
"""A JSON object."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What an operation that is done in parts comes to before its last part: how far it is."""

    progress: Document
    """What the next part goes on from; the numbers in it are shown to people."""


class NoBody(Request):
    """The body of an operation that needs none; whatever is sent is ignored."""


@dataclass(frozen=True, slots=True)
class Asked[B: Request]:
    """One request for an operation: its body, who sent it, and the pattern that its address names."""

    body: B
    author: str | None = None
    key: str = ""
    by: AskedBy | None = None
    """Where an operation that is accounted for was asked for by a request."""


@dataclass(frozen=True, slots=True)
class Operation[B: Request]:
    """One row: `POST {path}` with body `request` answers `response`."""

    name: str
    """As jobs, logs and metrics name it."""
    path: str
    tag: str
    summary: str
    description: str
    permission: Permission
    request: type[B]
    response: type[BaseModel]
    run: Callable[[Memory, Asked[B]], Document]
    """Does it, and returns the body of the answer."""
    run_many: Callable[[Memory, Sequence[Asked[B]]], Sequence[Document | Exception]] | None = None
    """Does several at once, for less than one by one."""
    lane: Lane = Lane.QUICK
    needs_llm: bool = False
    job: "JobForm[B] | None" = None
    """How it becomes a job; None for one that cannot."""
    once: "OnceForm | None" = None
    """How it takes an `Idempotency-Key`; None for one that does not."""
    audited: str | None = None
    """The event of the audit trail that each time it is done is kept as; None for no privileged act."""
    may_miss: bool = False
    """Whether it names a pattern, which may not be there."""
    example: Mapping[str, Any] = field(default_factory=dict)
    """A body, and what it is answered."""
    answer: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OnceForm:
    """How an operation is done once for an `Idempotency-Key`."""

    lease: timedelta | None = None
    """How long an attempt may take before another process may make one; None for one that takes moments."""
    in_short: Callable[[Memory, Document], Document] | None = None
    """What is kept of the answer, small and free of what redaction takes; None for all of it."""


@dataclass(frozen=True, slots=True)
class JobForm[B: Request]:
    """How an operation becomes a job."""

    prepare: Callable[[Memory, B], Request]
    """Checks what can be checked before, and redacts: what waits as a job is stored."""
    stored: type[Request]
    """What `prepare` returns and `run` takes."""
    part: Callable[[Memory, Asked[B], Document | None], Document | Unfinished] | None = None
    """Does the next part of it, each in a transaction of its own, and answers as `run` does after the last.

    It is given how far the parts before came, None at first. None for what is done in one.
    """
