"""Counts HTTP requests, and how long they took until the last byte."""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LAST = frozenset({"http.response.body", "http.response.pathsend"})


class Requests(Protocol):
    """Who is told of requests, as `metrics.Metrics` is."""

    def request(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count one."""
        ...


class RequestMetrics:
    """ASGI middleware that tells `metrics` of each request once, whatever became of it.

    A request is over with the last byte of its body, not with the background work behind it. One whose
    handler raised, or that ended without an answer because its client had gone, counts as 500.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Requests,
        template: Callable[[Scope], str],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Wrap `app`; `template` names the route of a scope, `clock` returns monotonic seconds."""
        self._app = app
        self._metrics = metrics
        self._template = template
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; what is not HTTP passes untouched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = self._clock()
        # Before the router: a mounted app changes the scope's paths on its way.
        path = self._template(scope)
        status = int(HTTPStatus.INTERNAL_SERVER_ERROR)
        told = False

        def tell(status: int) -> None:
            nonlocal told
            if not told:
                told = True
                self._metrics.request(scope["method"], path, status, self._clock() - begin)

        async def watching(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)
            if message["type"] in _LAST and not message.get("more_body", False):
                tell(status)

        try:
            await self._app(scope, receive, watching)
        except BaseException:
            tell(HTTPStatus.INTERNAL_SERVER_ERROR)
            raise
        tell(status)
