"""The audit trail read: pages of it, and the check of a whole chain."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, func, select

from engramia.core.audit import AuditEntry, AuditQuery, AuditRow, AuditStamp
from engramia.core.audit_chain import ChainCheck, ChainReport, Seal
from engramia.core.query import Page
from engramia.db.audit import AuditLedger, audit_heads, audit_log, tenant_settings
from engramia.db.scoped import directory_settings
from engramia.db.session import Database, patience

_BATCH = 1_000
"""Rows of a chain that are read and checked together."""
_SECONDS = 60.0
"""For each statement of a check."""

_OURS = audit_log.c.tenant_id == bindparam("of_tenant")
_HEAD = select(audit_heads.c.seq, audit_heads.c.hash).where(audit_heads.c.tenant_id == bindparam("of_tenant"))
_COUNT = select(func.count()).select_from(audit_log).where(_OURS)
_NEXT = (
    select(audit_log)
    .where(_OURS, audit_log.c.seq > bindparam("after"))
    .order_by(audit_log.c.seq)
    .limit(_BATCH)
)
_CHAINS = select(audit_heads.c.tenant_id).order_by(audit_heads.c.tenant_id)


class AuditArchive:
    """All chains of a database, in transactions of its own."""

    def __init__(self, database: Database, ledger: AuditLedger) -> None:
        """Work over the pool of `database`."""
        self._database = database
        self._ledger = ledger

    def keep(self, entries: Sequence[AuditEntry]) -> Sequence[AuditStamp]:
        """Append rows of one tenant, at least one, and commit; raises `StorageError`."""
        with self._database.transaction(f"BEGIN; {tenant_settings(entries[0].tenant_id)}") as (connection, _):
            return self._ledger.append_all(connection, entries)

    def page(self, tenant: str, query: AuditQuery, *, limit: int, offset: int) -> Page[AuditRow]:
        """Return a tenant's rows, newest first."""
        statement = (
            select(audit_log)
            .where(_OURS, *_conditions(query))
            .order_by(audit_log.c.seq.desc())
            .limit(limit + 1)
            .offset(offset)
        )
        with self._reading(tenant) as connection:
            found = connection.execute(statement, {"of_tenant": tenant}).all()
        return Page(tuple(_row(row) for row in found[:limit]), offset, len(found) > limit)

    def tenants(self) -> Sequence[str]:
        """Return whose chains there are, in order, `NOBODY`'s among them."""
        with self._database.transaction(f"BEGIN READ ONLY; {directory_settings()}") as (connection, _):
            return [row.tenant_id for row in connection.execute(_CHAINS)]

    def verify(
        self,
        tenant: str,
        *,
        anchors: Mapping[int, str] | None = None,
        old_seals: Sequence[Seal] = (),
        on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> ChainReport:
        """Check a tenant's chain as it is now, from its first row to the head, up to the first bad row.

        `anchors` are hashes kept elsewhere, by the number of their row; `old_seals` those of secrets that
        were in use before; `on_progress` is told how many rows of how many are done.
        """
        seals = {seal.name: seal for seal in (Seal(None), *old_seals, self._ledger.seal)}
        check = ChainCheck(seals, dict(anchors or {}))
        with self._reading(tenant, apart=True) as connection, patience(connection, _SECONDS):
            head = connection.execute(_HEAD, {"of_tenant": tenant}).one_or_none()
            total = connection.execute(_COUNT, {"of_tenant": tenant}).scalar_one()
            fault = None
            for rows in _batches(connection, tenant):
                fault = check.follow(rows)
                on_progress(check.last.seq, total)
                if fault is not None:
                    break
            else:
                fault = check.end(None if head is None else AuditStamp(head.seq, head.hash))
        return ChainReport(tenant, check.unkeyed, check.last, fault)

    @contextmanager
    def _reading(self, tenant: str, *, apart: bool = False) -> Iterator[Connection]:
        begin = f"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; {tenant_settings(tenant)}"
        with self._database.transaction(begin, apart=apart) as (connection, _):
            yield connection


def _batches(connection: Connection, tenant: str) -> Iterator[list[AuditRow]]:
    """Yield a chain's rows in order, some at a time."""
    after = 0
    while True:
        found = connection.execute(_NEXT, {"of_tenant": tenant, "after": after}).all()
        if found:
            yield [_row(row) for row in found]
        if len(found) < _BATCH:
            return
        after = found[-1].seq


def _conditions(query: AuditQuery) -> list[ColumnElement[bool]]:
    named = {"event": query.event, "actor": query.actor, "outcome": query.outcome}
    wanted = [audit_log.c[name] == value for name, value in named.items() if value is not None]
    if query.since is not None:
        wanted.append(audit_log.c.at >= query.since)
    if query.until is not None:
        wanted.append(audit_log.c.at < query.until)
    return wanted


def _row(row: Row[Any]) -> AuditRow:
    return AuditRow(**row._mapping)  # noqa: SLF001 - SQLAlchemy documents it as the row's own mapping
