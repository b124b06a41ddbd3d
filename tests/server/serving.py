"""Serves an ASGI app for real: uvicorn in a thread, a socket on a free port, a client that speaks bytes."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import orjson
import uvicorn
from starlette.types import ASGIApp

DEADLINE_SECONDS = 20.0
_LOOKS = 100
"""How often a server that ends looks, every thousandth of a second, before it waits as uvicorn does."""


class Server(uvicorn.Server):
    """Says when it listens, and ends when it is told to: uvicorn looks ten times a second, then pauses."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()
        self._told = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        ticking = asyncio.create_task(super().main_loop())
        told = asyncio.create_task(self._told.wait())
        await asyncio.wait({ticking, told}, return_when=asyncio.FIRST_COMPLETED)
        ticking.cancel()
        told.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for _ in range(_LOOKS):
            if not (self.server_state.connections or self.server_state.tasks):
                await self.lifespan.shutdown()
                return
            await asyncio.sleep(0.001)
        await super().shutdown(sockets)

    def end(self) -> None:
        """Tell it from another thread that this is the end."""
        self.should_exit = True
        if self._loop is not None and self.started:
            self._loop.call_soon_threadsafe(self._told.set)


@contextmanager
def serving(app: ASGIApp, *, host: str = "127.0.0.1", **options: Any) -> Iterator[tuple[str, int]]:
    """Serve `app` as `engramia serve` does, and return where it listens; `options` are uvicorn's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, 0), family=family)
    settings = {
        "log_config": None,
        "access_log": False,
        "proxy_headers": False,
        "server_header": False,
        "lifespan": "off",
        "ws": "none",
    }
    server = Server(uvicorn.Config(app, **(settings | options)))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        if not server.listening.wait(DEADLINE_SECONDS):
            raise TimeoutError("The server did not come up.")
        yield host, listener.getsockname()[1]
    finally:
        server.end()
        thread.join(DEADLINE_SECONDS)
        listener.close()


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; header names are lower case, the values of one name a list."""

    status: int
    headers: dict[str, list[str]]
    body: bytes

    def __getitem__(self, name: str) -> str:
        (value,) = self.headers[name.lower()]
        return value

    def __contains__(self, name: str) -> bool:
        return name.lower() in self.headers

    def json(self) -> Any:
        return orjson.loads(self.body)


class Wire:
    """A connection that sends what it is told to, byte by byte, and reads answers."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.socket = socket.create_connection(address, timeout=DEADLINE_SECONDS)
        self._reader = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def request(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> None:
        """Send one request, with `Host` unless given and with the body's length unless it is chunked."""
        host, port = self.address
        given = {name.lower(): value for name, value in (headers or {}).items()}
        given.setdefault("host", f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        if body is not None and "transfer-encoding" not in given:
            given.setdefault("content-length", str(len(body)))
        head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        self.send(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + (body or b""))

    def answer(self, *, head: bool = False) -> Answer:
        """Read one answer, interim ones left out; `head` for one to a HEAD request."""
        status = 100
        headers: dict[str, list[str]] = {}
        while status < 200:
            line = self._reader.readline()
            if not line:
                raise ConnectionError("The server closed the connection without an answer.")
            status = int(line.split()[1])
            headers = self._read_headers()
        empty = head or status in {204, 304}
        return Answer(status, headers, b"" if empty else self._read_body(headers))

    def closed(self) -> bool:
        """Return whether the server closes the connection with nothing more to read."""
        try:
            return self._reader.read(1) == b""
        except ConnectionResetError:
            return True

    def _read_headers(self) -> dict[str, list[str]]:
        headers: dict[str, list[str]] = {}
        while (line := self._reader.readline()) not in {b"\r\n", b""}:
            name, _, value = line.decode("latin-1").partition(":")
            headers.setdefault(name.strip().lower(), []).append(value.strip())
        return headers

    def _read_body(self, headers: dict[str, list[str]]) -> bytes:
        if "content-length" in headers:
            return self._reader.read(int(headers["content-length"][0]))
        chunks = []
        while size := int(self._reader.readline().split(b";")[0], 16):
            chunks.append(self._reader.read(size))
            self._reader.readline()
        self._reader.readline()
        return b"".join(chunks)


def ask(
    address: tuple[str, int],
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
) -> Answer:
    """Send one request over a connection of its own."""
    with Wire(address) as wire:
        wire.request(method, path, headers, body)
        return wire.answer(head=method == "HEAD")
