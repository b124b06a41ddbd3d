"""When a provider is asked for its keys, and what happens while it does not answer."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from engramia.errors import InvalidTokenError, UnavailableError
from engramia.server.identity.oidc_keyring import (
    FIRST_RETRY_SECONDS,
    REFETCH_SECONDS,
    REFRESH_SECONDS,
    TRUST_SECONDS,
    KeyRing,
)
from engramia.server.identity.oidc_keys import KeySet, PublicKey
from engramia.server.identity.oidc_provider import ProviderFault
from tests.server.kit.edge_app import Clock

OLD, NEW = PublicKey("old", ("ES256",), None), PublicKey("new", ("ES256",), None)


class Source:
    """Publishes what it is told to, at once or when it is let."""

    def __init__(self, *keys: PublicKey) -> None:
        self.published = KeySet(keys)
        self.down = False
        self.asked = 0
        self.open = asyncio.Event()
        self.open.set()

    async def keys(self) -> KeySet:
        self.asked += 1
        await self.open.wait()
        if self.down:
            raise ProviderFault("It is down.")
        return self.published


class Bench:
    """A ring over a source, at a time that stands still."""

    def __init__(self, *keys: PublicKey) -> None:
        self.source, self.clock = Source(*keys), Clock()
        self.ring = KeyRing(self.source, clock=self.clock)

    async def find(self, kid: str = "old") -> str:
        """Return the key's name, or the name of the error."""
        try:
            return (await self.ring.key(kid, "ES256")).kid or ""
        except (InvalidTokenError, UnavailableError) as error:
            return type(error).__name__

    async def settle(self) -> None:
        """Let what goes on in the background come to its end."""
        for _ in range(10):
            await asyncio.sleep(0)


def at_work(story: Callable[[Bench], Awaitable[None]]) -> None:
    async def run() -> None:
        await asyncio.wait_for(story(Bench(OLD)), 10)

    asyncio.run(run())


def test_known_keys_are_fetched_once() -> None:
    async def story(bench: Bench) -> None:
        assert [await bench.find() for _ in range(50)] == ["old"] * 50
        assert bench.source.asked == 1

    at_work(story)


def test_a_new_key_is_found_and_strange_names_ask_only_every_ten_seconds() -> None:
    async def story(bench: Bench) -> None:
        assert await bench.find() == "old"
        bench.source.published = KeySet((OLD, NEW))
        bench.clock.now += REFETCH_SECONDS
        assert await bench.find("new") == "new"
        strangers = [bench.find(f"stranger-{number}") for number in range(1_000)]
        assert set(await asyncio.gather(*strangers)) == {"InvalidTokenError"}
        assert bench.source.asked == 2
        bench.clock.now += REFETCH_SECONDS - 0.1
        assert await bench.find("stranger") == "InvalidTokenError"
        assert bench.source.asked == 2
        bench.clock.now += 0.1
        assert set(await asyncio.gather(*(bench.find(f"x-{number}") for number in range(1_000)))) == {
            "InvalidTokenError"
        }
        assert bench.source.asked == 3

    at_work(story)


def test_keys_are_kept_while_the_provider_is_down() -> None:
    async def story(bench: Bench) -> None:
        await bench.find()
        bench.source.down = True
        for _ in range(100):
            bench.clock.now += TRUST_SECONDS
            assert await bench.find() == "old"
            await bench.settle()

    at_work(story)


def test_a_strange_name_while_the_provider_is_down_is_nobodys_fault() -> None:
    async def story(bench: Bench) -> None:
        await bench.find()
        bench.source.down = True
        bench.clock.now += REFETCH_SECONDS
        assert await bench.find("new") == "UnavailableError"
        bench.source.down, bench.source.published = False, KeySet((NEW,))
        bench.clock.now += REFETCH_SECONDS
        assert await bench.find("new") == "new"

    at_work(story)


def test_a_first_start_without_the_provider_recovers_by_itself() -> None:
    async def story(bench: Bench) -> None:
        bench.source.down = True
        assert set(await asyncio.gather(*(bench.find() for _ in range(100)))) == {"UnavailableError"}
        with pytest.raises(UnavailableError) as caught:
            await bench.ring.key("old", "ES256")
        assert caught.value.retry_after == FIRST_RETRY_SECONDS
        assert bench.source.asked == 1
        bench.source.down = False
        bench.clock.now += FIRST_RETRY_SECONDS
        assert await bench.find() == "old"

    at_work(story)


def test_keys_are_renewed_behind_the_requests() -> None:
    async def story(bench: Bench) -> None:
        await bench.find()
        bench.source.published = KeySet((NEW,))
        bench.clock.now += REFRESH_SECONDS + 1
        bench.source.open.clear()
        assert await bench.find() == "old"  # without waiting
        bench.source.open.set()
        await bench.settle()
        assert await bench.find() == "InvalidTokenError"

    at_work(story)


def test_a_withdrawn_key_opens_nothing_after_a_long_silence() -> None:
    async def story(bench: Bench) -> None:
        await bench.find()
        bench.source.published = KeySet((NEW,))
        bench.clock.now += TRUST_SECONDS + 1
        assert await bench.find() == "InvalidTokenError"

    at_work(story)


def test_a_provider_that_hangs_holds_up_one_request_and_not_those_after_it() -> None:
    async def story(bench: Bench) -> None:
        await bench.find()
        bench.source.open.clear()
        bench.clock.now += TRUST_SECONDS + 1
        held = asyncio.create_task(bench.find())
        await bench.settle()
        assert not held.done()
        assert await bench.find() == "old"
        bench.source.down = True
        bench.source.open.set()
        assert await held == "old"
        for _ in range(3):
            bench.clock.now += REFETCH_SECONDS
            bench.source.open.clear()
            assert await bench.find() == "old"
            bench.source.open.set()
            await bench.settle()

    at_work(story)


def test_who_hangs_up_leaves_the_fetch_to_the_others() -> None:
    async def story(bench: Bench) -> None:
        bench.source.open.clear()
        first, second = (asyncio.create_task(bench.find()) for _ in range(2))
        await bench.settle()
        first.cancel()
        await bench.settle()
        bench.source.open.set()
        assert await second == "old"
        assert bench.source.asked == 1

    at_work(story)


def test_a_provider_without_a_fit_key_lets_nobody_in() -> None:
    async def story(bench: Bench) -> None:
        bench.source.published = KeySet()
        assert await bench.find() == "InvalidTokenError"

    at_work(story)
