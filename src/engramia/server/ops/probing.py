"""Asking whether something outside works: in a thread, with a deadline, and not more often than is decent."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from engramia.errors import EngramiaError

DEADLINE_SECONDS = 5.0
"""How long a request waits for a probe."""
KEPT_SECONDS = 10.0
"""How long an outcome is told again: whoever may ask for our health must not be able to hammer a vendor."""

_log = logging.getLogger("engramia.health")


@dataclass(frozen=True, slots=True)
class Outcome[T]:
    """What a probe found: what the question returned, or the error that it ended in, and how long it took."""

    answer: T | None
    error: EngramiaError | None
    seconds: float


class Probe[T]:
    """A question that has to return; asked in one thread at a time. Used from one event loop at a time.

    One that does not return in time stays the only one: nothing is asked again before it does, and meanwhile
    everybody is told at once that it is late.
    """

    def __init__(
        self,
        name: str,
        ask: Callable[[], T],
        late: Callable[[], EngramiaError],
        *,
        deadline: float = DEADLINE_SECONDS,
        kept: float = KEPT_SECONDS,
    ) -> None:
        """Ask `ask`, which raises an `EngramiaError` if all is not well; `late` makes the one of lateness."""
        self._name = name
        self._ask = ask
        self._late = late
        self._deadline = deadline
        self._kept = kept
        self._begun = 0.0
        self._future: Future[Outcome[T]] | None = None

    async def outcome(self) -> Outcome[T]:
        """Return what the probe found lately, or finds now."""
        future = self._current()
        left = self._begun + self._deadline - time.monotonic()
        if not future.done() and left > 0:
            await asyncio.wait([asyncio.wrap_future(future)], timeout=left)
        return future.result() if future.done() else Outcome(None, self._late(), self._deadline)

    def _current(self) -> Future[Outcome[T]]:
        future = self._future
        if future is not None:
            ended = future.done() and self._begun + future.result().seconds + self._kept < time.monotonic()
            if not ended:
                return future
        self._begun = time.monotonic()
        self._future = future = Future()
        future.set_running_or_notify_cancel()
        # A thread of its own, which keeps no process from ending: nobody knows how long it will be held.
        thread = threading.Thread(target=self._run, args=(future,), name=f"probe {self._name}", daemon=True)
        thread.start()
        return future

    def _run(self, future: Future[Outcome[T]]) -> None:
        begun = time.monotonic()
        answer, error = None, None
        try:
            answer = self._ask()
        except EngramiaError as failure:
            error = failure
            _log.warning("The probe of the %s failed: %s", self._name, failure)
        except Exception as failure:  # noqa: BLE001 - what fails in a way that nobody foresaw is not well either
            error = EngramiaError(f"The probe of the {self._name} failed.")
            _log.error("The probe of the %s failed", self._name, exc_info=failure)
        future.set_result(Outcome(answer, error, time.monotonic() - begun))
