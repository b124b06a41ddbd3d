"""A small server on a real socket that plays the API's answers, and misbehaves when told to."""

import json
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Asked:
    """What the client sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


type Reply = Callable[[BaseHTTPRequestHandler, Asked], None]


@dataclass
class ApiServer:
    """What was asked, and what is answered: the scripted replies in turn, then the usual one."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    script: deque[Reply] = field(default_factory=deque)
    usual: Reply | None = None
    connections: list[tuple[str, int]] = field(default_factory=list)
    closed: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    """Released for each connection that the server has closed."""

    def then(self, *replies: Reply) -> None:
        self.script.extend(replies)

    def reply(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        if self.script:
            return self.script.popleft()
        return self.usual or answer({}, 500)


@contextmanager
def api_server(tls: ssl.SSLContext | None = None) -> Iterator[ApiServer]:
    """Serve on a free port of this machine until the block ends."""
    state = ApiServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        # A client that leaves its connection open does not keep the server from closing.
        timeout = 5

        def setup(self) -> None:
            super().setup()
            state.connections.append(self.client_address)

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            raw = self.rfile.read(length)
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, self.path, headers, json.loads(raw) if raw else None)
            # A client that has given up has closed its end; that is part of the game.
            with suppress(BrokenPipeError, ConnectionResetError):
                state.reply(asked)(self, asked)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815 - the names that http.server looks for

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the tests look at `asked`."""

    class Server(ThreadingHTTPServer):
        # Closing waits for the handlers: none is left behind with an open socket.
        daemon_threads = False
        request_queue_size = 64

        def shutdown_request(self, request: Any) -> None:
            super().shutdown_request(request)
            state.closed.release()

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing: some clients hang up on purpose."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    state.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def raw(body: bytes, status: int = 200, kind: str = "application/json", **headers: str) -> Reply:
    """Answer these bytes; `Retry_After="1"` is a header."""

    def reply(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def answer(document: object, status: int = 200, **headers: str) -> Reply:
    """Answer this JSON."""
    return raw(json.dumps(document).encode(), status, **headers)


def refusal(
    status: int, code: str, detail: str = "No.", *, wait: str | None = None, **facts: object
) -> Reply:
    """Answer an error in the API's shape; `wait` is what `Retry-After` says."""
    headers = {} if wait is None else {"Retry_After": wait}
    return answer({"error": code, "detail": detail, **facts}, status, **headers)


def hung_up(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
    """Take the request and close the connection without a word."""
    handler.close_connection = True


def reset(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
    """Take the request and break the connection."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def cut_off(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
    """Promise more bytes than come, and hang up."""
    handler.send_response(200)
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    handler.wfile.write(b'{"matches": [')
    handler.close_connection = True


def closing(reply: Reply) -> Reply:
    """Answer, say that the connection stays, and close it all the same."""

    def closed(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        reply(handler, asked)
        handler.close_connection = True

    return closed


def until(event: threading.Event, reply: Reply) -> Reply:
    """Wait for the event before a reply."""

    def later(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        event.wait(20)
        reply(handler, asked)

    return later


def dripping(stop: threading.Event, head: bool) -> Reply:
    """Send a byte of the body, or of a header, now and then, so that no single wait is long."""

    def reply(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        begin = b"HTTP/1.1 200 OK\r\n" + (b"X-Slow: " if head else b"Content-Length: 100000\r\n\r\n")
        handler.wfile.write(begin)
        while not stop.wait(0.02):
            handler.wfile.write(b" ")
            handler.wfile.flush()
        handler.close_connection = True

    return reply
