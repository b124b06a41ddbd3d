"""A load of many keep-alive connections from one process, each with one request at a time."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import uvloop


@dataclass(frozen=True, slots=True)
class Measured:
    """What one load found. Latencies in milliseconds, by the client's clock."""

    clients: int
    per_second: float
    p50_ms: float
    p99_ms: float
    answered: int
    """Requests in all, those of the warm-up included."""
    failed: int
    """Answers other than 2xx, and lost connections."""


@dataclass(slots=True)
class _Shared:
    """What the connections of one load have in common."""

    requests: Sequence[bytes]
    ends: float
    taken: list[float] = field(default_factory=list)
    failed: int = 0
    sent: int = 0

    def next(self) -> bytes:
        self.sent += 1
        return self.requests[self.sent % len(self.requests)]


class _Connection(asyncio.Protocol):
    """Sends a request, waits for its whole answer, sends the next, until the time is over."""

    def __init__(self, shared: _Shared) -> None:
        self._shared = shared
        self._buffer = b""
        self._began = 0.0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # TCP is a Transport
        self._send()

    def _send(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(self._shared.next())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self._buffer = body[length:]
        now = time.perf_counter()
        self._shared.taken.append(now - self._began)
        self._shared.failed += not head.startswith(b"HTTP/1.1 2")
        if now < self._shared.ends:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._shared.failed += time.perf_counter() < self._shared.ends
        if not self.done.done():
            self.done.set_result(None)
        del exc


def post(path: str, body: bytes, headers: str = "") -> bytes:
    """Return a whole request."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def get(path: str, headers: str = "") -> bytes:
    """Return a whole request."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n".encode()


def measure(port: int, requests: Sequence[bytes], *, clients: int, seconds: float) -> Measured:
    """Send `requests`, over and over, from `clients` connections for `seconds` after a short warm-up."""
    warm, _ = uvloop.run(_load(port, requests, clients, min(1.0, seconds / 4)))
    shared, took = uvloop.run(_load(port, requests, clients, seconds))
    taken = sorted(shared.taken)
    return Measured(
        clients,
        per_second=len(taken) / took,
        p50_ms=statistics.median(taken) * 1e3,
        p99_ms=taken[min(len(taken) - 1, int(len(taken) * 0.99))] * 1e3,
        answered=len(warm.taken) + len(taken),
        failed=shared.failed,
    )


async def _load(port: int, requests: Sequence[bytes], clients: int, seconds: float) -> tuple[_Shared, float]:
    loop, began = asyncio.get_running_loop(), time.perf_counter()
    shared = _Shared(requests, ends=began + seconds)
    opened = [loop.create_connection(lambda: _Connection(shared), "127.0.0.1", port) for _ in range(clients)]
    connections = [protocol for _, protocol in await asyncio.gather(*opened)]
    await asyncio.wait_for(asyncio.gather(*(one.done for one in connections)), seconds + 60)
    return shared, time.perf_counter() - began
