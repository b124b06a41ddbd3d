"""Where the work of a request is done: threads in bounded lanes, so that the slow never starves the quick.

The event loop only reads, dispatches and writes. Quick work on the store, calls that wait for a language
model and bulk work each have threads of their own; who finds a lane's line full is told so at once.
"""

import asyncio
import contextvars  # noqa: TID251 - a thread takes the log fields of its request along
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum

from engramia.errors import UnavailableError


class Lane(StrEnum):
    """A kind of work."""

    QUICK = "quick"
    """Milliseconds: the store, maybe one embedding."""
    MODEL = "model"
    """Seconds, nearly all of them waiting for a language model."""
    BULK = "bulk"
    """Seconds of work: thousands of records."""


THREADS = {Lane.QUICK: 32, Lane.MODEL: 64, Lane.BULK: 2}
QUICK_AT_HOME = 4
"""Threads of the quick lane where nothing is waited for but this machine's processor and disk: more of them
only take the interpreter from one another (measured: 4 learn half as much again as 32 do, at 8 clients)."""
WAITING = {Lane.QUICK: 1_024, Lane.MODEL: 64, Lane.BULK: 16}
"""How many may wait for a thread of each lane."""

_RETRY_AFTER = {Lane.QUICK: 1, Lane.MODEL: 5, Lane.BULK: 10}


class Lanes:
    """The threads of one server process. Used from its event loop; `close` from anywhere."""

    def __init__(self, quick: int = THREADS[Lane.QUICK]) -> None:
        """Make the lanes, the quick one with so many threads."""
        self._threads = THREADS | {Lane.QUICK: quick}
        self._pools = {lane: ThreadPoolExecutor(n, f"engramia-{lane}") for lane, n in self._threads.items()}
        self._inside = dict.fromkeys(Lane, 0)

    async def run[T](self, lane: Lane, work: Callable[[], T]) -> T:
        """Return what `work` returns, done in a thread; `UnavailableError` if too many wait for one."""
        if self._inside[lane] >= self._threads[lane] + WAITING[lane]:
            raise UnavailableError(
                "The server has more work of this kind than it can take; try again soon.",
                retry_after=_RETRY_AFTER[lane],
            )
        self._inside[lane] += 1
        carried = contextvars.copy_context().run
        future = asyncio.get_running_loop().run_in_executor(self._pools[lane], carried, work)
        # Counted until it ends: who hangs up leaves the thread at work.
        future.add_done_callback(lambda _: self._leave(lane))
        return await asyncio.shield(future)

    def close(self) -> None:
        """Let the threads go: what runs goes on to its end, what has not begun is dropped."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)

    def _leave(self, lane: Lane) -> None:
        self._inside[lane] -= 1
