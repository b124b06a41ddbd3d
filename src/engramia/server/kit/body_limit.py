"""Holds request bodies to their limit, and to bytes that are what they look like."""

import asyncio
import contextlib
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engramia.errors import EngramiaError, PayloadTooLargeError, UnsupportedMediaTypeError
from engramia.server.kit.errors import Problem, problem_of, response_of, send_problem
from engramia.server.kit.paths import normalised, route_path

LINGER_SECONDS = 10.0
LINGER_BYTES = 1 << 28


class BodyLimit:
    """Refuses bodies that are encoded (415) or larger than the limit (413), declared or chunked."""

    def __init__(self, app: ASGIApp, limit: int, limits: Mapping[str, int] | None = None) -> None:
        """Wrap `app`; `limits` names paths whose limit in bytes is not `limit`."""
        self._app = app
        self._limit = limit
        self._limits = dict(limits or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length, encoding = _declared(scope)
        if encoding not in {b"", b"identity"}:
            await send_problem(problem_of(_encoded(encoding)), scope, receive, send)
            return
        limit = self._limits.get(normalised(route_path(scope)), self._limit) if self._limits else self._limit
        if length is None:
            await _Counted(self._app, limit).serve(scope, receive, send)
        elif length > limit:
            await refuse(problem_of(PayloadTooLargeError(limit)), receive, send)
        else:
            await self._app(scope, receive, send)  # the server lets no more through than was declared


def _declared(scope: Scope) -> tuple[int | None, bytes]:
    """Return the declared length, 0 where there is no body, None where nobody knows; and the encoding."""
    length: int | None = 0
    encoding = b""
    for name, value in scope["headers"]:
        if name == b"content-length":
            length = int(value) if value.isdigit() else None
        elif name == b"transfer-encoding":
            length = None
        elif name == b"content-encoding":
            encoding = value.strip().lower()
    if length == 0 and scope.get("http_version", "1.1").startswith(("2", "3")):
        length = None  # frames end a body there, no header has to announce it
    return length, encoding


def _encoded(encoding: bytes) -> EngramiaError:
    shown = encoding.decode("latin-1")[:40]
    return UnsupportedMediaTypeError(f"Content-Encoding {shown!r} is not read here; send the body as it is.")


class _Counted:
    """One request whose body tells its length only by ending."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit
        self._received = 0
        self._started = False

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted() -> Message:
            message = await receive()
            self._received += len(message.get("body", b""))
            if self._received > self._limit:
                raise PayloadTooLargeError(self._limit)
            return message

        async def unless_too_large(message: Message) -> None:
            # Whatever the application made of the failed read, a refusal in its place says what happened.
            if self._received <= self._limit or self._started:
                self._started = True
                await send(message)

        with contextlib.suppress(PayloadTooLargeError):
            await self._app(scope, counted, unless_too_large)
        if self._received > self._limit and not self._started:
            await refuse(problem_of(PayloadTooLargeError(self._limit)), receive, send)


async def refuse(problem: Problem, receive: Receive, send: Send) -> None:
    """Answer at once, read on for a while, then close.

    Closing on a client that still sends resets the connection, and the answer is lost with it.
    """
    response = response_of(problem)
    headers = [*response.raw_headers, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            await _discard(receive)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _discard(receive: Receive) -> None:
    discarded, more = 0, True
    while more and discarded < LINGER_BYTES:
        message = await receive()
        discarded += len(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)
