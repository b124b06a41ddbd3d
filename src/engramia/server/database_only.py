"""Endpoints that need Postgres, as a service over JSON storage shows them: documented, guarded, 501."""

from dataclasses import dataclass

from fastapi import APIRouter

from engramia.errors import DatabaseRequiredError, NotFoundError
from engramia.server.kit.endpoints import guarded
from engramia.server.kit.permissions import Permission

_P = Permission


@dataclass(frozen=True, slots=True)
class _Endpoint:
    method: str
    path: str
    summary: str
    permission: Permission | None
    """None where a token, a signature or a password stands in place of a key."""

    @property
    def name(self) -> str:
        words = self.path.removeprefix("/v1/").replace("{", "").replace("}", "")
        return f"{self.method.lower()}_{words.strip('/').replace('/', '_').replace('-', '_')}"


ENDPOINTS = {
    "analytics": (
        _Endpoint("POST", "/v1/analytics/rollup", "Compute a rollup", _P.ANALYTICS_ROLLUP),
        _Endpoint("GET", "/v1/analytics/rollup/{window}", "Fetch a rollup", _P.ANALYTICS_READ),
        _Endpoint("GET", "/v1/analytics/events", "Raw events", _P.ANALYTICS_READ),
    ),
    "governance": (
        _Endpoint("GET", "/v1/governance/export", "Export for data portability", _P.EXPORT),
        _Endpoint("GET", "/v1/governance/retention", "Retention policy in force", _P.GOVERNANCE_READ),
        _Endpoint("PUT", "/v1/governance/retention", "Set the retention policy", _P.GOVERNANCE_WRITE),
        _Endpoint("POST", "/v1/governance/retention/apply", "Delete what expired", _P.GOVERNANCE_ADMIN),
        _Endpoint("PUT", "/v1/governance/patterns/{key:path}/classify", "Classify", _P.GOVERNANCE_WRITE),
        _Endpoint("DELETE", "/v1/governance/projects/{id}", "Delete a project", _P.GOVERNANCE_DELETE),
        _Endpoint("DELETE", "/v1/governance/tenants/{id}", "Delete a tenant", _P.TENANT_DELETE),
    ),
    "billing": (
        _Endpoint("GET", "/v1/billing/status", "Plan and usage", _P.BILLING_READ),
        _Endpoint("POST", "/v1/billing/checkout", "Begin a checkout", _P.BILLING_MANAGE),
        _Endpoint("GET", "/v1/billing/portal", "Customer portal", _P.BILLING_MANAGE),
        _Endpoint("PATCH", "/v1/billing/overage", "Switch overage", _P.BILLING_MANAGE),
        _Endpoint("POST", "/v1/billing/webhook", "Events of Stripe", None),
    ),
    "auth": (
        _Endpoint("POST", "/auth/register", "Register", None),
        _Endpoint("POST", "/auth/verify", "Verify an address", None),
        _Endpoint("POST", "/auth/resend-verification", "Send the link again", None),
        _Endpoint("POST", "/auth/login", "Log in", None),
        _Endpoint("POST", "/auth/oauth", "Log in with Google or Apple", None),
        _Endpoint("GET", "/auth/me", "Who am I", None),
        _Endpoint("POST", "/auth/refresh", "New tokens", None),
        _Endpoint("POST", "/auth/logout", "Log out", None),
        _Endpoint("POST", "/auth/me/deletion-request", "Ask for deletion", None),
        _Endpoint("DELETE", "/auth/me", "Delete the account", None),
    ),
}
"""By tag."""


async def _refuse() -> None:
    raise DatabaseRequiredError(
        "This needs keys and accounts that are kept in Postgres, and is not served here."
    )


def _missing(endpoint: _Endpoint) -> tuple[type[NotFoundError], ...]:
    """Return what a path with something in it may answer besides: an odd value makes it another path."""
    return (NotFoundError,) if "{" in endpoint.path else ()


def router() -> APIRouter:
    """Return the routes, each of which answers 501 `database_required` to whom it may serve."""
    made = APIRouter()
    for tag, endpoints in ENDPOINTS.items():
        for endpoint in endpoints:
            made.add_api_route(
                endpoint.path,
                _refuse,
                methods=[endpoint.method],
                tags=[tag],
                summary=endpoint.summary,
                description="Needs Postgres; this server answers 501 `database_required`.",
                operation_id=endpoint.name,
                status_code=501,
                **guarded(endpoint.permission, DatabaseRequiredError, *_missing(endpoint)),
            )
    return made
