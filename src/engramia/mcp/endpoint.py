"""MCP over Streamable HTTP, inside the service: an ASGI app behind the edge that all of it shares.

The edge has limited, measured and authenticated a request before it comes here. Nothing is kept between two
requests, so that any number of server processes may answer those of one client.
"""

import asyncio
from functools import partial
from http import HTTPMethod, HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engramia.errors import AuthorizationError, RateLimitedError, UnavailableError, UnsupportedMediaTypeError
from engramia.server.kit.edge import Edge
from engramia.server.kit.lanes import Lane
from engramia.server.kit.operations import Operation
from engramia.server.kit.peer import Peer
from engramia.server.kit.rate_limit import RateLimit
from engramia.server.kit.services import Services, caller_of
from engramia.server.kit.strict_json import loads

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from engramia.mcp.desk import Context

PATH = "/v1/mcp"

_INLINE_BYTES = 1 << 16
"""Larger bodies are read in a thread: the loop has others to serve."""
_JSON = "application/json"
_ACCEPTED = frozenset({_JSON, "application/*", "*/*"})


class Endpoint:
    """Serves MCP at one path."""

    def __init__(self, services: Services, edge: Edge) -> None:
        """Serve what `services` do behind `edge`; nothing is loaded before the first request."""
        self._services = services
        self._origins = frozenset(edge.cors_origins)
        self._max_body_size = edge.max_body_size
        self._tolls = ToolLimit(self, edge)
        self._starting = asyncio.Lock()
        self._conversation: _Conversation | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; what cannot be MCP is refused in the shape of all errors."""
        if scope["method"] != HTTPMethod.POST:
            # There is nothing to listen to (GET) and no session to end (DELETE).
            raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": HTTPMethod.POST})
        headers = Headers(raw=scope["headers"])
        _check_origin(headers, self._origins)
        _check_types(headers)
        body = await _received(receive)
        if len(body) <= _INLINE_BYTES:
            loads(body)
        else:
            await self._services.lanes.run(Lane.QUICK, partial(loads, body))
        conversation = await self._started()
        await conversation.manager.handle_request(scope, _replayed(body, receive), send)

    async def close(self) -> None:
        """Stop; called once, at the service's end."""
        if self._conversation is not None:
            await self._conversation.end()

    async def _started(self) -> "_Conversation":
        async with self._starting:
            if self._conversation is None:
                # In a thread, for the loop has others to serve while a hundred modules load.
                manager = await self._services.lanes.run(Lane.BULK, self._manager)
                self._conversation = await _Conversation(manager).begun()
        return self._conversation

    def _manager(self) -> "StreamableHTTPSessionManager":
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        from engramia.mcp.desk import Desk
        from engramia.mcp.server import build_server

        desk = Desk(
            self._services,
            caller=lambda context: caller_of(_request(context)),
            charge=self._charge,
            request_id=lambda context: _request(context).scope["state"].get("request_id"),
        )
        return StreamableHTTPSessionManager(
            build_server(desk), json_response=True, stateless=True, max_request_body_size=self._max_body_size
        )

    async def _charge(self, context: "Context", operation: Operation[Any]) -> None:
        await self._tolls.take(operation.path, _request(context).scope["state"]["peer"])


class ToolLimit(RateLimit):
    """The limit of the endpoints that ask a language model, for tools that ask one, too.

    The edge has counted the request as one to this path; the key's window is not charged again.
    """

    def __init__(self, app: ASGIApp, edge: Edge) -> None:
        """Share the windows of `edge`."""
        super().__init__(app, limiter=edge.limiter, limits=edge.limits, peers=edge.peers, audit=edge.audit)

    async def take(self, path: str, peer: Peer) -> None:
        """Count a call as a request of `peer` to `path`; raises `RateLimitedError`."""
        verdict = await self._limiter.take(self._charges(path, peer, None))
        if verdict.first_refusal:
            self._audit(
                "rate_limit.refused",
                outcome="refused",
                actor=None,
                ip=str(peer),
                path=path,
                limit=verdict.limit,
            )
        if not verdict.allowed:
            raise RateLimitedError(verdict.limit, verdict.reset)


class _Conversation:
    """The SDK's handling of requests, at work in a task of its own: it must begin and end in the same one."""

    def __init__(self, manager: "StreamableHTTPSessionManager") -> None:
        self.manager = manager
        self._ready = asyncio.Event()
        self._over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def begun(self) -> "_Conversation":
        self._task = asyncio.create_task(self._run(), name="engramia-mcp")
        await self._ready.wait()
        return self

    async def end(self) -> None:
        self._over.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        async with self.manager.run():
            self._ready.set()
            await self._over.wait()


def _request(context: "Context") -> Request:
    if not isinstance(context.request, Request):
        raise UnavailableError("The request that this call came with is gone.")
    return context.request


def _check_origin(headers: Headers, allowed: frozenset[str]) -> None:
    """Raise for a request that a page of another origin made, unless that origin is listed."""
    origin = headers.get("origin")
    if origin is None or origin in allowed or "*" in allowed:
        return
    if origin == "null" or urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        raise AuthorizationError(
            f"A page of {origin[:80]!r} sent this request; ENGRAMIA_CORS_ORIGINS must list its origin."
        )


def _check_types(headers: Headers) -> None:
    """Raise unless the request is JSON and JSON may be answered."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _JSON:
        raise UnsupportedMediaTypeError(f"The body must be {_JSON}, not {kind[:100] or 'of no type'}.")
    accepted = {part.partition(";")[0].strip().lower() for part in headers.get("accept", "").split(",")}
    if accepted.isdisjoint(_ACCEPTED):
        raise HTTPException(HTTPStatus.NOT_ACCEPTABLE, f"The Accept header must allow {_JSON}.")


async def _received(receive: Receive) -> bytes:
    """Return the whole body; the body limit in front of the app bounds it."""
    return await Request({"type": "http"}, receive).body()


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return what gives `body` once and then whatever else `receive` has to say."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
