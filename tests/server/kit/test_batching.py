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


async def asked_again_and_again(batches: Batches[str, int, int], callers: int, times: int) -> float:
    """Let each caller ask the next thing when it is answered, a little after one another; return seconds."""

    async def caller(number: int) -> None:
        for _ in range(times):
            for _ in range(2 * number):
                await asyncio.sleep(0)  # the answers of a batch do not reach all clients in one moment
            assert await batches.ask("scope", number) == 2 * number

    began = asyncio.get_running_loop().time()
    await asyncio.gather(*(caller(number) for number in range(callers)))
    return asyncio.get_running_loop().time() - began


def test_those_answered_together_are_waited_for(lanes: Lanes) -> None:
    store = Store(away=False)
    asyncio.run(asked_again_and_again(Batches(lanes, store.answer), callers=6, times=20))
    # Without the wait the first to come back goes alone, and the others together after it.
    assert store.asked.count(6) > len(store.asked) / 2, store.asked
    lanes.close()


async def asked_as_they_return(
    batches: Batches[str, int, int], callers: int, times: int, seconds: float
) -> None:
    """Let each caller ask again after its answer, each so many seconds later than the one before."""

    async def caller(number: int) -> None:
        for _ in range(times):
            await batches.ask("scope", number)
            await asyncio.sleep(seconds * number)

    await asyncio.gather(*(caller(number) for number in range(callers)))


def test_one_who_comes_late_is_waited_for_while_others_come(lanes: Lanes) -> None:
    store = Store(away=False)
    asyncio.run(asked_as_they_return(Batches(lanes, store.answer), callers=3, times=20, seconds=0.0007))
    # The third comes after 1.4 ms: a batch that waits one moment goes without it.
    assert store.asked.count(3) > len(store.asked) / 2, store.asked
    lanes.close()


def test_those_who_come_one_by_one_are_not_all_waited_for(lanes: Lanes) -> None:
    store = Store(away=False)
    asyncio.run(asked_as_they_return(Batches(lanes, store.answer), callers=30, times=5, seconds=0.0007))
    assert min(store.asked[1:]) < 15, store.asked
    lanes.close()


def test_a_single_caller_waits_for_nobody(lanes: Lanes) -> None:
    store = Store(away=False)
    asyncio.run(asked_again_and_again(Batches(lanes, store.answer), callers=1, times=20))
    assert store.asked == [1] * 20
    lanes.close()


def test_who_does_not_come_back_is_waited_for_no_longer_than_a_moment(lanes: Lanes) -> None:
    store = Store(away=False)

    async def few_after_many() -> float:
        batches = Batches(lanes, store.answer)
        await asked_at_once(batches)
        return await asked_again_and_again(batches, callers=1, times=1)

    assert asyncio.run(few_after_many()) < 1.0
    assert store.asked == [BATCH_MAX, CALLS - BATCH_MAX, 1]
    lanes.close()


def test_who_waits_behind_a_store_that_is_away_is_told_with_the_first(lanes: Lanes) -> None:
    store = Store(away=True)
    answers = asyncio.run(asked_at_once(Batches(lanes, store.answer)))
    assert [type(answer) for answer in answers] == [StorageUnavailableError] * CALLS
    assert store.asked == [BATCH_MAX]
    lanes.close()
