"""Bodies of the key endpoints, as the OpenAPI document shows them."""

from typing import Any

_ID = "key_01kabcdefghjkmnpqrstvwxyz0"
_KEY: dict[str, Any] = {
    "key_prefix": "sk_engramia_7Qd2",
    "role": "editor",
    "tenant_id": "default",
    "project_id": "billing",
    "max_patterns": 5000,
    "expires_at": "2027-06-30T00:00:00Z",
    "created_at": "2026-11-02T09:30:00Z",
}
_NAMED = {"id": _ID, "name": "Invoice agent"}

BOOTSTRAP = {"token": "a-token-of-at-least-thirty-two-characters"}
CREATE = {"name": "Invoice agent", "role": "editor", "project_id": "billing", "max_patterns": 5000}
MADE = {**_NAMED, "secret": "sk_engramia_7Qd2...", **_KEY}
FIRST = {
    **MADE,
    "name": "First owner key",
    "role": "owner",
    "project_id": "default",
    "max_patterns": None,
    "expires_at": None,
}
LISTED = {
    "keys": [
        {
            **_NAMED,
            **_KEY,
            "created_by": None,
            "last_used_at": "2026-11-20T14:05:00Z",
            "revoked_at": None,
            "rotated_at": None,
        }
    ],
    "has_more": False,
    "next_offset": None,
}
REVOKED = {"revoked": True, "id": _ID, "revoked_at": "2026-11-21T08:00:00Z"}
