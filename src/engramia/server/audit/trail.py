"""The trail of the service: an `AUDIT` line for every entry and, where there is a database, a row."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from engramia.core.audit import NOBODY, AuditEntry, AuditOutcome, AuditQuery, AuditRow, AuditStamp
from engramia.core.ports import Clock
from engramia.core.query import Page
from engramia.server.audit.late_rows import LateRows


class Line(Protocol):
    """Writes an `AUDIT` line into the log."""

    def __call__(  # noqa: PLR0913 - one keyword for each thing an auditor asks
        self,
        event: str,
        *,
        outcome: AuditOutcome,
        actor: str | None,
        tenant_id: str | None = None,
        project_id: str | None = None,
        request_id: str | None = None,
        ip: str | None = None,
        **facts: Any,
    ) -> None:
        """Write it."""
        ...


class Rows(Protocol):
    """The rows of all tenants."""

    def keep(self, entries: Sequence[AuditEntry]) -> Sequence[AuditStamp]:
        """Append rows of one tenant, at least one, and commit; raises `StorageError`."""
        ...

    def page(self, tenant: str, query: AuditQuery, *, limit: int, offset: int) -> Page[AuditRow]:
        """Return a tenant's rows, newest first."""
        ...


class AuditTrail:
    """Implements `Trail` and, by `note`, `AuditLog`."""

    def __init__(self, clock: Clock, line: Line, rows: Rows | None) -> None:
        """Tell the log by `line`, and keep entries in `rows` if there are any."""
        self._clock = clock
        self._line = line
        self.rows = rows
        self._late = None if rows is None else LateRows(rows.keep, clock, self._anchor)

    def now(self) -> datetime:
        """Return the time that entries carry."""
        return self._clock.now()

    def tell(self, entry: AuditEntry, stamp: AuditStamp | None) -> None:
        """Write the line of an entry; its row's number and hash stand in it as an anchor of the chain."""
        where = {} if stamp is None else {"seq": stamp.seq, "hash": stamp.hash}
        self._line(
            entry.event,
            outcome=entry.outcome,
            actor=entry.actor,
            tenant_id=None if entry.tenant_id == NOBODY else entry.tenant_id,
            project_id=entry.project_id,
            request_id=entry.request_id,
            ip=entry.ip,
            **entry.facts,
            **where,
        )

    def keep(self, entry: AuditEntry) -> None:
        """Keep an entry by itself and tell the log; raises `StorageError` if it could not be kept."""
        self.tell(entry, None if self.rows is None else self.rows.keep([entry])[0])

    def later(self, entry: AuditEntry) -> None:
        """Tell the log, and keep the entry soon; never waits and never fails."""
        self.tell(entry, None)
        if self._late is not None:
            self._late.offer(entry)

    def note(  # noqa: PLR0913 - one keyword for each thing an auditor asks
        self,
        event: str,
        *,
        outcome: AuditOutcome,
        actor: str | None,
        ip: str | None,
        tenant_id: str | None = None,
        project_id: str | None = None,
        request_id: str | None = None,
        **facts: Any,
    ) -> None:
        """Tell the log what was refused, and keep it soon; in `NOBODY`'s chain if no tenant is known."""
        self.later(
            AuditEntry(
                event=event,
                outcome=outcome,
                actor=actor,
                at=self.now(),
                tenant_id=tenant_id or NOBODY,
                project_id=project_id,
                request_id=request_id,
                ip=ip,
                facts=facts,
            )
        )

    def close(self, seconds: float) -> None:
        """Write what waits to be kept, for at most so long."""
        if self._late is not None:
            self._late.close(seconds)

    def _anchor(self, entry: AuditEntry, stamp: AuditStamp) -> None:
        """Put the end of a chain into the log: the lines of what was kept late could not say where it is."""
        self._line(
            "audit.anchored",
            outcome="success",
            actor=None,
            chain=entry.tenant_id,
            seq=stamp.seq,
            hash=stamp.hash,
        )
