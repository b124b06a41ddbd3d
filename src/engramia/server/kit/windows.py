"""Counts requests of very many callers in a fixed piece of memory."""

import mmap
from collections.abc import Callable, Sequence
from hashlib import blake2b
from math import inf
from secrets import token_bytes
from typing import NamedTuple, Protocol

WINDOW_SECONDS = 60.0
SLOTS = 1 << 21
"""Windows at once. A slot has 20 bytes, so that all of them take 42 MB: memory is touched as callers come."""
PROBES = 32
_WORD, _COUNT = 8, 4


class Charge(NamedTuple):
    """One request counted in the window of `bucket`, which lets `limit` of them pass."""

    bucket: bytes
    limit: int


class Verdict(NamedTuple):
    """Whether a request passes, and how its tightest window stands."""

    allowed: bool
    limit: int
    remaining: int
    reset: float
    """Seconds until the window ends; where refused, until the next request would pass."""
    first_refusal: bool = False
    """Whether nobody was refused in this window before."""


class RateLimiter(Protocol):
    """Counts requests in windows of `WINDOW_SECONDS` that begin with a caller's first request."""

    async def take(self, charges: Sequence[Charge]) -> Verdict:
        """Count one request in the window of each charge, or in none if one of them is full.

        Never lets more than `limit` pass in a window, however many ask at once.
        """
        ...

    async def close(self) -> None:
        """Let go of what is held; called once, at the service's end."""
        ...


class MemoryRateLimiter:
    """Keeps the windows of one process.

    An open-addressed table: a window lives in one of the `PROBES` slots that its bucket's hash points at;
    slots whose window is over are free; where none is, the oldest window gives way. Made for the event
    loop: `take` never gives control away in between, and must not be called from other threads.
    """

    def __init__(self, clock: Callable[[], float], slots: int = SLOTS) -> None:
        """Take a monotonic clock in seconds and the number of slots, a power of two."""
        self._clock = clock
        self._mask = slots - 1
        self._secret = token_bytes(16)  # so that nobody can look for callers that share a slot
        # Anonymous memory: pages that no caller ever fell into cost nothing.
        self._hashes = memoryview(mmap.mmap(-1, slots * _WORD)).cast("Q")
        self._starts = memoryview(mmap.mmap(-1, slots * _WORD)).cast("d")
        self._counts = memoryview(mmap.mmap(-1, slots * _COUNT)).cast("I")

    async def take(self, charges: Sequence[Charge]) -> Verdict:
        """Count one request in the window of each charge, or in none if one of them is full."""
        now = self._clock()
        held = [(self._claim(bucket, now), limit) for bucket, limit in charges]
        full = [(slot, limit) for slot, limit in held if self._counts[slot] >= limit]
        return self._refused(full, now) if full else self._counted(held, now)

    async def close(self) -> None:
        """Hold nothing that has to be let go of."""

    def _counted(self, held: Sequence[tuple[int, int]], now: float) -> Verdict:
        tightest, least = held[0], inf
        for slot, limit in held:
            self._counts[slot] += 1
            if limit - self._counts[slot] < least:
                tightest, least = (slot, limit), limit - self._counts[slot]
        return Verdict(True, tightest[1], int(least), self._left(tightest[0], now))

    def _refused(self, full: Sequence[tuple[int, int]], now: float) -> Verdict:
        slot, limit = max(full, key=lambda each: self._starts[each[0]])
        first = self._counts[slot] == limit
        self._counts[slot] = limit + 1
        return Verdict(False, limit, 0, self._left(slot, now), first)

    def _left(self, slot: int, now: float) -> float:
        return WINDOW_SECONDS - (now - self._starts[slot])

    def _claim(self, bucket: bytes, now: float) -> int:
        """Return the slot of the bucket's window, opened with this request if there is none."""
        digest = blake2b(bucket, digest_size=_WORD, key=self._secret).digest()
        hashed = int.from_bytes(digest) or 1  # 0 marks a slot that was never used
        slot, found = self._find(hashed, now)
        if not found:
            self._hashes[slot], self._starts[slot], self._counts[slot] = hashed, now, 0
        return slot

    def _find(self, hashed: int, now: float) -> tuple[int, bool]:
        """Return the slot of a live window, or else the one to take: free, or the oldest."""
        over = now - WINDOW_SECONDS
        free, oldest, begun = -1, -1, inf
        for step in range(PROBES):
            slot = (hashed + step) & self._mask
            held, start = self._hashes[slot], self._starts[slot]
            if held == hashed:
                return slot, start > over
            if held == 0:
                return (slot if free < 0 else free), False
            if start <= over:
                free = slot if free < 0 else free
            elif start < begun:
                oldest, begun = slot, start
        return (oldest if free < 0 else free), False
