"""The audit trail in a transaction of one scope."""

from engramia.core.audit import AuditEntry, AuditStamp
from engramia.db.audit import AuditLedger
from engramia.db.faults import translated
from engramia.errors import StorageError
from engramia.providers.postgres.transaction import ScopeTransaction


class PostgresAuditTrail:
    """Appends to the chain of the scope's tenant. Implements `AuditTrail`."""

    def __init__(self, transaction: ScopeTransaction, ledger: AuditLedger) -> None:
        self._transaction, self._ledger = transaction, ledger

    def append(self, entry: AuditEntry) -> AuditStamp | None:
        """Keep an entry if the transaction ends well."""
        self._transaction.check_writable()
        tenant = self._transaction.scope.tenant_id
        if entry.tenant_id != tenant:
            raise StorageError(
                f"An act of tenant {entry.tenant_id!r} cannot be kept with those of {tenant!r}."
            )
        with translated():
            return self._ledger.append(self._transaction.connection, entry)
