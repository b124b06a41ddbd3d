"""Runs that have begun and are not over, for frameworks that tell of both in separate calls."""

from collections.abc import Hashable
from threading import Lock

from engramia.sdk.session import Run

_MOST = 10_000


class OpenRuns:
    """Runs by the framework's own id of them. Thread-safe.

    Of those that never end (a task that was cancelled, a stream that nobody read to its end) the oldest are
    dropped.
    """

    def __init__(self) -> None:
        self._runs: dict[Hashable, Run] = {}
        self._lock = Lock()

    def add(self, key: Hashable, run: Run) -> None:
        """Keep a run that has begun."""
        with self._lock:
            self._runs[key] = run
            if len(self._runs) > _MOST:
                del self._runs[next(iter(self._runs))]

    def get(self, key: Hashable) -> Run | None:
        """Return a run that is not over, None if there is none."""
        with self._lock:
            return self._runs.get(key)

    def pop(self, key: Hashable) -> Run | None:
        """Return a run that is over now, once."""
        with self._lock:
            return self._runs.pop(key, None)
