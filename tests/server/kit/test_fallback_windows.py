"""Shared limits while the server behind them is killed, frozen and started again."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from engramia.server.kit.fallback_windows import FallbackRateLimiter
from engramia.server.kit.redis_windows import RedisRateLimiter
from engramia.server.kit.windows import Charge, MemoryRateLimiter
from tests.redis_server import RedisServer, redis_server
from tests.server.kit.edge_app import Clock

__all__ = ["redis_server"]

RETRY_SECONDS = 0.05
RECOVERY_SECONDS = 30.0
PATIENT, IMPATIENT = 30.0, 1.0
"""Deadlines, in seconds: one that a busy machine does not miss, and one that can be waited for."""


@asynccontextmanager
async def limiter(url: str, *, deadline: float = PATIENT) -> AsyncIterator[FallbackRateLimiter]:
    own = MemoryRateLimiter(Clock(), slots=1 << 10)
    made = FallbackRateLimiter(RedisRateLimiter(url, deadline=deadline), own, retry_seconds=RETRY_SECONDS)
    try:
        yield made
    finally:
        await made.close()


async def recovered(one: FallbackRateLimiter) -> None:
    ends = time.monotonic() + RECOVERY_SECONDS
    while not one.is_shared:
        assert time.monotonic() < ends, "It did not go back."
        await asyncio.sleep(0.01)


def warnings(log: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in log.records if each.name == "engramia.limits"]


def test_without_the_server_each_process_counts_and_one_line_says_so(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def asked() -> list[bool]:
        async with limiter(redis_server.url) as one:
            redis_server.kill()
            passed = [(await one.take([Charge(b"me", 3)])).allowed for _ in range(5)]
            assert await one.check() is None
            return passed

    with caplog.at_level(logging.WARNING):
        assert asyncio.run(asked()) == [True, True, True, False, False]
    (line,) = warnings(caplog)
    assert line == (
        "Rate limits hold for each process by itself until this is over: "
        "the server that counts requests failed (ConnectionError)"
    )


def test_a_failure_is_no_second_allowance(redis_server: RedisServer) -> None:
    async def asked() -> list[bool]:
        async with limiter(redis_server.url) as one:
            before = [(await one.take([Charge(b"me", 3)])).allowed for _ in range(2)]
            redis_server.kill()
            return before + [(await one.take([Charge(b"me", 3)])).allowed for _ in range(2)]

    assert asyncio.run(asked()) == [True, True, True, False]


def test_it_goes_back_by_itself(redis_server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    async def asked() -> None:
        async with limiter(redis_server.url) as one:
            for _ in range(3):
                redis_server.kill()
                assert (await one.take([Charge(b"me", 100)])).allowed
                assert not one.is_shared
                redis_server.start()
                await recovered(one)
                assert (await one.take([Charge(b"me", 100)])).allowed
                with redis_server.client() as client:
                    assert client.dbsize() == 2  # the probe's window and mine
            assert await one.check() is not None

    with caplog.at_level(logging.WARNING):
        asyncio.run(asked())
    assert len(warnings(caplog)) == 6


def test_a_server_that_was_never_there_may_come_later(redis_server: RedisServer) -> None:
    redis_server.kill()

    async def asked() -> None:
        async with limiter(redis_server.url) as one:
            assert (await one.take([Charge(b"me", 1)])).allowed
            redis_server.start()
            await recovered(one)

    asyncio.run(asked())


def test_a_frozen_server_is_waited_for_once(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def asked() -> None:
        async with limiter(redis_server.url, deadline=IMPATIENT) as one:
            await one.take([Charge(b"me", 1_000)])
            redis_server.freeze()
            begun = time.monotonic()
            first = await asyncio.gather(*(one.take([Charge(b"me", 1_000)]) for _ in range(50)))
            waited = time.monotonic() - begun
            begun = time.monotonic()
            later = [await one.take([Charge(b"me", 1_000)]) for _ in range(500)]
            rest = time.monotonic() - begun
            assert all(each.allowed for each in [*first, *later])
            assert waited < 3 * IMPATIENT
            assert rest < 3 * IMPATIENT  # of five hundred together
            redis_server.thaw()
            await recovered(one)

    with caplog.at_level(logging.WARNING):
        asyncio.run(asked())
    assert len(warnings(caplog)) == 2


def test_closing_while_it_is_down_leaves_nothing_behind(redis_server: RedisServer) -> None:
    redis_server.kill()

    async def asked() -> set[str]:
        async with limiter(redis_server.url) as one:
            await one.take([Charge(b"me", 1)])
            assert "engramia-limits" in _tasks()
        return _tasks()

    assert "engramia-limits" not in asyncio.run(asked())


def _tasks() -> set[str]:
    return {task.get_name() for task in asyncio.all_tasks()}
