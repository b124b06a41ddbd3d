import asyncio
import threading

import pytest

from engramia.errors import UnavailableError
from engramia.server.kit import lanes
from engramia.server.kit.batching import Batches
from engramia.server.kit.lanes import Lane, Lanes


def test_a_lane_that_is_full_says_so_and_the_others_go_on() -> None:
    async def run() -> None:
        bulk, go = Lanes(), threading.Event()
        room = lanes.THREADS[Lane.BULK] + lanes.WAITING[Lane.BULK]
        tasks = [asyncio.ensure_future(bulk.run(Lane.BULK, go.wait)) for _ in range(room)]
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError) as refused:
            await bulk.run(Lane.BULK, go.wait)
        assert refused.value.retry_after
        assert await bulk.run(Lane.QUICK, lambda: 7) == 7
        go.set()
        assert await asyncio.gather(*tasks) == [True] * room
        assert await bulk.run(Lane.BULK, lambda: 8) == 8
        bulk.close()

    asyncio.run(run())


def test_who_hangs_up_still_counts_until_the_work_ends() -> None:
    async def run() -> None:
        bulk, go = Lanes(), threading.Event()
        room = lanes.THREADS[Lane.BULK] + lanes.WAITING[Lane.BULK]
        tasks = [asyncio.ensure_future(bulk.run(Lane.BULK, go.wait)) for _ in range(room)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with pytest.raises(UnavailableError):
            await bulk.run(Lane.BULK, go.wait)
        go.set()
        bulk.close()

    asyncio.run(run())


class _Slow:
    """Answers batches when it is let to, and remembers them."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.batches = list[tuple[str, list[int]]]()

    def __call__(self, key: str, questions: list[int]) -> list[int | Exception]:
        self.go.wait(10)
        self.batches.append((key, list(questions)))
        return [ValueError("odd") if question % 2 else question * 10 for question in questions]


def test_calls_that_come_while_one_is_answered_go_together_and_fail_alone() -> None:
    async def run() -> None:
        slow, pool = _Slow(), Lanes()
        batches = Batches[str, int, int](pool, slow)  # type: ignore[arg-type]  # a list is a sequence
        first = asyncio.ensure_future(batches.ask("a", 0))
        await asyncio.sleep(0.01)
        rest = [asyncio.ensure_future(batches.ask("a", number)) for number in range(1, 6)]
        await asyncio.sleep(0)
        rest[3].cancel()
        slow.go.set()
        answers = await asyncio.gather(first, *rest, return_exceptions=True)
        assert [answer for answer in answers if isinstance(answer, int)] == [0, 20]
        assert [type(answer) for answer in answers if not isinstance(answer, int)] == [
            ValueError, ValueError, asyncio.CancelledError, ValueError,
        ]  # fmt: skip
        assert slow.batches == [("a", [0]), ("a", [1, 2, 3, 4, 5])]
        pool.close()

    asyncio.run(run())


def test_keys_do_not_wait_for_each_other() -> None:
    async def run() -> None:
        slow, quick, pool = _Slow(), _Slow(), Lanes()
        quick.go.set()
        batches = Batches[str, int, int](
            pool, lambda key, asked: (slow if key == "a" else quick)(key, list(asked))
        )
        waiting = asyncio.ensure_future(batches.ask("a", 2))
        assert await asyncio.wait_for(batches.ask("b", 4), 5) == 40
        slow.go.set()
        assert await waiting == 20
        pool.close()

    asyncio.run(run())


def test_a_batch_that_fails_as_a_whole_is_the_answer_of_each_call() -> None:
    def answer(_key: str, _asked: object) -> list[int | Exception]:
        raise OSError("no disk")

    async def run() -> None:
        pool = Lanes()
        batches = Batches[str, int, int](pool, answer)
        answers = await asyncio.gather(*(batches.ask("a", one) for one in (1, 2)), return_exceptions=True)
        assert [str(answer) for answer in answers] == ["no disk", "no disk"]
        with pytest.raises(OSError, match="no disk"):
            await batches.ask("a", 3)
        pool.close()

    asyncio.run(run())
