"""How the service accounts for acts: who asked, what was done, and the trail that keeps it."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from starlette.requests import Request

from engramia.core.audit import AuditEntry, AuditFact, AuditOutcome, AuditStamp
from engramia.core.model import Scope
from engramia.core.ports import Stores
from engramia.errors import AuthenticationError, AuthorizationError
from engramia.server.kit.audit_log import AuditLog
from engramia.server.kit.caller import Caller
from engramia.server.kit.one_transaction import OneTransaction


class KnownRefusalError(AuthenticationError):
    """The caller is refused though its key is known: it was revoked, or it expired.

    Whose it is goes into the audit trail and not into the answer.
    """

    def __init__(self, message: str, *, tenant_id: str, project_id: str | None, key_id: str | None) -> None:
        super().__init__(message)
        self.tenant_id = tenant_id
        self.project_id = project_id
        self.key_id = key_id


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedBy:
    """Who asked for an act, and from where."""

    scope: Scope
    actor: str | None
    request_id: str | None = None
    ip: str | None = None

    def entry(
        self, event: str, outcome: AuditOutcome, at: datetime, facts: Mapping[str, AuditFact]
    ) -> AuditEntry:
        """Return the entry for an act."""
        return AuditEntry(
            event=event,
            outcome=outcome,
            actor=self.actor,
            at=at,
            tenant_id=self.scope.tenant_id,
            project_id=self.scope.project_id,
            request_id=self.request_id,
            ip=self.ip,
            facts=facts,
        )


def asked_by(request: Request, caller: Caller) -> AskedBy:
    """Return who sent `request`."""
    state = request.scope["state"]
    peer = state.get("peer")
    return AskedBy(
        scope=caller.scope,
        actor=caller.key_id,
        request_id=state.get("request_id"),
        ip=None if peer is None else str(peer),
    )


@contextlib.contextmanager
def refusals_noted(request: Request) -> Iterator[None]:
    """Account for a refusal of the block, which checks a token of its own in place of a key."""
    try:
        yield
    except AuthenticationError as error:
        trail = getattr(request.app.state, "audit", None)
        if trail is not None:
            _note_refusal(trail.note, request, error)
        raise


def _note_refusal(note: AuditLog, request: Request, error: AuthenticationError) -> None:
    state = request.scope["state"]
    note(
        "auth.refused",
        outcome="refused",
        actor=None,
        ip=str(state["peer"]) if "peer" in state else None,
        request_id=state.get("request_id"),
        method=request.method,
        path=request.url.path,
        reason=str(error),
    )


class Trail(Protocol):
    """Keeps entries whose act has no transaction of its own, and tells the log of every entry."""

    def now(self) -> datetime:
        """Return the time that entries carry."""
        ...

    def tell(self, entry: AuditEntry, stamp: AuditStamp | None) -> None:
        """Write the `AUDIT` line of an entry that was kept; `stamp` is where, None for in no row."""
        ...

    def keep(self, entry: AuditEntry) -> None:
        """Keep an entry by itself and tell the log; raises `StorageError` if it could not be kept."""
        ...

    def later(self, entry: AuditEntry) -> None:
        """Tell the log, and keep the entry soon; never waits and never fails."""
        ...


class NoTrail:
    """Keeps nothing and tells nobody: for services that are put together without a trail."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(0, UTC)

    def tell(self, entry: AuditEntry, stamp: AuditStamp | None) -> None: ...

    def keep(self, entry: AuditEntry) -> None: ...

    def later(self, entry: AuditEntry) -> None: ...


@dataclass(slots=True)
class Act:
    """One act in one transaction: its entry is kept with what it did, or says that it failed."""

    trail: Trail
    event: str
    by: AskedBy
    facts: dict[str, AuditFact] = field(default_factory=dict)
    """What is known of it; more may be put in until the transaction ends."""
    goes_on: bool = False
    """Whether it ends in another transaction, so that this one, if it succeeds, leaves no entry."""
    _kept: tuple[AuditEntry, AuditStamp | None] | None = None

    def within(self, unit: OneTransaction) -> None:
        """Account for the act as a part of `unit`, whose transaction is about to begin."""
        unit.at_end(self._append)
        unit.after_commit(self._tell)
        unit.on_failure(self._tell_failure)

    def _append(self, stores: Stores) -> None:
        if self.goes_on:
            return
        entry = self.by.entry(self.event, "success", self.trail.now(), self.facts)
        self._kept = entry, stores.audit.append(entry)

    def _tell(self) -> None:
        if self._kept is not None:
            self.trail.tell(*self._kept)

    def _tell_failure(self, error: BaseException) -> None:
        if isinstance(error, Exception):
            # Loaded when something fails: it brings the HTTP framework, which stdio starts without.
            from engramia.server.kit.errors import problem_of

            outcome: AuditOutcome = "refused" if isinstance(error, AuthorizationError) else "failed"
            facts = self.facts | {"error": problem_of(error).error}
            self.trail.later(self.by.entry(self.event, outcome, self.trail.now(), facts))


def counts_of(document: Mapping[str, object]) -> dict[str, AuditFact]:
    """Return the numbers of an answer: what an entry may hold of it."""
    return {
        name: value
        for name, value in document.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
