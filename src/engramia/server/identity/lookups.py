"""Asks the database who is calling: in threads of their own, few, with a bound on the line before them."""

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from engramia.errors import UnavailableError

THREADS = 4
"""Fewer than the pool has connections, so that a flood of made-up keys leaves enough for who is known."""
WAITING_MAX = 256
WAITING_PER_PEER_MAX = 128
"""A single client's flood leaves room in the line for others."""
DEADLINE_SECONDS = 4.0

_DOWN = "The database cannot be asked for the key just now; try again shortly."


class Lookups:
    """The threads of one process. Used from its event loop; `close` from anywhere."""

    def __init__(self, deadline: float = DEADLINE_SECONDS) -> None:
        self._deadline = deadline
        self._pool = ThreadPoolExecutor(THREADS, "engramia-auth")
        self._inside = Counter[bytes]()

    async def ask[T](self, peer: bytes, look: Callable[[], T]) -> T:
        """Return what `look` finds for a request of `peer`.

        Raises what it raises, and `UnavailableError` if too many wait already or no answer comes in time.
        """
        if self._inside[peer] >= WAITING_PER_PEER_MAX or self._inside.total() >= WAITING_MAX:
            raise UnavailableError("Too many keys are being looked up; try again soon.", retry_after=1)
        self._inside[peer] += 1
        try:
            async with asyncio.timeout(self._deadline):
                return await asyncio.get_running_loop().run_in_executor(self._pool, look)
        except TimeoutError as error:
            raise UnavailableError(_DOWN, retry_after=2) from error
        finally:
            self._inside[peer] -= 1
            if not self._inside[peer]:
                del self._inside[peer]

    def close(self) -> None:
        """Let the threads go: what runs goes on to its end, what has not begun is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)
