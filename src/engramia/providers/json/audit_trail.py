"""The audit trail of a storage of files: whoever could alter the log could alter the files, too."""

from engramia.core.audit import AuditEntry, AuditStamp


class LogAlone:
    """Keeps no rows: the `AUDIT` line in the log is all. Implements `AuditTrail`."""

    def append(self, entry: AuditEntry) -> AuditStamp | None:
        """Keep nothing."""
        del entry
        return None
