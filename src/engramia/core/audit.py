"""What the audit trail keeps of an act: who did, or tried, what, where and when."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from engramia.errors import ValidationError

type AuditOutcome = Literal["success", "refused", "failed"]
type AuditFact = str | int | float | bool | None

NOBODY = "_nobody"
"""Whose chain keeps the refusals of callers that nobody knows. No `Scope` takes it as a tenant's id."""

FACTS_MAX = 20
FACT_MAX_CHARS = 500

_EVENT = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_EVENT_MAX_CHARS = 64
_RESERVED = frozenset(
    {"event", "outcome", "actor", "tenant_id", "project_id", "request_id", "ip", "seq", "hash"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One act, as it is handed to the trail; `ValidationError` for one that could not be kept."""

    event: str
    """A dotted name, such as `key.created`."""
    outcome: AuditOutcome
    actor: str | None
    """The id of the key or person, never the key itself; None where nobody is known."""
    at: datetime
    """With a time zone."""
    tenant_id: str = NOBODY
    project_id: str | None = None
    request_id: str | None = None
    ip: str | None = None
    facts: Mapping[str, AuditFact] = field(default_factory=dict)
    """Ids, counts and reasons; never a secret, never what was stored."""

    def __post_init__(self) -> None:
        if len(self.event) > _EVENT_MAX_CHARS or _EVENT.fullmatch(self.event) is None:
            raise ValidationError(
                f"event must be a dotted name of at most {_EVENT_MAX_CHARS} lower-case letters, digits and "
                f"'_', such as 'key.created'; got {self.event[:80]!r}.",
                field="event",
            )
        if self.at.utcoffset() is None:
            raise ValidationError("at must have a time zone.", field="at")
        if len(self.facts) > FACTS_MAX:
            raise ValidationError(f"facts must be at most {FACTS_MAX}.", field="facts")
        for name, value in self.facts.items():
            _check_fact(name, value)


@dataclass(frozen=True, slots=True)
class AuditStamp:
    """Where an entry stands in its tenant's chain; in the log it is out of the database's reach."""

    seq: int
    """From 1, without gaps."""
    hash: str
    """64 hexadecimal digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One row of a tenant's chain, just as it is stored."""

    tenant_id: str
    seq: int
    at: datetime
    event: str
    outcome: str
    actor: str | None
    project_id: str | None
    request_id: str | None
    ip: str | None
    facts: str
    """A JSON object, as it was written: `canonical`."""
    seal: str
    """How `hash` was made: `Seal.name`."""
    previous: str
    """The hash of the row before."""
    hash: str


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which rows of a tenant are wanted; None is any. `until` is the first moment after them."""

    event: str | None = None
    actor: str | None = None
    outcome: AuditOutcome | None = None
    since: datetime | None = None
    until: datetime | None = None


def _check_fact(name: str, value: object) -> None:
    if name in _RESERVED:
        raise ValidationError(f"A fact cannot be named {name!r}: each entry has that.", field="facts")
    finite = not isinstance(value, float) or math.isfinite(value)
    if not (finite and isinstance(value, str | int | float | bool | None)):
        raise ValidationError(f"The fact {name!r} must be a text, a finite number or null.", field="facts")


def canonical(facts: Mapping[str, AuditFact]) -> str:
    """Return facts as JSON in ASCII, names in order, no space: the same facts are the same bytes.

    Texts are cut to `FACT_MAX_CHARS`.
    """
    fit = {name: _fit(value) if isinstance(value, str) else value for name, value in facts.items()}
    return json.dumps(fit, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _fit(text: str) -> str:
    # A lone surrogate, which an answer in UTF-8 could not hold, becomes a question mark.
    return text[:FACT_MAX_CHARS].encode("utf-8", "replace").decode()
