"""Calls that are answered together, while what answers them is away."""

import asyncio
from collections.abc import Sequence

import pytest

from engramia.errors import StorageUnavailableError
from engramia.server.kit.batching import BATCH_MAX, Batches
from engramia.server.kit.lanes import Lanes

CALLS = BATCH_MAX + 8


class Store:
    """Answers with the double; while it is away, each batch finds that out by itself."""

    def __init__(self, *, away: bool) -> None:
        self.asked: list[int] = []
        self._away = away

    def answer(self, _key: str, questions: Sequence[int]) -> Sequence[int | Exception]:
        self.asked.append(len(questions))
        if self._away:
            return [StorageUnavailableError("gone")] * len(questions)
        return [2 * question for question in questions]


@pytest.fixture
def lanes() -> Lanes:
    return Lanes(1)


async def asked_at_once(batches: Batches[str, int, int]) -> list[int | BaseException]:
    calls = (batches.ask("scope", number) for number in range(CALLS))
    return await asyncio.gather(*calls, return_exceptions=True)


def test_what_is_asked_at_once_is_answered_in_batches(lanes: Lanes) -> None:
    store = Store(away=False)
    assert asyncio.run(asked_at_once(Batches(lanes, store.answer))) == [2 * number for number in range(CALLS)]
    assert store.asked == [BATCH_MAX, CALLS - BATCH_MAX]
    lanes.close()


def test_who_waits_behind_a_store_that_is_away_is_told_with_the_first(lanes: Lanes) -> None:
    store = Store(away=True)
    answers = asyncio.run(asked_at_once(Batches(lanes, store.answer)))
    assert [type(answer) for answer in answers] == [StorageUnavailableError] * CALLS
    assert store.asked == [BATCH_MAX]
    lanes.close()
