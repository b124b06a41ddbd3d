"""How long a job waits before it is tried again."""

from datetime import timedelta

import pytest

from engramia.errors import (
    AuthorizationError,
    EngramiaError,
    ProviderLimitedError,
    ProviderNotConfiguredError,
    ProviderRefusedError,
    ProviderUnreachableError,
    StorageFullError,
    UnavailableError,
)
from engramia.server.jobs.retrying import Backoff, passes

DOWN = ProviderUnreachableError("no connection")


def seconds(backoff: Backoff, attempt: int, error: Exception = DOWN) -> float:
    return backoff.after(attempt, error).total_seconds()


def test_waits_double_up_to_the_longest() -> None:
    even = Backoff(timedelta(seconds=2), timedelta(seconds=60), chance=lambda: 0.5)
    assert [seconds(even, attempt) for attempt in (1, 2, 3, 4, 5, 6, 1000)] == [2, 4, 8, 16, 32, 60, 60]


def test_chance_spreads_them_from_half_to_one_and_a_half() -> None:
    waits = [seconds(Backoff(chance=lambda share=share: share), 1) for share in (0.0, 0.25, 0.999)]  # type: ignore[misc]
    assert waits == pytest.approx([1.0, 1.5, 2.998])


def test_never_less_than_was_asked_for_nor_much_more() -> None:
    even = Backoff(chance=lambda: 0.5)
    assert seconds(even, 1, ProviderLimitedError("slow down", retry_after=40)) == 40
    assert seconds(even, 1, ProviderLimitedError("slow down", retry_after=0.1)) == 2
    assert seconds(even, 1, ProviderLimitedError("slow down")) == 2
    assert seconds(even, 1, ProviderLimitedError("slow down", retry_after=1e6)) == 3600


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (DOWN, True),
        (UnavailableError("busy"), True),
        (ProviderNotConfiguredError("none"), False),
        (ProviderRefusedError("401"), False),
        (StorageFullError("full"), False),
        (AuthorizationError("no"), False),
        (ZeroDivisionError(), False),
    ],
)
def test_only_what_passes_by_itself_is_tried_again(error: EngramiaError, again: bool) -> None:
    assert passes(error) is again
