"""Which failures of a job pass by themselves, and how long to wait for it."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from engramia.errors import (
    ProviderBusyError,
    ProviderLimitedError,
    ProviderTimeoutError,
    ProviderUnreachableError,
    StorageUnavailableError,
    UnavailableError,
)

_PASSING = (
    ProviderBusyError,
    ProviderLimitedError,
    ProviderTimeoutError,
    ProviderUnreachableError,
    StorageUnavailableError,
    UnavailableError,
)


def passes(error: Exception) -> bool:
    """Return whether another attempt may succeed where this one met `error`."""
    return isinstance(error, _PASSING)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubling waits with jitter: the n-th is `first` x 2^(n-1), at most `longest`, times 0.5 to 1.5."""

    first: timedelta = timedelta(seconds=2)
    longest: timedelta = timedelta(minutes=5)
    longest_asked: timedelta = timedelta(hours=1)
    """The most that is waited because a vendor asked for it."""
    chance: Callable[[], float] = random.random
    """Gives numbers from 0 to 1."""

    def after(self, attempt: int, error: Exception) -> timedelta:
        """Return how long to wait after the `attempt`-th failure (from 1); never less than was asked for."""
        doubled = self.first * (1 << min(attempt - 1, 30))
        wait = min(doubled, self.longest) * (0.5 + self.chance())
        asked: float | None = getattr(error, "retry_after", None)
        return wait if asked is None else max(wait, min(timedelta(seconds=asked), self.longest_asked))
