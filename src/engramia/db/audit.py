"""The audit trail in Postgres: rows that the application may add and read, chained per tenant."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC

from sqlalchemy import BigInteger, Column, Connection, DateTime, Table, Text, bindparam, insert, update
from sqlalchemy.dialects.postgresql import insert as upsert

from engramia.core.audit import NOBODY, AuditEntry, AuditRow, AuditStamp, canonical
from engramia.core.audit_chain import GENESIS, Seal
from engramia.core.model import Scope
from engramia.core.redaction import Redactor
from engramia.db.base import NAMES, metadata, tenant_id

audit_log = Table(
    "audit_log",
    metadata,
    tenant_id(),
    Column("seq", BigInteger, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("event", NAMES, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("actor", NAMES),
    Column("project_id", NAMES),
    Column("request_id", NAMES),
    Column("ip", Text),
    Column("facts", Text, nullable=False),
    Column("seal", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

audit_heads = Table(
    "audit_heads",
    metadata,
    tenant_id(),
    Column("seq", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
)
"""Of each tenant the last row's number and hash; who holds its lock is the only one to append."""

# Locks the row, made if it was not there, and returns it: one message where SELECT FOR UPDATE would need two.
_LOCK_HEAD = (
    upsert(audit_heads)
    .values(tenant_id=bindparam("of_tenant"), seq=0, hash=GENESIS)
    .on_conflict_do_update(index_elements=[audit_heads.c.tenant_id], set_={"seq": audit_heads.c.seq})
    .returning(audit_heads.c.seq, audit_heads.c.hash)
)
_MOVE_HEAD = (
    update(audit_heads)
    .where(audit_heads.c.tenant_id == bindparam("of_tenant"))
    .values(seq=bindparam("new_seq"), hash=bindparam("new_hash"))
)
# Also one that is made up, which no redactor takes for a secret: whoever sent it may have mistyped theirs.
_OWN_KEY = re.compile(r"sk_engramia_[A-Za-z0-9_-]{20,}")
_HIDDEN = "[REDACTED:engramia_api_key]"
_APPEND = insert(audit_log)


class AuditLedger:
    """Appends rows to the chains; one for a process. Redacts the texts among the facts."""

    def __init__(self, seal: Seal) -> None:
        """Seal rows with `seal`."""
        self.seal = seal
        self._redactor = Redactor()

    def append(self, connection: Connection, entry: AuditEntry) -> AuditStamp:
        """Append a row in the transaction that is open on `connection` and set to the entry's tenant.

        The chain is locked until it ends, so append last, and to no second tenant.
        """
        return self.append_all(connection, [entry])[0]

    def append_all(self, connection: Connection, entries: Sequence[AuditEntry]) -> Sequence[AuditStamp]:
        """Append rows of one tenant, in order, as `append` does; there must be at least one."""
        tenant = entries[0].tenant_id
        head = connection.execute(_LOCK_HEAD, {"of_tenant": tenant}).one()
        rows = list(self._chained(AuditStamp(head.seq, head.hash), entries))
        connection.execute(_APPEND, [asdict(row) for row in rows])
        last = rows[-1]
        connection.execute(_MOVE_HEAD, {"of_tenant": tenant, "new_seq": last.seq, "new_hash": last.hash})
        return [AuditStamp(row.seq, row.hash) for row in rows]

    def _chained(self, head: AuditStamp, entries: Sequence[AuditEntry]) -> Iterator[AuditRow]:
        for entry in entries:
            row = self.seal.sealed(self._row(entry, head))
            head = AuditStamp(row.seq, row.hash)
            yield row

    def _row(self, entry: AuditEntry, head: AuditStamp) -> AuditRow:
        clean = {
            name: self._redactor.redact(_OWN_KEY.sub(_HIDDEN, value)) if isinstance(value, str) else value
            for name, value in entry.facts.items()
        }
        return AuditRow(
            tenant_id=entry.tenant_id,
            seq=head.seq + 1,
            at=entry.at.astimezone(UTC),
            event=entry.event,
            outcome=entry.outcome,
            actor=entry.actor,
            project_id=entry.project_id,
            request_id=entry.request_id,
            ip=entry.ip,
            facts=canonical(clean),
            seal="",
            previous=head.hash,
            hash="",
        )


def tenant_settings(tenant: str) -> str:
    """Return the statement that lets the transaction see one tenant's chain; `NOBODY` is one, too."""
    # As a literal: a `Scope` holds nothing but letters, digits, `_`, `.` and `-`.
    checked = tenant if tenant == NOBODY else Scope(tenant).tenant_id
    return f"SELECT set_config('engramia.tenant_id', '{checked}', true)"
