"""An ASGI app behind a real socket, in a thread of this process."""

import asyncio
import http.client
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from tests.server.serving import Server


@dataclass(frozen=True)
class Served:
    """Where an app listens."""

    port: int

    def request(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Return status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, headers=dict(headers or {}))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


@contextmanager
def serving(app: ASGIApp) -> Iterator[Served]:
    """Serve `app` on a free port."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(
        uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=5)
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), name="serving")
    thread.start()
    try:
        # The socket listens already: whoever connects waits for the server to begin.
        yield Served(listener.getsockname()[1])
    finally:
        server.end()
        thread.join(15)
        listener.close()
