"""Threads of our own for calls that block, so that neither a host's run nor its event loop waits for them."""

import atexit
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from engramia.errors import UnavailableError

_IDLE_SECONDS = 5.0


class Workers:
    """At most `threads` daemon threads that take calls from one line of at most `line`; thread-safe.

    Threads come with the work and go when there has been none for a while. As daemons they keep no program
    from ending, however long a call hangs; what is not done when it ends gets `last_seconds` more.
    """

    def __init__(self, threads: int, line: int, *, last_seconds: float = 0.0) -> None:
        self._most = threads
        self.last_seconds = last_seconds
        self._line = line
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._changed = threading.Condition()
        self._threads = 0
        self._idle = 0
        _all.add(self)

    def submit[T](self, call: Callable[[], T]) -> Future[T]:
        """Have `call` run; `UnavailableError` if the line is full, RuntimeError if no thread can start."""
        future: Future[T] = Future()
        with self._changed:
            if len(self._waiting) >= self._line:
                raise UnavailableError("Too many calls to the memory are waiting already.")
            if len(self._waiting) >= self._idle and self._threads < self._most:
                threading.Thread(target=self._work, name="engramia-sdk", daemon=True).start()
                self._threads += 1
            self._waiting.append((future, call))
            self._changed.notify()
        return future

    def drain(self, seconds: float) -> bool:
        """Wait until all calls are done, for `seconds` at most, and return whether they are."""
        with self._changed:
            return self._changed.wait_for(self._is_quiet, max(0.0, seconds))

    def _is_quiet(self) -> bool:
        return not self._waiting and self._idle == self._threads

    def _work(self) -> None:
        while (taken := self._next()) is not None:
            future, call = taken
            if future.set_running_or_notify_cancel():
                _settle(future, call)
            # Whoever is done with a call must not keep it, and all that it holds, until the next one comes.
            del taken, future, call

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._changed:
            self._idle += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._waiting, _IDLE_SECONDS)
            self._idle -= 1
            if self._waiting:
                return self._waiting.popleft()
            self._threads -= 1
            return None


_all: weakref.WeakSet[Workers] = weakref.WeakSet()


@atexit.register
def _drain_all() -> None:
    until = {workers: time.monotonic() + workers.last_seconds for workers in list(_all)}
    for workers, end in until.items():
        workers.drain(end - time.monotonic())


def _settle(future: Future[Any], call: Callable[[], Any]) -> None:
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - it is raised again where the future is awaited
        future.set_exception(error)
    else:
        future.set_result(result)
