"""Puts the caller on every request that is not public, or refuses it."""

import hmac
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Protocol

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from engramia.core.model import Scope as MemoryScope
from engramia.errors import AuthenticationError, AuthorizationError, EngramiaError, ValidationError
from engramia.server.kit.audit_log import AuditLog
from engramia.server.kit.auditing import KnownRefusalError
from engramia.server.kit.bearer import bearer_token
from engramia.server.kit.caller import Caller
from engramia.server.kit.errors import log_failure, problem_of, send_problem
from engramia.server.kit.paths import route_path
from engramia.server.kit.peer import Peer, Peers
from engramia.server.kit.permissions import Role

PUBLIC_PATHS = frozenset(
    {
        "/v1/version",
        "/v1/health/live",
        "/v1/keys/bootstrap",  # asks for its own token
        "/v1/billing/webhook",  # asks for a signature
        "/metrics",  # asks for its own token, if there is one
        "/docs",
        # What it says is said by the published package too, and nothing in it depends on what is stored.
        "/openapi.json",
    }
)
PUBLIC_FOLDERS = ("/docs/",)
PROJECT_HEADER = "X-Project-Id"


class Authenticator(Protocol):
    """Tells who sent a request."""

    async def authenticate(self, headers: Headers, peer: Peer) -> Caller:
        """Return the caller.

        Raises `AuthenticationError` if nobody knows who it is, `AuthorizationError` if it may not come this
        way. Must not block the event loop; a failure of its own is `UnavailableError`, never a refusal.
        """
        ...


def _nothing(_: Caller) -> None:
    pass


class Authentication:
    """Leaves the caller in the scope's state as `caller`; public paths pass without one."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        authenticator: Authenticator,
        peers: Peers,
        audit: AuditLog,
        bind: Callable[[Caller], None] = _nothing,
        public: Collection[str] = PUBLIC_PATHS,
    ) -> None:
        """Wrap `app`; `bind` is told each caller, `public` are paths as the router spells them."""
        self._app = app
        self._authenticator = authenticator
        self._peers = peers
        self._audit = audit
        self._bind = bind
        self._public = frozenset(public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or self._is_public(route_path(scope)):
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        peer = state.get("peer") or self._peers.of(scope)
        headers = Headers(raw=scope["headers"])
        try:
            caller = in_project(await self._authenticator.authenticate(headers, peer), headers)
        except EngramiaError as exc:
            self._note(exc, peer, scope)
            await send_problem(problem_of(exc), scope, receive, send)
            return
        state["caller"] = caller
        self._bind(caller)
        await self._app(scope, receive, send)

    def _is_public(self, path: str) -> bool:
        return path in self._public or path.startswith(PUBLIC_FOLDERS)

    def _note(self, exc: EngramiaError, peer: Peer, scope: Scope) -> None:
        if isinstance(exc, AuthenticationError | AuthorizationError):
            self._audit(
                "auth.refused",
                outcome="refused",
                **_whose(exc),
                ip=str(peer),
                request_id=scope["state"].get("request_id"),
                method=scope["method"],
                path=scope["path"],
                reason=str(exc),
            )
        else:
            log_failure(exc, problem_of(exc))


def _whose(exc: EngramiaError) -> dict[str, str | None]:
    """Return what is known of who was refused."""
    if isinstance(exc, KnownRefusalError):
        return {"actor": exc.key_id, "tenant_id": exc.tenant_id, "project_id": exc.project_id}
    if isinstance(exc, ProjectRefusedError):
        scope = exc.caller.scope
        return {"actor": exc.caller.key_id, "tenant_id": scope.tenant_id, "project_id": scope.project_id}
    return {"actor": None}


class ProjectRefusedError(AuthorizationError):
    """The caller named a project, and its role may not; it goes into the audit trail as who it is."""

    def __init__(self, caller: Caller) -> None:
        super().__init__(
            f"Role '{caller.role.value}' may not name a project with {PROJECT_HEADER}; admin and owner may."
        )
        self.caller = caller


def in_project(caller: Caller, headers: Headers) -> Caller:
    """Return the caller in the project of its tenant that `X-Project-Id` names, if it names one.

    Raises `AuthorizationError` below admin and `ValidationError` for what is no project's id.
    """
    named = headers.getlist(PROJECT_HEADER)
    if not named:
        return caller
    scope = _named_scope(caller.scope.tenant_id, named)
    if scope == caller.scope:
        return caller
    if caller.role.rank < Role.ADMIN.rank:
        raise ProjectRefusedError(caller)
    return replace(caller, scope=scope)


def _named_scope(tenant_id: str, named: Sequence[str]) -> MemoryScope:
    if len(named) > 1:
        raise ValidationError(f"{PROJECT_HEADER} is there more than once.", field=PROJECT_HEADER)
    try:
        return MemoryScope(tenant_id, named[0])
    except ValidationError:
        raise ValidationError(
            f"{PROJECT_HEADER} must be 1 to 64 letters, digits, '_', '.' or '-', beginning with a letter or "
            "digit.",
            field=PROJECT_HEADER,
        ) from None


class MetricsToken:
    """What `/metrics` asks for, if anything."""

    def __init__(self, token: str | None) -> None:
        self._token = None if token is None else token.encode()

    def check(self, headers: Headers) -> None:
        """Raise `AuthenticationError` unless the request carries the token, or none is set."""
        if self._token is None:
            return
        if not hmac.compare_digest(bearer_token(headers.raw), self._token):
            raise AuthenticationError("This is not the token of ENGRAMIA_METRICS_TOKEN.")
