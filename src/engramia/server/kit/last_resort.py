"""Turns whatever nobody caught into an answer."""

import asyncio
from collections.abc import Sequence

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engramia.errors import UnavailableError
from engramia.server.kit.errors import log_failure, problem_of, send_problem

_STOPPING = "The server is stopping and could not finish this in time; it may or may not have been done."


class LastResort:
    """Answers what nobody caught, if nothing was sent yet; else the server cuts the connection.

    An unexpected exception is 500; a request that the stopping server gives up is 503.
    """

    def __init__(self, app: ASGIApp, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """Wrap `app`; `headers` go on the answer where no other middleware is left to put them there."""
        self._app = app
        self._headers = tuple(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        started = False

        async def watching(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watching)
        except ClientDisconnect:
            return  # nobody is left to answer
        except asyncio.CancelledError:
            if not started and scope["type"] == "http":
                await self._answer(UnavailableError(_STOPPING, retry_after=1), scope, receive, send)
            raise
        except Exception as exc:  # the one place where every failure ends, whatever it is
            if started or scope["type"] != "http":
                raise
            await self._answer(exc, scope, receive, send)

    async def _answer(self, exc: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        problem = problem_of(exc, request_id=scope.get("state", {}).get("request_id"))
        log_failure(exc, problem)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        await send_problem(problem, scope, receive, with_headers if self._headers else send)
