"""What is kept of keys, and until when it is believed."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from engramia.core.model import Scope
from engramia.server.identity.key_cache import HOLDERS_MAX, NOT_KEPT, UNKNOWN_MAX, KeyCache
from engramia.server.keys.model import Holder, Key
from engramia.server.kit.permissions import Role
from engramia.server.tenancy.model import Project

NOW = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass
class Monotonic:
    """A clock that stands still until told."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def held(tenant: str = "acme") -> Holder:
    key = Key("key_1", "x", "sk", Role.EDITOR, Scope(tenant), None, None, NOW)
    return Holder(key, Project())


def trusted() -> tuple[KeyCache, Monotonic]:
    clock = Monotonic()
    cache = KeyCache(clock)
    cache.trust(clock.now + 1)
    return cache, clock


def test_nothing_is_believed_before_the_database_was_heard_nor_after_it_fell_silent() -> None:
    clock = Monotonic()
    cache = KeyCache(clock)
    cache.keep_holder(b"a", held(), cache.generation)
    cache.keep_holder(b"b", None, cache.generation)
    cache.keep_project(Scope(), Project(), cache.generation)

    def kept() -> tuple[object, ...]:
        return cache.holder(b"a"), cache.holder(b"b"), cache.project(Scope())

    assert kept() == (NOT_KEPT, NOT_KEPT, NOT_KEPT)
    cache.trust(clock.now + 1)
    assert kept() == (held(), None, Project())
    clock.now += 1
    assert kept() == (NOT_KEPT, NOT_KEPT, NOT_KEPT)


def test_what_was_found_while_something_changed_is_not_kept() -> None:
    cache, _ = trusted()
    before = cache.generation
    cache.drop("another")
    cache.keep_holder(b"a", held(), before)
    cache.keep_project(Scope(), Project(), before)
    assert cache.holder(b"a") is NOT_KEPT
    assert cache.project(Scope()) is NOT_KEPT


def test_a_change_drops_what_is_of_its_tenant_alone() -> None:
    cache, _ = trusted()
    cache.keep_holder(b"a", held("acme"), cache.generation)
    cache.keep_holder(b"z", held("zeta"), cache.generation)
    cache.keep_project(Scope("acme"), Project(), cache.generation)
    cache.drop("acme")
    assert cache.holder(b"a") is NOT_KEPT
    assert cache.project(Scope("acme")) is NOT_KEPT
    assert cache.holder(b"z") == held("zeta")


def test_a_flood_of_unknown_keys_takes_a_bounded_room_and_drives_out_no_key() -> None:
    cache, _ = trusted()
    cache.keep_holder(b"known", held(), cache.generation)
    for number in range(UNKNOWN_MAX + 10):
        cache.keep_holder(f"u{number}".encode(), None, cache.generation)
    assert cache.holder(b"u0") is NOT_KEPT
    assert cache.holder(f"u{UNKNOWN_MAX}".encode()) is None
    assert cache.holder(b"known") == held()


def test_of_more_keys_than_there_is_room_for_those_least_asked_for_go() -> None:
    cache, _ = trusted()
    for number in range(HOLDERS_MAX):
        cache.keep_holder(f"{number}".encode(), held(), cache.generation)
    assert cache.holder(b"0") == held()
    cache.keep_holder(b"new", replace(held()), cache.generation)
    assert cache.holder(b"0") == held()
    assert cache.holder(b"1") is NOT_KEPT
