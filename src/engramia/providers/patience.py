"""Asking an outside service several times within one deadline."""

import queue
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engramia.errors import (
    ProviderError,
    ProviderLimitedError,
    ProviderTimeoutError,
    ProviderUnreachableError,
)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how often one asks: `seconds` for everything together, at most `attempts` requests.

    Between requests it waits as long as the service wishes, or a random share of `backoff` seconds doubled
    with every attempt (full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """

    seconds: float = 30.0
    attempts: int = 3
    backoff: float = 0.5

    def start(self) -> "Deadline":
        """Return the deadline that begins now."""
        return Deadline(self, time.monotonic() + self.seconds)


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment by which everything has to be done, and the patience until then."""

    patience: Patience
    moment: float

    def ask[T](self, request: Callable[[float], T]) -> T:
        """Return the answer of `request`, which is given the seconds left and raises `ProviderError`s only.

        Limits and failures to reach the service are tried again while there is time. Raises the last error,
        and `ProviderTimeoutError` when time is up, also while a request is still running.
        """
        for attempt in range(self.patience.attempts):
            try:
                return self._bounded(request)
            except (ProviderLimitedError, ProviderUnreachableError) as error:
                wait = self._wait(error, attempt)
                if attempt + 1 == self.patience.attempts or wait >= self._left():
                    raise
                time.sleep(wait)
        raise AssertionError("attempts must be at least 1")

    def _left(self) -> float:
        return self.moment - time.monotonic()

    def _wait(self, error: ProviderError, attempt: int) -> float:
        wish = getattr(error, "retry_after", None)
        if wish is not None:
            return float(wish)
        return random.uniform(0, self.patience.backoff * 2**attempt)  # noqa: S311 (spreads load, hides nothing)

    def _bounded[T](self, request: Callable[[float], T]) -> T:
        """Run `request` in a thread of its own, and leave it behind if it outlasts the deadline.

        A client's own timeouts count every step anew: a service that drips bytes would outlast any of them.
        """
        left = self._left()
        if left <= 0:
            raise ProviderTimeoutError(f"No answer within {self.patience.seconds:g} s.")
        outcome: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()
        threading.Thread(target=_run, args=(request, left, outcome), name="engramia-ask", daemon=True).start()
        try:
            answer, error = outcome.get(timeout=left)
        except queue.Empty as empty:
            raise ProviderTimeoutError(f"No answer within {self.patience.seconds:g} s.") from empty
        if error is not None:
            raise error
        return answer  # type: ignore[return-value]  # without an error there is an answer


def _run(request: Callable[[float], Any], left: float, outcome: "queue.SimpleQueue[Any]") -> None:
    try:
        outcome.put((request(left), None))
    except BaseException as error:  # noqa: BLE001 (carried to the caller's thread and raised there)
        outcome.put((None, error))
