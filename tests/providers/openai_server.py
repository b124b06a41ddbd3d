"""A small server on a real socket that speaks OpenAI's API, and misbehaves when told to."""

import base64
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Request:
    """What the client sent."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


Reply = Callable[[BaseHTTPRequestHandler, Request], None]


@dataclass
class OpenAIServer:
    """What was asked, and what is answered: the scripted replies in turn, then the usual one of each path."""

    url: str
    requests: list[Request] = field(default_factory=list)
    script: deque[Reply] = field(default_factory=deque)
    usual: dict[str, Reply] = field(default_factory=dict)

    def then(self, *replies: Reply) -> None:
        self.script.extend(replies)

    def reply(self, request: Request) -> Reply:
        self.requests.append(request)
        return self.script.popleft() if self.script else self.usual[request.path]


@contextmanager
def openai_server() -> Iterator[OpenAIServer]:
    """Serve on a free port of this machine until the block ends."""
    state = OpenAIServer("", usual={"/v1/embeddings": embeddings()})

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body are written apart; the body would wait for the client to acknowledge the head.
        disable_nagle_algorithm = True
        # A client that leaves its connection open does not keep the server from closing.
        timeout = 5

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            request = Request(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            # A client that has given up has closed its end; that is part of the game.
            with suppress(BrokenPipeError, ConnectionResetError):
                state.reply(request)(self, request)

        def do_GET(self) -> None:
            request = Request(self.path, {name.lower(): value for name, value in self.headers.items()}, {})
            with suppress(BrokenPipeError, ConnectionResetError):
                state.reply(request)(self, request)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the tests look at `requests`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    # Closing waits for the handlers: none is left behind with an open socket.
    server.daemon_threads = False
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def vector_of(text: str, dimension: int = 1536) -> NDArray[np.float32]:
    """Return the vector that the server answers for a text; not of unit length."""
    seed = int.from_bytes(sha256(text.encode()).digest()[:8], "little")
    return (3 * np.random.default_rng(seed).standard_normal(dimension)).astype(np.float32)


def send(
    handler: BaseHTTPRequestHandler,
    body: bytes,
    status: int = 200,
    kind: str = "application/json",
    **headers: str,
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def raw(body: bytes, status: int = 200, kind: str = "application/json", **headers: str) -> Reply:
    """Answer these bytes."""
    return lambda handler, _request: send(handler, body, status, kind, **headers)


def failure(status: int, message: str = "no", code: str | None = None, **headers: str) -> Reply:
    """Answer an error in the vendor's shape."""
    body = {"error": {"message": message, "type": "error", "code": code, "param": None}}
    return raw(json.dumps(body).encode(), status, **headers)


def embeddings(
    dimension: int | None = None, edit: Callable[[list[dict[str, Any]]], object] | None = None
) -> Reply:
    """Answer a vector for every input, in the wished encoding; `edit` may change the rows."""

    def reply(handler: BaseHTTPRequestHandler, request: Request) -> None:
        width = dimension or request.body.get("dimensions") or 1536
        packed = request.body.get("encoding_format") == "base64"
        rows = [
            {"object": "embedding", "index": index, "embedding": _pack(vector_of(text, width), packed)}
            for index, text in enumerate(request.body["input"])
        ]
        if edit is not None:
            edit(rows)
        answer = {"object": "list", "data": rows, "model": request.body["model"], "usage": {}}
        send(handler, json.dumps(answer).encode())

    return reply


def cut_off(handler: BaseHTTPRequestHandler, _request: Request) -> None:
    """Promise more bytes than come, and hang up."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    handler.wfile.write(b'{"object": "list", "data": [')
    handler.close_connection = True


def slow(seconds: float, reply: Reply) -> Reply:
    """Wait before a reply."""

    def later(handler: BaseHTTPRequestHandler, request: Request) -> None:
        time.sleep(seconds)
        reply(handler, request)

    return later


def dripping(handler: BaseHTTPRequestHandler, _request: Request) -> None:
    """Send a byte now and then, so that no single wait is long."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "200")
    handler.end_headers()
    for _ in range(200):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.02)


def _pack(vector: NDArray[np.float32], packed: bool) -> str | list[float]:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode() if packed else vector.tolist()
