"""What the kit asks of an audit log."""

from typing import Any, Literal, Protocol


class AuditLog(Protocol):
    """Writes down who did, or tried, what must be accounted for."""

    def __call__(  # noqa: PLR0913 - one keyword for each thing an auditor asks
        self,
        event: str,
        *,
        outcome: Literal["success", "refused", "failed"],
        actor: str | None,
        ip: str | None,
        tenant_id: str | None = None,
        project_id: str | None = None,
        request_id: str | None = None,
        **facts: Any,
    ) -> None:
        """Keep `event`, a dotted name such as `auth.refused`; `actor` is a key's id, never the key itself.

        `tenant_id` and `project_id` are whose it is, None where nobody knows.
        """
        ...
