"""What the kit asks of an audit log."""

from typing import Any, Literal, Protocol


class AuditLog(Protocol):
    """Writes down who did, or tried, what must be accounted for."""

    def __call__(
        self,
        event: str,
        *,
        outcome: Literal["success", "refused", "failed"],
        actor: str | None,
        ip: str | None,
        **facts: Any,
    ) -> None:
        """Keep `event`, a dotted name such as `auth.refused`; `actor` is a key's id, never the key itself."""
        ...
