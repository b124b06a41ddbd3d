"""Keys in the database as a request shows them."""

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import event
from starlette.datastructures import Headers

from engramia.core.model import Scope
from engramia.db.private_server import PrivateServer
from engramia.errors import (
    AuthenticationError,
    AuthorizationError,
    NotFoundError,
    StorageUnavailableError,
    UnavailableError,
)
from engramia.server.identity.db import DbAuthenticator
from engramia.server.identity.lookups import WAITING_PER_PEER_MAX, Lookups
from engramia.server.keys.model import KeyRequest, NewKey, Principal
from engramia.server.keys.secret import new_secret
from engramia.server.keys.service import KeyService
from engramia.server.kit.caller import Caller
from engramia.server.kit.peer import Peer
from engramia.server.kit.permissions import Role
from engramia.testing import FrozenClock
from tests.server.keys.conftest import Serve, clock, first_owner, serve, service, told

__all__ = ["clock", "serve", "service", "told"]  # fixtures

pytestmark = pytest.mark.slow  # a database server

PEER = Peer(ip_address("127.0.0.1"))
_LISTENERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE query LIKE '%service_counters%' AND pid <> pg_backend_pid()"
)


class Door:
    """An authenticator with an event loop of its own in a thread, as a server has it."""

    def __init__(self, service: KeyService) -> None:
        self.authenticator = DbAuthenticator(service)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.statements = 0
        event.listen(service.database.engine, "checkout", self._count)

    def _count(self, *_: object) -> None:
        self.statements += 1

    def run[T](self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def knock(self, secret: str, **headers: str) -> Caller:
        raw = {"authorization": f"Bearer {secret}"} | {k.replace("_", "-"): v for k, v in headers.items()}
        return self.run(self.authenticator.authenticate(Headers(raw), PEER))

    def refuses(self, secret: str) -> bool:
        try:
            self.knock(secret)
        except AuthenticationError:
            return True
        return False

    def seconds_until(self, done: Callable[[], bool], within: float = 5.0) -> float:
        begin = time.monotonic()
        while not done():
            assert time.monotonic() - begin < within, "It did not happen."
            time.sleep(0.005)
        return time.monotonic() - begin

    def warm(self, secret: str) -> None:
        """Wait until the key is answered for without a look at the database."""

        def without_a_look() -> bool:
            before = self.statements
            self.knock(secret)
            return self.statements == before

        self.seconds_until(without_a_look)

    def close(self) -> None:
        self.run(self.authenticator.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextlib.contextmanager
def opened(service: KeyService) -> Iterator[Door]:
    door = Door(service)
    try:
        yield door
    finally:
        door.close()


@pytest.fixture
def door(service: KeyService) -> Iterator[Door]:
    with opened(service) as made:
        yield made


def make(service: KeyService, role: Role = Role.EDITOR, **fields: Any) -> NewKey:
    operator = Principal(Scope("acme"), Role.OWNER)
    return service.create(KeyRequest("x", role, **fields), operator, new_tenant=True)


def test_a_holder_is_known_with_role_scope_and_limit(service: KeyService, door: Door) -> None:
    key = make(service, Role.READER, project_id="billing", max_patterns=7)
    for _ in range(2):
        caller = door.knock(key.secret)
        assert caller == Caller(Scope("acme", "billing"), Role.READER, key.key.id, 7)


def test_a_wrong_checksum_is_refused_without_a_look_at_the_database(service: KeyService, door: Door) -> None:
    key = make(service)
    door.warm(key.secret)
    before = door.statements
    for wrong in (key.secret[:-1] + ("A" if key.secret[-1] != "A" else "B"), "nonsense", key.secret + "x"):
        assert door.refuses(wrong)
    assert door.statements == before
    assert door.refuses(new_secret())
    assert door.statements > before


def test_an_unknown_key_that_is_sent_again_and_again_asks_the_database_seldom(
    service: KeyService, door: Door
) -> None:
    door.warm(make(service).secret)
    unknown = new_secret()
    assert door.refuses(unknown)
    before = door.statements
    assert all(door.refuses(unknown) for _ in range(50))
    assert door.statements - before < 10


def test_expiry_holds_for_what_is_kept_too(service: KeyService, door: Door, clock: FrozenClock) -> None:
    key = make(service, expires_at=clock.now() + timedelta(hours=1))
    door.warm(key.secret)
    clock.advance(timedelta(minutes=59, seconds=59))
    door.knock(key.secret)
    clock.advance(timedelta(seconds=1))
    before = door.statements
    with pytest.raises(AuthenticationError, match="expired"):
        door.knock(key.secret)
    assert door.statements == before


@pytest.mark.parametrize("act", ["revoke", "rotate"])
def test_what_another_process_does_holds_here_within_a_second(serve: Serve, act: str) -> None:
    here, there = serve(), serve()
    owner = first_owner(here)
    key = make(here)
    with opened(here) as door:
        door.warm(key.secret)
        getattr(there, act)(key.key.id, owner)
        assert door.seconds_until(lambda: door.refuses(key.secret)) < 1.0


@pytest.mark.parametrize("act", ["revoke", "rotate"])
def test_what_this_process_does_holds_here_at_once(
    service: KeyService, door: Door, postgres_url: str, act: str
) -> None:
    owner, key = first_owner(service), make(service)
    door.warm(key.secret)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        (listener,) = connection.execute(_LISTENERS.replace("pg_terminate_backend(pid)", "pid")).fetchall()
        signal_to(listener[0], signal.SIGSTOP)  # so that nothing is heard of it from the database
        try:
            getattr(service, act)(key.key.id, owner)
            assert door.refuses(key.secret)
        finally:
            signal_to(listener[0], signal.SIGCONT)


def test_a_notification_that_is_lost_costs_less_than_a_second(
    serve: Serve, postgres_url: str, clock: FrozenClock
) -> None:
    here = serve()
    key = make(here)
    with opened(here) as door:
        door.warm(key.secret)
        with psycopg.connect(postgres_url) as connection:  # what a revocation does, but for telling anybody
            connection.execute("UPDATE api_keys SET revoked_at = %s WHERE id = %s", [clock.now(), key.key.id])
            counted = "INSERT INTO service_counters VALUES ('key_changes', 1) ON CONFLICT (name) "
            connection.execute(counted + "DO UPDATE SET value = service_counters.value + 1")
        assert door.seconds_until(lambda: door.refuses(key.secret)) < 1.0


def test_while_the_listener_is_killed_again_and_again_a_revoked_key_is_dead(
    serve: Serve, postgres_url: str
) -> None:
    here, there = serve(), serve()
    owner = first_owner(here)
    with opened(here) as door, psycopg.connect(postgres_url, autocommit=True) as connection:
        for _ in range(3):
            key = make(here)
            door.warm(key.secret)
            assert connection.execute(_LISTENERS).fetchall()
            there.revoke(key.key.id, owner)
            assert door.seconds_until(lambda secret=key.secret: door.refuses(secret)) < 1.0  # type: ignore[misc]  # mypy cannot infer a lambda with defaults
        door.warm(make(here).secret)  # and it listens again


def test_a_key_of_a_changed_tenant_alone_is_looked_up_again(serve: Serve) -> None:
    here, there = serve(), serve()
    owner, stranger = first_owner(here), first_owner(here, "zeta")
    mine = make(here)
    theirs = here.create(KeyRequest("x"), stranger)
    with opened(here) as door:
        door.warm(mine.secret)
        door.warm(theirs.secret)
        there.revoke(mine.key.id, owner)
        door.seconds_until(lambda: door.refuses(mine.secret))
        before = door.statements
        door.knock(theirs.secret)
        assert door.statements == before


def test_a_project_may_be_named_by_admin_and_owner_if_it_is_there(service: KeyService, door: Door) -> None:
    make(service, project_id="billing")
    admin, editor = make(service, Role.ADMIN, max_patterns=5), make(service)
    caller = door.knock(admin.secret, x_project_id="billing")
    assert (caller.scope, caller.max_patterns) == (Scope("acme", "billing"), 5)
    with pytest.raises(NotFoundError, match="project"):
        door.knock(admin.secret, x_project_id="nowhere")
    for named in ("billing", "nowhere"):
        with pytest.raises(AuthorizationError):
            door.knock(editor.secret, x_project_id=named)
    make(service, project_id="nowhere")
    assert door.knock(admin.secret, x_project_id="nowhere").scope.project_id == "nowhere"


def test_without_a_limit_of_its_own_a_key_has_that_of_the_project_worked_in(
    service: KeyService, door: Door, postgres_url: str
) -> None:
    owner = make(service, Role.OWNER)
    make(service, project_id="small")
    with psycopg.connect(postgres_url) as connection:
        connection.execute("UPDATE projects SET max_patterns = 3 WHERE project_id = 'small'")
    assert door.knock(owner.secret).max_patterns is None
    assert door.knock(owner.secret, x_project_id="small").max_patterns == 3
    assert service.limit_of(Scope("acme", "small"), owner.key.id) == 3
    assert service.limit_of(Scope("acme"), owner.key.id) is None


def test_when_a_key_was_last_used_is_noted_once_a_minute(serve: Serve, clock: FrozenClock) -> None:
    here = serve()
    key = make(here)

    def noted() -> Any:
        return here.list(key.key.scope, limit=1, offset=0).items[0].last_used_at

    first = clock.now()
    with opened(here) as door:
        door.knock(key.secret)
    assert noted() == first
    clock.advance(timedelta(seconds=59))
    with opened(serve()) as door:
        door.knock(key.secret)
    assert noted() == first
    clock.advance(timedelta(seconds=2))
    with opened(serve()) as door:
        door.knock(key.secret)
    assert noted() == clock.now()


def test_a_frozen_database_is_no_refusal_and_is_told_within_five_seconds(
    service: KeyService, door: Door, postgres_server: PrivateServer
) -> None:
    key = make(service)
    door.warm(key.secret)
    with frozen(postgres_server):
        # What is kept is believed a little longer.
        assert door.seconds_until(lambda: not reachable(door, key.secret), within=7) < 1.0 + 5.0
    door.seconds_until(lambda: reachable(door, key.secret), within=10)


def reachable(door: Door, secret: str) -> bool:
    try:
        door.knock(secret)
    except (UnavailableError, StorageUnavailableError):
        return False
    return True


@contextlib.contextmanager
def frozen(server: PrivateServer) -> Iterator[None]:
    """Stop all processes of the database server for the length of the block."""
    assert server.pid is not None
    everyone = [server.pid, *children(server.pid)]
    for pid in everyone:
        signal_to(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in everyone:
            signal_to(pid, signal.SIGCONT)


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def signal_to(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def test_a_client_s_flood_leaves_room_for_others() -> None:
    """More lookups of one client than may wait are refused at once, and another client's goes on."""

    async def flood() -> tuple[int, str]:
        lookups, gate = Lookups(), threading.Event()

        def slow() -> str:
            gate.wait(10)
            return "found"

        waiting = [asyncio.ensure_future(lookups.ask(b"one", slow)) for _ in range(WAITING_PER_PEER_MAX + 20)]
        await asyncio.sleep(0)
        other = asyncio.ensure_future(lookups.ask(b"two", slow))
        await asyncio.sleep(0)
        gate.set()
        done = await asyncio.gather(*waiting, return_exceptions=True)
        found = await other
        lookups.close()
        return sum(isinstance(each, UnavailableError) for each in done), found

    assert asyncio.run(flood()) == (20, "found")


def test_a_lookup_that_takes_too_long_is_given_up() -> None:
    async def wait() -> None:
        lookups, gate = Lookups(deadline=0.05), threading.Event()
        try:
            await lookups.ask(b"one", gate.wait)
        finally:
            gate.set()
            lookups.close()

    with pytest.raises(UnavailableError) as caught:
        asyncio.run(wait())
    assert caught.value.retry_after
