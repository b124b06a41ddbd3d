"""The bodies of the audit endpoint."""

import json
from typing import Any, Literal

from pydantic import Field

from engramia.core.audit import AuditRow
from engramia.core.record_format import format_time
from engramia.server.kit.schemas import Answer, Moment

type OutcomeName = Literal["success", "refused", "failed"]


class AuditRowBody(Answer):
    """One act, and where it stands in its tenant's chain."""

    seq: int = Field(description="Its number, from 1, without gaps.")
    at: Moment
    event: str = Field(description="A dotted name, such as `key.created`.")
    outcome: OutcomeName
    actor: str | None = Field(description="Id of the key or person; null where nobody was known.")
    project_id: str | None
    request_id: str | None = Field(description="The `X-Request-ID` of the request.")
    ip: str | None
    facts: dict[str, str | int | float | bool | None] = Field(description="What else is known of it.")
    hash: str = Field(description="Of this row and, by the hash of the row before, of all before it.")


class AuditPage(Answer):
    """A page of the trail, newest first."""

    entries: list[AuditRowBody]
    has_more: bool
    next_offset: int | None


def row_document(row: AuditRow) -> dict[str, Any]:
    """Return a row as the API shows it."""
    return {
        "seq": row.seq,
        "at": format_time(row.at),
        "event": row.event,
        "outcome": row.outcome,
        "actor": row.actor,
        "project_id": row.project_id,
        "request_id": row.request_id,
        "ip": row.ip,
        "facts": json.loads(row.facts),
        "hash": row.hash,
    }


EXAMPLE = {
    "entries": [
        {
            "seq": 12,
            "at": "2026-11-02T09:30:00Z",
            "event": "import.done",
            "outcome": "success",
            "actor": "key_01kabcdefghjkmnpqrstvwxyz0",
            "project_id": "default",
            "request_id": "0d8c6f0e0c0b4a3f9d3a5b8c7e6f1a2b",
            "ip": "192.0.2.7",
            "facts": {"imported": 3, "skipped": 0, "total": 3},
            "hash": "b3" * 32,
        }
    ],
    "has_more": True,
    "next_offset": 1,
}
