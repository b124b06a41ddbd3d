"""Gives every request an id, the caller's own where it is fit to be logged."""

import random
import re
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-ID"
_NAME = HEADER.lower().encode()
_FORM = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestId:
    """Puts `request_id` into the scope's state and on the answer, and on every line of the log."""

    def __init__(self, app: ASGIApp, bind: Callable[[str], None]) -> None:
        """Wrap `app`; `bind` is called with the id, in the task of each request, before anything is logged.

        It must clear the log's context first: a pipelined request begins in the context of the one before.
        """
        self._app = app
        self._bind = bind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _given(scope) or _fresh()
        scope.setdefault("state", {})["request_id"] = request_id
        self._bind(request_id)
        header = (_NAME, request_id.encode())

        async def with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        await self._app(scope, receive, with_id)


def _fresh() -> str:
    # An id is no secret, and to ask the system for randomness lets go of the interpreter. The module's own
    # generator is seeded anew in a forked process.
    return f"{random.getrandbits(128):032x}"


def _given(scope: Scope) -> str | None:
    given = [value for name, value in scope["headers"] if name == _NAME]
    fit = len(given) == 1 and _FORM.fullmatch(given[0])
    return given[0].decode() if fit else None
