"""Connections that are kept and used again, on which every wait has an end."""

import http.client
import io
import os
import selectors
import socket
import ssl
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, cast

from engramia.sdk.address import Address
from engramia.sdk.errors import EngramiaConnectionError, EngramiaTimeoutError

IDLE_SECONDS = 3.0
"""A connection that was idle for longer is not used again: common servers close theirs after five seconds."""
IDLE_MOST = 16
"""Connections that are kept while nobody uses them."""
_CHUNK = 1 << 16
_ERROR_MOST_BYTES = 1 << 20


class Deadline:
    """A moment by which something has to be done."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds that are left, negative when it has passed."""
        return self._at - time.monotonic()

    def left(self) -> float:
        """Return the seconds that are left; `TimeoutError` if there are none."""
        seconds = self.remaining()
        if seconds <= 0:
            raise TimeoutError
        return seconds


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent; `target` is the path with its query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, with any status."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _TimedReader(io.RawIOBase):
    """Reads a socket until the deadline, however slowly the bytes drip in."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock, self._deadline = sock, deadline
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._deadline.left())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


@dataclass(frozen=True, slots=True)
class _TimedSocket:
    """As much of a socket as an `HTTPResponse` uses."""

    sock: socket.socket
    deadline: Deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self.sock, self.deadline))


def _timed_response(deadline: Deadline, sock: socket.socket, **options: Any) -> http.client.HTTPResponse:
    return http.client.HTTPResponse(cast("socket.socket", _TimedSocket(sock, deadline)), **options)


class Connection:
    """An open connection, for one request after another."""

    def __init__(self, sock: socket.socket, address: Address) -> None:
        self._sock = sock
        # Only the default port differs between the two: the socket is open and encrypted already.
        self._http = http.client.HTTPConnection(address.host, address.port)
        self._http.default_port = 443 if address.tls else 80
        self._http.auto_open = 0
        self._http.sock = sock
        self._idle_since = time.monotonic()

    def exchange(self, request: Request, deadline: Deadline) -> tuple[Answer, bool]:
        """Send `request` and return its answer, and whether the connection can be used again."""
        # A response takes nothing of its socket but a file to read, nor does `HTTPConnection` of its class.
        timed = partial(_timed_response, deadline)
        self._http.response_class = cast("type[http.client.HTTPResponse]", timed)
        sent = self._send(request, deadline)
        try:
            return self._receive()
        except (OSError, http.client.HTTPException) as error:
            raise _lost(error, sent=sent) from error

    def _send(self, request: Request, deadline: Deadline) -> bool:
        """Return whether all of it went out; if not, the server has said something meanwhile."""
        length = {} if request.body is None else {"Content-Length": str(len(request.body))}
        chunks = None if request.body is None else self._chunks(request.body, deadline)
        try:
            self._sock.settimeout(deadline.left())
            self._http.request(request.method, request.target, chunks, {**request.headers, **length})
        except (BrokenPipeError, ConnectionResetError) as error:
            # A server may refuse before it has read everything; then its answer is there.
            if not self._readable():
                raise _lost(error, sent=False) from error
            return False
        except (OSError, http.client.HTTPException) as error:
            # A request that went out in part only is one that no server acts on.
            raise _lost(error, sent=False) from error
        return True

    def _chunks(self, body: bytes, deadline: Deadline) -> Iterator[bytes]:
        for start in range(0, len(body), _CHUNK):
            self._sock.settimeout(deadline.left())
            yield body[start : start + _CHUNK]

    def _receive(self) -> tuple[Answer, bool]:
        with self._http.getresponse() as response:
            failed = response.status >= HTTPStatus.BAD_REQUEST
            body = response.read(_ERROR_MOST_BYTES) if failed else response.read()
            whole = response.isclosed() or response.length == 0
            headers = {name.lower(): value for name, value in response.getheaders()}
            self._idle_since = time.monotonic()
            return Answer(response.status, headers, body), whole and not response.will_close

    def usable(self) -> bool:
        """Return whether it is still open as far as can be seen, and was not idle for long."""
        return time.monotonic() - self._idle_since < IDLE_SECONDS and not self._readable()

    def _readable(self) -> bool:
        """Return whether something has come: on an idle connection the end, or what nobody asked for."""
        try:
            with selectors.DefaultSelector() as waiting:
                waiting.register(self._sock, selectors.EVENT_READ)
                return bool(waiting.select(0))
        except (OSError, ValueError):
            return True

    def close(self) -> None:
        """Close it."""
        self._http.close()
        self._sock.close()


class Pool:
    """Connections to one server; thread-safe: each is used by one thread at a time."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None, connect_timeout: float) -> None:
        self._address = address
        self._tls = tls
        self._connect_timeout = connect_timeout
        self._idle: deque[Connection] = deque()
        self._process = os.getpid()

    def exchange(self, request: Request, deadline: Deadline, *, repeatable: bool) -> Answer:
        """Send `request` on a kept connection or a new one.

        A kept connection may be closed by the server at any moment: then the request is sent again on another
        one, if it did not go out or if it is `repeatable`. Raises `EngramiaConnectionError`.
        """
        while (kept := self._kept()) is not None:
            try:
                return self._over(kept, request, deadline)
            except EngramiaConnectionError as error:
                if isinstance(error, EngramiaTimeoutError) or (error.sent and not repeatable):
                    raise
        return self._over(self._opened(deadline), request, deadline)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return

    def _kept(self) -> Connection | None:
        if os.getpid() != self._process:
            # After a fork both processes would write to the same connections.
            self.close()
            self._process = os.getpid()
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.usable():
                return connection
            connection.close()

    def _over(self, connection: Connection, request: Request, deadline: Deadline) -> Answer:
        kept = False
        try:
            answer, kept = connection.exchange(request, deadline)
        finally:
            if kept and len(self._idle) < IDLE_MOST:
                self._idle.append(connection)
            else:
                connection.close()
        return answer

    def _opened(self, deadline: Deadline) -> Connection:
        try:
            limit = Deadline(min(self._connect_timeout, deadline.left()))
            sock = _dial(self._address, limit)
        except OSError as error:
            raise _unreached(error, self._address) from error
        try:
            return Connection(self._encrypted(sock, limit), self._address)
        except OSError as error:
            sock.close()
            raise _unreached(error, self._address) from error

    def _encrypted(self, sock: socket.socket, limit: Deadline) -> socket.socket:
        if self._tls is None:
            return sock
        sock.settimeout(limit.left())
        return self._tls.wrap_socket(sock, server_hostname=self._address.host)


def _dial(address: Address, limit: Deadline) -> socket.socket:
    """Return a connection to the first of the host's addresses that takes one."""
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    failure: OSError = ConnectionRefusedError()
    for place, (family, kind, protocol, _, where) in enumerate(found):
        sock = socket.socket(family, kind, protocol)
        try:
            # The others get their share of the time if this one does not answer at all.
            sock.settimeout(limit.left() / (len(found) - place))
            sock.connect(where)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure


def _unreached(error: OSError, address: Address) -> EngramiaConnectionError:
    """Return why no connection to `address` came about."""
    place = f"{address.host}, port {address.port}"
    match error:
        case TimeoutError():
            return EngramiaTimeoutError(f"No connection to {place} in time.", code="timeout", sent=False)
        case ConnectionRefusedError():
            code, why = "connection_refused", f"Nothing listens at {place}: the connection was refused."
        case socket.gaierror(errno=socket.EAI_AGAIN):
            code, why = "host_lookup_failed", f"The address of {address.host} cannot be looked up just now."
        case socket.gaierror():
            code, why = "unknown_host", f"There is no host named {address.host}."
        case ssl.SSLCertVerificationError():
            code = "bad_certificate"
            why = f"The certificate of {place} is not trusted: {error.verify_message}."
        case ssl.SSLError():
            code = "tls_failed"
            why = f"No encrypted connection to {place}: {error.reason}. Does it speak https?"
        case _:
            code, why = "unreachable", f"No connection to {place}: {error.strerror or error}."
    return EngramiaConnectionError(why, code=code, sent=False)


def _lost(error: Exception, *, sent: bool) -> EngramiaConnectionError:
    """Return why a request on an open connection got no answer."""
    if isinstance(error, TimeoutError):
        what = "The server did not answer" if sent else "The request could not be sent"
        return EngramiaTimeoutError(f"{what} in time.", code="timeout", sent=sent)
    if isinstance(error, OSError | http.client.IncompleteRead):
        what = "answered" if sent else "had all of the request"
        return EngramiaConnectionError(
            f"The connection was lost before the server {what}.", code="connection_lost", sent=sent
        )
    return EngramiaConnectionError(
        "What listens there does not speak HTTP, or not the same scheme.", code="not_http", sent=sent
    )
