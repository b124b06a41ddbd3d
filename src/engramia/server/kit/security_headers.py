"""The security headers of every answer, worked out once."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import secure
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engramia.server.kit.paths import route_path

type HeaderBytes = tuple[tuple[bytes, bytes], ...]

_YEAR_SECONDS = 31_536_000
_CSP = b"content-security-policy"


def security_headers() -> HeaderBytes:
    """Return what every answer carries: JSON is shown by no page, framed nowhere and kept by no cache."""
    nothing = secure.ContentSecurityPolicy().default_src("'none'").base_uri("'none'").form_action("'none'")
    chosen = secure.Secure(
        cache=secure.CacheControl().no_store(),
        coop=secure.CrossOriginOpenerPolicy().same_origin(),
        corp=secure.CrossOriginResourcePolicy().same_origin(),
        csp=nothing.frame_ancestors("'none'"),
        hsts=secure.StrictTransportSecurity().max_age(_YEAR_SECONDS),
        permissions=secure.PermissionsPolicy().camera().geolocation().microphone(),
        referrer=secure.ReferrerPolicy().no_referrer(),
        xcto=secure.XContentTypeOptions().nosniff(),
        xfo=secure.XFrameOptions().deny(),
        xpcdp=secure.XPermittedCrossDomainPolicies().none(),
    )
    return tuple((name.lower().encode(), value.encode()) for name, value in chosen.header_items())


class SecurityHeaders:
    """Puts the security headers on every answer; one that an answer has already stays."""

    def __init__(self, app: ASGIApp, pages: Mapping[str, str] | None = None) -> None:
        """Wrap `app`; `pages` names the Content-Security-Policy of paths that need one of their own."""
        self._app = app
        self._headers = security_headers()
        self._names = frozenset(name for name, _ in self._headers)
        self._pages = {path: self._with_policy(policy) for path, policy in (pages or {}).items()}

    def _with_policy(self, policy: str) -> HeaderBytes:
        return tuple((name, policy.encode() if name == _CSP else value) for name, value in self._headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = self._pages.get(route_path(scope), self._headers)

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message.get("headers", ())
                there = {name for name, _ in own}
                ours = headers if self._names.isdisjoint(there) else _others(headers, there)
                message["headers"] = [*own, *ours]
            await send(message)

        await self._app(scope, receive, secured)


def _others(headers: HeaderBytes, there: AbstractSet[bytes]) -> HeaderBytes:
    return tuple(header for header in headers if header[0] not in there)
