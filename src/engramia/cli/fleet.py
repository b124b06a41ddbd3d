"""Several processes that serve on one socket, and the one above that keeps them going."""

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING

from engramia.cli.exit_codes import ExitCode
from engramia.cli.service_process import configure_logging, patience, serve_on

if TYPE_CHECKING:
    from engramia.settings import Settings

_SHORT_LIFE = 5.0
"""Seconds under which a process that dies is not replaced at once: the next may die as quickly."""
_REST = 1.0

_log = logging.getLogger("engramia.server")
# Not forked: threads and open files of this process would be copied halfway.
_spawn = multiprocessing.get_context("spawn")


@dataclass(eq=False)
class _Member:
    """One process; `ready` tells when it answers requests, and then nothing more."""

    process: SpawnProcess
    ready: Connection | None
    born: float = field(default_factory=time.monotonic)


class Fleet:
    """`count` processes on one listening socket; one that dies is replaced, all stop together."""

    def __init__(self, listener: socket.socket, settings: "Settings", count: int) -> None:
        self._listener = listener
        self._settings = settings
        self._count = count
        self._members: list[_Member] = []
        self._stopping = False
        self._announced = False

    def run(self, on_ready: Callable[[], None]) -> ExitCode:
        """Serve until a signal says to stop; call `on_ready` once every process answers requests.

        SIGTERM and SIGINT let running requests finish; a second SIGINT ends at once.
        """
        configure_logging(self._settings)
        with _signals() as signals:
            self._members = [self._born() for _ in range(self._count)]
            while not self._stopping:
                code = self._look(signals, on_ready)
                if code is not None:
                    self._stop(signals)
                    return code
            return self._stop(signals)

    def _look(self, signals: socket.socket, on_ready: Callable[[], None]) -> ExitCode | None:
        """Wait for something to happen and see to it; return a code if the processes cannot serve."""
        sentinels = {member.process.sentinel: member for member in self._members}
        pipes = {member.ready: member for member in self._members if member.ready is not None}
        happened = wait([signals, *sentinels, *pipes])
        if signals in happened:
            self._stopping = bool(signals.recv(64))
            return None
        for pipe, member in pipes.items():
            if pipe in happened:
                self._answers(member)
        if not self._announced and all(member.ready is None for member in self._members):
            self._announced = True
            on_ready()
        return self._replace([member for sentinel, member in sentinels.items() if sentinel in happened])

    def _answers(self, member: _Member) -> None:
        """Note that a process answers requests; one that died instead keeps its pipe."""
        if member.ready is not None:
            with contextlib.suppress(EOFError):
                member.ready.recv()
                member.ready.close()
                member.ready = None

    def _replace(self, dead: list[_Member]) -> ExitCode | None:
        for member in dead:
            member.process.join()
            if member.ready is not None:
                member.ready.close()
            if not self._announced:
                _log.error("A server process ended before all could serve; see its log lines above.")
                return ExitCode.UNEXPECTED
            pid, code = member.process.pid, member.process.exitcode
            _log.warning("Server process %s ended with code %s; another takes its place", pid, code)
            if time.monotonic() - member.born < _SHORT_LIFE:
                time.sleep(_REST)
            self._members[self._members.index(member)] = self._born()
        return None

    def _born(self) -> _Member:
        reading, writing = _spawn.Pipe(duplex=False)
        process = _spawn.Process(target=_member, args=(self._listener, self._settings, writing))
        process.start()
        writing.close()  # the child's end alone is left, so that its death is read here as the end
        return _Member(process, reading)

    def _stop(self, signals: socket.socket) -> ExitCode:
        """Let all processes finish; end them at once when told to, or when they take too long."""
        self._listener.close()
        running = [member.process for member in self._members]
        for process in running:
            process.terminate()
        ends = time.monotonic() + patience(self._settings) + _REST
        code = ExitCode.OK
        while running := [process for process in running if process.is_alive()]:
            happened = wait([signals, *(process.sentinel for process in running)], ends - time.monotonic())
            told = signals in happened and signal.SIGINT in signals.recv(64)
            if told or not happened:
                code = ExitCode.INTERRUPTED if told else ExitCode.UNEXPECTED
                for process in running:
                    process.kill()
                    process.join()
        if any(member.process.exitcode == ExitCode.UNEXPECTED for member in self._members):
            return code or ExitCode.UNEXPECTED
        return code


@contextlib.contextmanager
def _signals() -> Iterator[socket.socket]:
    """Yield a socket from which the numbers of SIGINT and SIGTERM can be read, as they come."""
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    before = {each: signal.signal(each, lambda *_: None) for each in (signal.SIGINT, signal.SIGTERM)}
    woken = signal.set_wakeup_fd(writing.fileno())
    try:
        yield reading
    finally:
        signal.set_wakeup_fd(woken)
        for each, handler in before.items():
            signal.signal(each, handler)
        reading.close()
        writing.close()


def _member(listener: socket.socket, settings: "Settings", ready: Connection) -> None:
    """Serve in this process, until it is told to stop or the process above is gone."""
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()

    def tell() -> None:
        ready.send(True)
        ready.close()

    raise SystemExit(serve_on(listener, settings, tell, interactive=False))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
