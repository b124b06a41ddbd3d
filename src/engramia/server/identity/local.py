"""Requests without keys: a developer's own machine."""

import logging
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from engramia.core.model import Scope
from engramia.errors import AuthenticationError, AuthorizationError
from engramia.server.kit.caller import Caller
from engramia.server.kit.peer import Peer
from engramia.server.kit.permissions import Role

LOCAL_ENVIRONMENTS = frozenset({"local", "dev", "development", "test"})
OWNER = Caller(Scope(), Role.OWNER)
NO_KEYS = (
    "No API keys are configured, and this request does not come straight from the server's own machine: set "
    "ENGRAMIA_API_KEYS, or ENGRAMIA_ALLOW_NO_AUTH=true to serve everyone on a development machine."
)

_log = logging.getLogger("engramia.auth")


def is_local(environment: str | None) -> bool:
    """Return whether a deployment of this label may serve anybody without a key; an unset one may."""
    return environment is None or environment.strip().lower() in LOCAL_ENVIRONMENTS


class LoopbackAuthenticator:
    """Serves programs on the same machine as owner, and nobody else."""

    def __init__(self, *, environment: str | None, cors_origins: Sequence[str] = ()) -> None:
        self._local = is_local(environment)
        self._origins = frozenset(cors_origins) - {"*"}  # names nobody
        self._warned = False

    async def authenticate(self, headers: Headers, peer: Peer) -> Caller:
        """Return the owner; raises `AuthenticationError`, and `AuthorizationError` for what a page sent."""
        if not self._local or not peer.loopback:
            raise AuthenticationError(NO_KEYS)
        refuse_other_hosts(headers)
        refuse_other_origins(headers, self._origins)
        if not self._warned:
            self._warned = True
            _log.warning(
                "No API keys are configured: programs on this machine are served as owner. "
                "Set ENGRAMIA_API_KEYS before others can reach this server."
            )
        return OWNER


class OpenAuthenticator:
    """Serves everyone as owner; a browser's pages from elsewhere need their origin listed all the same."""

    def __init__(self, *, cors_origins: Sequence[str] = ()) -> None:
        self._origins = frozenset(cors_origins) - {"*"}  # names nobody

    async def authenticate(self, headers: Headers, peer: Peer) -> Caller:  # noqa: ARG002 - the port's form
        """Return the owner; raises `AuthorizationError` for a request that a foreign page made."""
        refuse_other_origins(headers, self._origins)
        return OWNER


def refuse_other_hosts(headers: Headers) -> None:
    """Raise unless `Host` names this machine.

    A page whose name was rebound to 127.0.0.1 sends its own name there, and would otherwise be an owner.
    """
    host = headers.get("host")
    if host is not None and not _is_loopback(_split(f"//{host}")[1]):
        raise AuthorizationError(
            f"The Host header names {host[:80]!r}, not this machine; without API keys nothing else is served."
        )


def refuse_other_origins(headers: Headers, allowed: frozenset[str]) -> None:
    """Raise if a page of another origin sent the request, and that origin is not listed by name."""
    origin = headers.get("origin")
    if origin is None or origin in allowed:
        return
    theirs = _split(origin)[0]
    if not theirs or theirs != headers.get("host", "").lower():
        raise AuthorizationError(
            f"A page of {origin[:80]!r} sent this request; without API keys its origin must be listed in "
            "ENGRAMIA_CORS_ORIGINS."
        )


def _split(url: str) -> tuple[str, str]:
    """Return host with port, and host alone; empty where there is none."""
    try:
        parts = urlsplit(url)
        return parts.netloc.lower(), parts.hostname or ""
    except ValueError:
        return "", ""


def _is_loopback(host: str) -> bool:
    if host.rstrip(".") == "localhost" or host.rstrip(".").endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
