"""Calls that come at once, answered together: one thread takes what has gathered while it was busy."""

import asyncio
import contextlib
import contextvars  # noqa: TID251 - a batch of many requests must not carry the log fields of the first
from collections.abc import Callable, Hashable, Sequence
from functools import partial

from engramia.errors import StorageUnavailableError, UnavailableError
from engramia.server.kit.lanes import Lane, Lanes

BATCH_MAX = 32
WAITING_MAX = 1_024
"""How many calls of one key may wait for their turn."""
_COMPANY_SECONDS = 0.001
"""How long those just answered are waited for: they tend to ask again. Half as much again is answered to 8
clients so, and each of them sooner (docs/decisions/0024-lanes-and-batches.md)."""
_MOMENTS = 3
"""How often at most: callers that come one by one are not waited for until the last is there."""
_AWAY = (UnavailableError, StorageUnavailableError)


class Batches[K: Hashable, Q, A]:
    """Answers calls in batches, for each key one batch at a time. Used from one event loop.

    A call that finds nobody at work goes at once; those that come meanwhile go together after it. So a single
    caller waits for nobody, and under load the cost of a batch is shared. Where there are several callers, a
    batch waits a moment for those that were just answered.
    """

    def __init__(self, lanes: Lanes, answer: Callable[[K, Sequence[Q]], Sequence[A | Exception]]) -> None:
        """Answer with `answer`, which runs in a thread and returns a result or an error for each call."""
        self._lanes = lanes
        self._answer = answer
        self._waiting: dict[K, list[tuple[Q, asyncio.Future[A]]]] = {}
        """The keys at work, and what waits for each."""
        self._company: dict[K, tuple[int, asyncio.Event]] = {}
        """How many calls of a key are awaited, and what tells that they are there."""
        self._tasks = set[asyncio.Task[None]]()

    async def ask(self, key: K, question: Q) -> A:
        """Return the answer to one call, or raise its error; `UnavailableError` if too many wait."""
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.get(key)
        if waiting is None:
            self._waiting[key] = [(question, future)]
            self._begin(key)
        elif len(waiting) < WAITING_MAX:
            waiting.append((question, future))
            self._welcome(key, len(waiting))
        else:
            raise UnavailableError("Too many of these requests wait already; try again soon.", retry_after=1)
        return await future

    def _begin(self, key: K) -> None:
        task = asyncio.get_running_loop().create_task(self._work_off(key), context=contextvars.Context())
        self._tasks.add(task)  # the loop itself holds tasks weakly
        task.add_done_callback(self._tasks.discard)

    async def _work_off(self, key: K) -> None:
        while waiting := self._waiting[key]:
            batch, self._waiting[key] = waiting[:BATCH_MAX], waiting[BATCH_MAX:]
            outcomes = await self._settle(key, batch)
            if all(isinstance(outcome, _AWAY) for outcome in outcomes):
                # Who waits would find out the same, each batch after a deadline of its own.
                late, self._waiting[key] = self._waiting[key], []
                _tell(late, [outcomes[0]] * len(late))
            await self._gather(key, len(batch))
        del self._waiting[key]

    async def _gather(self, key: K, answered: int) -> None:
        """Wait until those just answered have joined those that wait, if they are several.

        For a moment, and for another if somebody came in it: a client that is a little late would else go
        alone, and the next batch without it.
        """
        count = min(answered + len(self._waiting[key]), BATCH_MAX)
        if count == 1 or len(self._waiting[key]) >= count:
            return
        await asyncio.sleep(0)  # the answers go out before the first moment begins
        _, come = self._company[key] = count, asyncio.Event()
        for _ in range(_MOMENTS):
            here = len(self._waiting[key])
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_COMPANY_SECONDS):
                    await come.wait()
            if come.is_set() or len(self._waiting[key]) == here:
                break
        del self._company[key]

    def _welcome(self, key: K, count: int) -> None:
        wanted, come = self._company.get(key, (0, None))
        if come is not None and count >= wanted:
            come.set()

    async def _settle(self, key: K, batch: Sequence[tuple[Q, asyncio.Future[A]]]) -> Sequence[A | Exception]:
        questions = [question for question, _ in batch]
        outcomes: Sequence[A | Exception]
        try:
            outcomes = await self._lanes.run(Lane.QUICK, partial(self._answer, key, questions))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer of each of these calls
            outcomes = [error] * len(batch)
        _tell(batch, outcomes)
        return outcomes


def _tell[Q, A](batch: Sequence[tuple[Q, asyncio.Future[A]]], outcomes: Sequence[A | Exception]) -> None:
    for (_, future), outcome in zip(batch, outcomes, strict=True):
        if future.done():  # its caller has hung up
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
