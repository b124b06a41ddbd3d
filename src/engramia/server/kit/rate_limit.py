"""Limits how many requests a minute a client and a key may send."""

from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engramia.errors import RateLimitedError
from engramia.server.kit.audit_log import AuditLog
from engramia.server.kit.bearer import presented_token
from engramia.server.kit.errors import problem_of, retry_after, send_problem
from engramia.server.kit.paths import normalised, route_path
from engramia.server.kit.peer import Peer, Peers
from engramia.server.kit.windows import Charge, RateLimiter, Verdict

EXPENSIVE_PATHS = frozenset({"/v1/evaluate", "/v1/compose", "/v1/evolve"})
"""Normalised; each asks a language model."""
FREE_PATHS = frozenset({"/v1/health", "/v1/health/deep", "/v1/health/live", "/v1/version", "/metrics"})
"""As the router spells them: another spelling is another path, and counts."""

_STANDARD, _EXPENSIVE, _KEY = b"s", b"e", b"k"


@dataclass(frozen=True, slots=True)
class Limits:
    """Requests a minute: per client on standard and on expensive paths, per key on all together."""

    standard: int
    expensive: int
    per_key: int


class RateLimit:
    """Refuses what is over a limit with 429, and tells on every answer how far the next limit is.

    A key counts as it was presented, valid or not: so that both of a request's windows are known at once, and
    `Retry-After` is true for both. Leaves the peer in the scope's state.
    """

    def __init__(
        self, app: ASGIApp, *, limiter: RateLimiter, limits: Limits, peers: Peers, audit: AuditLog
    ) -> None:
        self._app = app
        self._limiter = limiter
        self._limits = limits
        self._peers = peers
        self._audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        peer = scope.setdefault("state", {})["peer"] = self._peers.of(scope)
        path = route_path(scope)
        if path in FREE_PATHS:
            await self._app(scope, receive, send)
            return
        verdict = await self._limiter.take(self._charges(path, peer, presented_token(scope["headers"])))
        if verdict.allowed:
            await self._pass(verdict, scope, receive, send)
        else:
            await self._refuse(verdict, peer, scope, receive, send)

    def _charges(self, path: str, peer: Peer, token: bytes | None) -> list[Charge]:
        if normalised(path) in EXPENSIVE_PATHS:
            charges = [Charge(_EXPENSIVE + peer.key, self._limits.expensive)]
        else:
            charges = [Charge(_STANDARD + peer.key, self._limits.standard)]
        if token is not None:
            charges.append(Charge(_KEY + token, self._limits.per_key))
        return charges

    async def _pass(self, verdict: Verdict, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name.lower().encode(), value.encode()) for name, value in _told(verdict).items()]

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *headers]
            await send(message)

        await self._app(scope, receive, telling)

    async def _refuse(self, verdict: Verdict, peer: Peer, scope: Scope, receive: Receive, send: Send) -> None:
        if verdict.first_refusal:  # once a window: a flood of requests shall not become a flood of lines
            self._audit(
                "rate_limit.refused",
                outcome="refused",
                actor=None,
                ip=str(peer),
                request_id=scope["state"].get("request_id"),
                path=scope["path"],
                limit=verdict.limit,
            )
        problem = problem_of(RateLimitedError(verdict.limit, verdict.reset))
        await send_problem(problem.with_headers(_told(verdict)), scope, receive, send)


def _told(verdict: Verdict) -> dict[str, str]:
    return {
        "RateLimit-Limit": str(verdict.limit),
        "RateLimit-Remaining": str(verdict.remaining),
        "RateLimit-Reset": retry_after(verdict.reset),
    }
