"""A provider of the tests' own, for what a certified one never does: documents as told, faults on demand."""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.server.serving import serving

WELL_KNOWN = "/.well-known/openid-configuration"


class Directory:
    """Publishes `keys`; counts who asked for what."""

    def __init__(self, keys: Sequence[Mapping[str, Any]]) -> None:
        self.keys: list[Mapping[str, Any]] = list(keys)
        self.issuer = ""
        self.asked: Counter[str] = Counter()
        self.discovery: dict[str, Any] = {}
        """Members that go over those of the discovery document."""
        self.answer: Response | None = None
        """Given to every request, if there is one."""
        self.may_answer = threading.Event()
        """Unset: every request waits."""
        self.may_answer.set()
        self.waiting = threading.Event()
        """Set as soon as somebody waits."""

    def _discovery(self, request: Request) -> Response:
        document = {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys", **self.discovery}
        return self._answered(request, JSONResponse(document))

    def _keys(self, request: Request) -> Response:
        return self._answered(request, JSONResponse({"keys": self.keys}))

    def _elsewhere(self, request: Request) -> Response:
        return self._answered(request, Response(status_code=404))

    def _answered(self, request: Request, usual: Response) -> Response:
        self.asked[request.url.path] += 1
        if not self.may_answer.is_set():
            self.waiting.set()
            self.may_answer.wait(20)
        return self.answer or usual

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route(WELL_KNOWN, self._discovery),
                Route("/keys", self._keys),
                Route("/{anything:path}", self._elsewhere),
            ]
        )


@contextmanager
def directory(keys: Sequence[Mapping[str, Any]] = (), **options: Any) -> Iterator[Directory]:
    """Serve a directory; `options` are uvicorn's."""
    made = Directory(keys)
    with serving(made.app(), **options) as (host, port):
        made.issuer = f"http://{host}:{port}"
        try:
            yield made
        finally:
            made.may_answer.set()
