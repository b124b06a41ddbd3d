"""Windows that several processes share, counted by a real server."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engramia.errors import UnavailableError
from engramia.server.kit.redis_windows import PREFIX, RedisRateLimiter
from engramia.server.kit.windows import Charge, MemoryRateLimiter, Verdict
from tests.redis_server import RedisServer, redis_server
from tests.server.kit.edge_app import Clock

__all__ = ["redis_server"]

KEY, ADDRESS = b"ksk_engramia_of_somebody", b"s\xc0\x00\x02\x07"
_TICK = 0.002
"""Seconds; the server counts whole milliseconds: in its last one a window is full with none left to wait."""
PATIENT, IMPATIENT = 30.0, 1.0
"""Deadlines, in seconds: one that a busy machine does not miss, and one that can be waited for."""


@asynccontextmanager
async def limiter(
    url: str, *, secret: bytes = b"", deadline: float = PATIENT
) -> AsyncIterator[RedisRateLimiter]:
    made = RedisRateLimiter(url, secret=secret, deadline=deadline)
    try:
        yield made
    finally:
        await made.close()


def verdicts(url: str, requests: Iterable[list[Charge]]) -> list[Verdict]:
    """Return what a limiter of its own says to each request, in turn."""

    async def taken() -> list[Verdict]:
        async with limiter(url) as one:
            return [await one.take(charges) for charges in requests]

    return asyncio.run(taken())


def test_exactly_the_limit_passes_and_then_the_wait_is_true(redis_server: RedisServer) -> None:
    charge = [Charge(ADDRESS, 3)]
    passed = verdicts(redis_server.url, [charge] * 3)
    assert [(each.allowed, each.limit, each.remaining) for each in passed] == [
        (True, 3, 2),
        (True, 3, 1),
        (True, 3, 0),
    ]
    assert passed[0].reset == 60.0
    with redis_server.client() as client:
        (key,) = client.keys()
        client.pexpire(key, 1_500)  # what is left of the minute
    refused, late = asyncio.run(_until_it_passes(redis_server.url, charge))
    assert (late.allowed, late.remaining, late.reset) == (True, 2, 60.0)
    assert all((each.allowed, each.remaining) == (False, 0) for each in refused)


async def _until_it_passes(url: str, charges: list[Charge]) -> tuple[list[Verdict], Verdict]:
    """Return all refusals and the first pass, once it is clear that the waits they named were true."""
    refused: list[Verdict] = []
    earliest, latest = 0.0, float("inf")
    async with limiter(url) as one:
        while True:
            asked = time.monotonic()
            said = await one.take(charges)
            told = time.monotonic()
            if said.allowed:
                assert refused, "It never refused."
                assert told >= earliest - _TICK
                return refused, said
            assert asked <= latest + _TICK
            assert 0 <= said.reset <= 1.5
            refused.append(said)
            earliest, latest = max(earliest, asked + said.reset), min(latest, told + said.reset)
            await asyncio.sleep(0.02)


def test_what_one_window_refuses_counts_in_none(redis_server: RedisServer) -> None:
    both, address = [Charge(ADDRESS, 5), Charge(KEY, 1)], [Charge(ADDRESS, 5)]
    said = verdicts(redis_server.url, [both, both, both, address])
    assert [each.allowed for each in said] == [True, False, False, True]
    assert [each.first_refusal for each in said] == [False, True, False, False]
    assert said[1].limit == 1
    assert said[3].remaining == 3  # its second request, not its fourth


def test_the_longer_of_two_waits_is_named(redis_server: RedisServer) -> None:
    full = [Charge(ADDRESS, 1), Charge(KEY, 1)]
    verdicts(redis_server.url, [full])
    with redis_server.client() as client:
        for key, left in zip(sorted(client.keys()), (10_000, 50_000), strict=True):
            client.pexpire(key, left)
    (refused,) = verdicts(redis_server.url, [full])
    assert 30 < refused.reset <= 50


def test_it_says_what_the_limiter_in_memory_says(redis_server: RedisServer) -> None:
    dice = random.Random(20_261_121)  # noqa: S311 - a test's dice
    buckets = [Charge(name, limit) for name, limit in ((b"a", 3), (b"b", 7), (b"c", 40), (b"d", 1))]
    requests = [dice.sample(buckets, dice.choice((1, 1, 2))) for _ in range(300)]
    own = MemoryRateLimiter(Clock(), slots=1 << 10)
    expected = [asyncio.run(own.take(charges)) for charges in requests]
    found = verdicts(redis_server.url, requests)
    # Two full windows end at the same moment for the clock that stands still: which one is named is open.
    told = [(one.allowed, one.remaining, one.first_refusal) for one in found if one.allowed]
    assert told == [(one.allowed, one.remaining, one.first_refusal) for one in expected if one.allowed]
    assert [one.allowed for one in found] == [one.allowed for one in expected]


def test_many_at_once_in_two_processes_get_exactly_the_limit(redis_server: RedisServer) -> None:
    async def taken() -> Counter[bool]:
        async with (
            limiter(redis_server.url) as one,
            limiter(redis_server.url) as other,
        ):
            asked = [each.take([Charge(ADDRESS, 70), Charge(KEY, 90)]) for each in (one, other) * 100]
            return Counter(verdict.allowed for verdict in await asyncio.gather(*asked))

    assert asyncio.run(taken()) == {True: 70, False: 130}


def test_the_server_holds_nothing_in_clear_and_nothing_for_ever(redis_server: RedisServer) -> None:
    verdicts(redis_server.url, [[Charge(ADDRESS, 5), Charge(KEY, 5)]])
    with redis_server.client() as client:
        keys = client.keys()
        assert len(keys) == 2
        assert all(key.startswith(PREFIX) and len(key) == len(PREFIX) + 32 for key in keys)
        assert not any("sk_engramia" in key or ADDRESS.hex() in key or KEY.hex() in key for key in keys)
        assert all(30_000 < client.pttl(key) <= 60_000 for key in keys)
        assert {client.get(key) for key in keys} == {"1"}


def test_names_depend_on_the_secret(redis_server: RedisServer) -> None:
    async def taken() -> None:
        for secret in (b"", b"one", b"other"):
            async with limiter(redis_server.url, secret=secret) as one:
                assert (await one.take([Charge(ADDRESS, 1)])).allowed

    asyncio.run(taken())
    with redis_server.client() as client:
        assert client.dbsize() == 3


def test_a_counter_that_somebody_made_everlasting_is_begun_anew(redis_server: RedisServer) -> None:
    verdicts(redis_server.url, [[Charge(ADDRESS, 1)]])
    with redis_server.client() as client:
        (key,) = client.keys()
        client.persist(key)
        (said,) = verdicts(redis_server.url, [[Charge(ADDRESS, 1)]])
        assert said.allowed
        assert client.pttl(key) > 0


def test_a_restarted_server_is_taught_the_script_again(redis_server: RedisServer) -> None:
    async def taken() -> None:
        async with limiter(redis_server.url) as one:
            assert (await one.take([Charge(ADDRESS, 2)])).remaining == 1
            with redis_server.client() as client:
                client.script_flush()
            assert (await one.take([Charge(ADDRESS, 2)])).remaining == 0

    asyncio.run(taken())


def test_valkeys_own_scheme_is_understood(redis_server: RedisServer) -> None:
    (said,) = verdicts(redis_server.url.replace("redis://", "valkey://"), [[Charge(ADDRESS, 1)]])
    assert said.allowed


def failure(
    url: str, broken: Callable[[], None] = lambda: None, *, deadline: float = PATIENT
) -> tuple[str, float]:
    """Return what a limiter says that cannot count, and after how many seconds it said so."""

    async def asked() -> tuple[str, float]:
        async with limiter(url, deadline=deadline) as one:
            broken()
            begun = time.monotonic()
            with pytest.raises(UnavailableError) as caught:
                await one.take([Charge(ADDRESS, 1)])
            return str(caught.value), time.monotonic() - begun

    return asyncio.run(asked())


def test_a_server_that_is_gone_is_told_without_its_address(redis_server: RedisServer) -> None:
    sentence, _ = failure(redis_server.url, redis_server.kill)
    assert sentence == "the server that counts requests failed (ConnectionError)"


def test_a_frozen_server_costs_no_more_than_the_deadline(redis_server: RedisServer) -> None:
    sentence, seconds = failure(redis_server.url, redis_server.freeze, deadline=IMPATIENT)
    assert sentence == "the server that counts requests failed (TimeoutError)"
    assert seconds < 5 * IMPATIENT


def test_waiting_for_a_connection_counts_against_the_deadline(redis_server: RedisServer) -> None:
    async def asked() -> list[Verdict | BaseException]:
        async with limiter(redis_server.url, deadline=IMPATIENT) as one:
            redis_server.freeze()
            begun = time.monotonic()
            many = [one.take([Charge(ADDRESS, 1)]) for _ in range(100)]
            answers = await asyncio.gather(*many, return_exceptions=True)
            assert time.monotonic() - begun < 5 * IMPATIENT  # 16 at once in turn would take seven
            redis_server.thaw()
            return answers

    assert {type(answer) for answer in asyncio.run(asked())} == {UnavailableError}


def test_a_connection_given_up_on_answers_nobody_else(redis_server: RedisServer) -> None:
    """What a frozen server answers late must not be taken for the answer to the next question."""

    async def asked() -> None:
        async with limiter(redis_server.url, deadline=IMPATIENT) as one:
            await one.take([Charge(b"first", 1_000)])
            redis_server.freeze()
            for _ in range(2):
                with pytest.raises(UnavailableError):
                    await one.take([Charge(b"first", 1_000)])
            redis_server.thaw()
            assert await _again(lambda: one.take([Charge(b"second", 50)])) == (True, 50, 49)

    asyncio.run(asked())


async def _again(take: Callable[[], Awaitable[Verdict]]) -> tuple[bool, int, int]:
    ends = time.monotonic() + 10
    while True:
        try:
            verdict = await take()
        except UnavailableError:
            assert time.monotonic() < ends
        else:
            return verdict.allowed, verdict.limit, verdict.remaining


def test_a_password_is_used_and_a_wrong_one_is_a_failure(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--requirepass", "hunter2") as server:
        (said,) = verdicts(f"redis://:hunter2@127.0.0.1:{server.port}", [[Charge(ADDRESS, 1)]])
        assert said.allowed
        sentence, _ = failure(f"redis://:swordfish@127.0.0.1:{server.port}")
    assert sentence == "the server that counts requests failed (AuthenticationError)"


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        "http://user:hunter2@localhost",
        "redis://:hunter2@localhost:port",
        "redis://:hunter2@localhost?nonsense=1",
        "redis://:hunter2@localhost?socket_timeout=soon",
        "",
        "redis://[::1",
    ],
)
def test_what_is_no_address_is_a_sentence_that_does_not_repeat_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"ENGRAMIA_REDIS_URL must read redis://") as caught:
        RedisRateLimiter(url, deadline=PATIENT)
    assert "hunter2" not in str(caught.value)
