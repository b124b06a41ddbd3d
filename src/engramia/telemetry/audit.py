"""Audit lines: who did, or tried, what must be accounted for."""

from typing import Any, Literal

from engramia.telemetry.lines import AUDIT_LOGGER
from engramia.telemetry.logging import logger

type Outcome = Literal["success", "refused", "failed"]

_log = logger(AUDIT_LOGGER)


def audit(  # noqa: PLR0913 - one keyword for each thing an auditor asks
    event: str,
    *,
    outcome: Outcome,
    actor: str | None,
    tenant_id: str | None = None,
    project_id: str | None = None,
    request_id: str | None = None,
    ip: str | None = None,
    **facts: Any,
) -> None:
    """Write an `AUDIT` line for `event`, a dotted name such as `auth.refused` or `key.created`.

    `actor` is the id of the key or person, never the key itself; None where nobody is known. `tenant_id`,
    `project_id` and `request_id` are those bound to the log context unless given.
    """
    whose = {"tenant_id": tenant_id, "project_id": project_id, "request_id": request_id}
    given = {name: value for name, value in whose.items() if value is not None}
    what = {"event": event, "outcome": outcome, "actor": actor, "ip": ip}
    write = _log.info if outcome == "success" else _log.warning
    write(f"AUDIT {event} {outcome}", facts={**facts, **what, **given})
