"""Counts requests together with other processes while that works, and in this process while it does not."""

import asyncio
import logging
import time
from collections.abc import Sequence

from engramia.errors import UnavailableError
from engramia.server.kit.windows import Charge, RateLimiter, Verdict

RETRY_SECONDS = 1.0

PROBE = (Charge(b"probe", (1 << 31) - 1),)
"""What is counted to see whether counting works."""

_log = logging.getLogger("engramia.limits")


class FallbackRateLimiter:
    """Asks `shared`, and `own` from its first failure until it works again.

    While it fails no request waits for it: a task of its own tries it once in a while. What passes is
    counted in `own` as well, so that nobody gets a second allowance out of a failure. Belongs to one event
    loop.
    """

    def __init__(
        self, shared: RateLimiter, own: RateLimiter, *, retry_seconds: float = RETRY_SECONDS
    ) -> None:
        """Fall back to `own` whenever `shared` raises `UnavailableError`."""
        self._shared = shared
        self._own = own
        self._retry_seconds = retry_seconds
        self._recovery: asyncio.Task[None] | None = None

    @property
    def is_shared(self) -> bool:
        """Whether requests are counted together with those of other processes, as far as is known."""
        return self._recovery is None or self._recovery.done()

    async def take(self, charges: Sequence[Charge]) -> Verdict:
        """Count one request in the window of each charge, or in none if one of them is full."""
        verdict = await self._take_shared(charges)
        if verdict is None:
            return await self._own.take(charges)
        if verdict.allowed:
            await self._own.take(charges)
        return verdict

    async def check(self) -> float | None:
        """Return the seconds that the shared limiter takes to answer; None while it is not used."""
        begun = time.perf_counter()
        verdict = await self._take_shared(PROBE)
        return None if verdict is None else time.perf_counter() - begun

    async def close(self) -> None:
        """Stop trying, and close both."""
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.gather(self._recovery, return_exceptions=True)
        await self._shared.close()
        await self._own.close()

    async def _take_shared(self, charges: Sequence[Charge]) -> Verdict | None:
        if not self.is_shared:
            return None
        try:
            return await self._shared.take(charges)
        except UnavailableError as error:
            self._fall_back(error)
            return None

    def _fall_back(self, error: UnavailableError) -> None:
        if self.is_shared:  # several requests may have waited for the same failure
            _log.warning("Rate limits hold for each process by itself until this is over: %s", error)
            self._recovery = asyncio.create_task(self._recover(), name="engramia-limits")

    async def _recover(self) -> None:
        while True:
            await asyncio.sleep(self._retry_seconds)
            try:
                await self._shared.take(PROBE)
            except UnavailableError:
                continue
            _log.warning("Rate limits hold for all processes together again")
            return
