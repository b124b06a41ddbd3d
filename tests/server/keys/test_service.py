"""What may be done to keys, and by whom."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import product
from threading import Barrier

import psycopg
import pytest
from psycopg import sql

from engramia.core.audit import AuditEntry
from engramia.core.model import Scope
from engramia.errors import (
    AuthenticationError,
    AuthorizationError,
    ConflictError,
    EngramiaError,
    NotFoundError,
    ValidationError,
)
from engramia.server.keys.model import KeyRequest, NewKey, Principal
from engramia.server.keys.service import KeyService
from engramia.server.kit.permissions import Role
from engramia.testing import FrozenClock
from tests.server.keys.conftest import Serve, a_key, first_owner, holder

pytestmark = pytest.mark.slow  # a database server

DAY = timedelta(days=1)
HIGHEST_MADE = {
    Role.OWNER: Role.OWNER,
    Role.ADMIN: Role.EDITOR,
    Role.EDITOR: Role.EDITOR,
    Role.READER: Role.READER,
}


def outcome(act: Callable[[], object]) -> type[EngramiaError] | None:
    try:
        act()
    except EngramiaError as error:
        return type(error)
    return None


def test_every_role_by_every_act_by_every_role(service: KeyService) -> None:
    first_owner(service)
    for mine, theirs in product(Role, Role):
        by = holder(a_key(service, mine))
        made = outcome(partial(service.create, KeyRequest("x", theirs), by))
        assert (made is None) == (theirs.rank <= HIGHEST_MADE[mine].rank), (mine, "create", theirs)
        for act in (service.rotate, service.revoke):
            key = a_key(service, theirs).key
            done = outcome(partial(act, key.id, by))
            assert done is (None if theirs.rank <= mine.rank else AuthorizationError), (mine, act, theirs)


def test_no_path_leads_from_admin_to_a_secret_of_an_owner(service: KeyService) -> None:
    owner, admin = first_owner(service), holder(a_key(service, Role.ADMIN))
    assert owner.key_id is not None
    for act in (
        lambda: service.create(KeyRequest("x", Role.OWNER), admin),
        lambda: service.create(KeyRequest("x", Role.ADMIN), admin),
        lambda: service.rotate(str(owner.key_id), admin),
        lambda: service.revoke(str(owner.key_id), admin),
    ):
        assert outcome(act) is AuthorizationError
    editor = service.create(KeyRequest("x", Role.EDITOR), admin)
    assert service.rotate(editor.key.id, admin).key.role is Role.EDITOR
    own = service.rotate(str(admin.key_id), admin)
    assert (own.key.role, own.key.id) == (Role.ADMIN, admin.key_id)


def test_of_fifty_bootstraps_at_once_one_makes_the_key(serve: Serve) -> None:
    services = [serve() for _ in range(5)]
    together = Barrier(50)

    def bootstrap(number: int) -> NewKey | None:
        together.wait()
        return services[number % 5].bootstrap()

    with ThreadPoolExecutor(50) as threads:
        made = [key for key in threads.map(bootstrap, range(50)) if key is not None]
    assert [(key.key.role, key.key.scope) for key in made] == [(Role.OWNER, Scope())]
    assert services[0].bootstrap() is None
    service = services[0]
    service.create(KeyRequest("other", Role.OWNER), holder(made[0]))
    service.revoke(made[0].key.id, holder(made[0]))
    assert service.bootstrap() is None


def test_a_key_made_otherwise_ends_the_time_of_the_first(service: KeyService) -> None:
    first_owner(service)
    assert service.bootstrap() is None


def test_the_last_owner_key_stays(service: KeyService, clock: FrozenClock) -> None:
    owner = first_owner(service)
    first = str(owner.key_id)
    with pytest.raises(ConflictError) as caught:
        service.revoke(first, owner)
    assert caught.value.code == "last_owner_key"
    first_owner(service, "zeta")  # another tenant's does not count
    passing = KeyRequest("until tomorrow", Role.OWNER, expires_at=clock.now() + DAY)
    other = service.create(passing, owner)
    clock.advance(DAY)
    assert outcome(lambda: service.revoke(first, owner)) is ConflictError  # nor one that has expired
    service.revoke(other.key.id, owner)  # which may go
    third = service.create(KeyRequest("third", Role.OWNER), owner)
    service.revoke(first, owner)
    assert outcome(lambda: service.revoke(third.key.id, holder(third))) is ConflictError


def test_two_owners_that_revoke_each_other_leave_one(serve: Serve) -> None:
    here, there = serve(), serve()
    for tenant in (f"duel{number}" for number in range(10)):
        one, two = a_key(here, Role.OWNER, tenant), a_key(here, Role.OWNER, tenant)
        together = Barrier(2)

        def shoot(service: KeyService, at: NewKey, by: NewKey, start: Barrier = together) -> object:
            start.wait()
            return outcome(lambda: service.revoke(at.key.id, holder(by)))

        with ThreadPoolExecutor(2) as threads:
            ends = [threads.submit(shoot, here, two, one), threads.submit(shoot, there, one, two)]
            outcomes = [end.result() for end in ends]
        assert outcomes.count(None) == 1, outcomes
        assert set(outcomes) <= {None, ConflictError, AuthenticationError}
        keys = here.list(Scope(tenant), limit=10, offset=0)
        assert sum(key.revoked_at is None for key in keys) == 1


def test_a_revoked_or_expired_holder_makes_nothing_more(service: KeyService, clock: FrozenClock) -> None:
    owner = first_owner(service)
    admin, brief = a_key(service, Role.ADMIN), KeyRequest("x", Role.ADMIN, expires_at=clock.now() + DAY)
    passing = service.create(brief, owner)
    service.revoke(admin.key.id, owner)
    clock.advance(DAY)
    for made in (admin, passing):
        by = holder(made)
        assert outcome(partial(service.create, KeyRequest("y"), by)) is AuthenticationError
        assert outcome(partial(service.rotate, made.key.id, by)) is AuthenticationError


def test_a_key_is_revoked_once_and_then_stays_so(service: KeyService, clock: FrozenClock) -> None:
    owner = first_owner(service)
    key = a_key(service, Role.EDITOR).key
    first = service.revoke(key.id, owner)
    clock.advance(DAY)
    assert service.revoke(key.id, owner) == first
    with pytest.raises(ConflictError) as caught:
        service.rotate(key.id, owner)
    assert caught.value.code == "key_revoked"
    passing = service.create(KeyRequest("x", expires_at=clock.now() + DAY), owner)
    clock.advance(DAY)
    with pytest.raises(ConflictError) as caught:
        service.rotate(passing.key.id, owner)
    assert caught.value.code == "key_expired"


def test_a_rotated_key_has_another_secret_and_is_the_same_key(service: KeyService) -> None:
    owner = first_owner(service)
    old = a_key(service, Role.READER)
    new = service.rotate(old.key.id, owner)
    assert new.secret != old.secret
    assert replace(new.key, rotated_at=None, key_prefix=old.key.key_prefix) == old.key
    assert service.holder(old.secret.encode()) is None
    found = service.holder(new.secret.encode())
    assert found is not None
    assert found.key == new.key


@pytest.mark.parametrize("id", ["key_" + "0" * 26, "", "key_", "\x00", "key_" + "0" * 25 + "\n", "x" * 300])
def test_another_tenant_s_key_is_as_one_that_is_not_there(service: KeyService, id: str) -> None:
    owner = first_owner(service)
    theirs = a_key(service, Role.READER, "zeta").key.id
    for act in (service.revoke, service.rotate):
        sentences = set()
        for each in (id, theirs):
            with pytest.raises(NotFoundError) as caught:
                act(each, owner)
            sentences.add(str(caught.value))
        assert len(sentences) == 1


def test_a_project_is_made_with_its_first_key_and_in_one_s_own_tenant(service: KeyService) -> None:
    owner = first_owner(service)
    assert service.project(Scope("acme", "billing")) is None
    key = service.create(KeyRequest("x", project_id="billing"), owner).key
    assert key.scope == Scope("acme", "billing")
    assert service.project(key.scope) is not None
    assert service.project(Scope("zeta", "billing")) is None
    assert [each.id for each in service.list(key.scope, limit=5, offset=0)] == [key.id]
    for bad in ("", "../x", "x" * 65):
        refused = partial(service.create, KeyRequest("x", project_id=bad), owner)
        assert outcome(refused) is ValidationError


def test_a_tenant_that_is_not_there_is_made_for_nobody_who_does_not_say_so(service: KeyService) -> None:
    operator = Principal(Scope("nowhere"), Role.OWNER)
    assert outcome(lambda: service.create(KeyRequest("x"), operator)) is NotFoundError


def test_what_is_done_is_told_and_kept(
    service: KeyService, told: list[AuditEntry], postgres_url: str
) -> None:
    first = service.bootstrap()
    assert first is not None
    owner = holder(first)
    made = service.create(
        KeyRequest("x", project_id="billing"), replace(owner, request_id="r1", ip="1.2.3.4")
    )
    service.rotate(made.key.id, owner)
    service.revoke(made.key.id, owner)
    outcome(lambda: service.revoke(first.key.id, owner))  # refused: nothing was done
    events = [
        "project.created",
        "key.bootstrapped",
        "project.created",
        "key.created",
        "key.rotated",
        "key.revoked",
    ]
    assert [entry.event for entry in told] == events
    assert (told[3].actor, told[3].request_id, told[3].ip) == (first.key.id, "r1", "1.2.3.4")
    assert told[3].facts == {"key_id": made.key.id, "role": "editor"}
    with psycopg.connect(postgres_url) as connection:
        kept = connection.execute("SELECT event FROM audit_log ORDER BY tenant_id, seq").fetchall()
    assert [event for (event,) in kept] == events


def dump(url: str) -> str:
    """Return all that all tables hold, as text."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        ).fetchall()
        texts = [
            str(
                connection.execute(
                    sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(name))
                ).fetchall()
            )
            for (name,) in tables
        ]
    return "\n".join(texts)


def test_a_secret_is_in_no_table_no_list_and_no_representation(
    service: KeyService, told: list[AuditEntry], postgres_url: str
) -> None:
    first = service.bootstrap()
    assert first is not None
    made = service.create(KeyRequest("x"), holder(first))
    rotated = service.rotate(made.key.id, holder(first))
    listed = list(service.list(Scope(), limit=10, offset=0))
    assert len(listed) == 2
    where = (dump(postgres_url), repr(listed), repr(told), repr(first), repr(made), repr(rotated))
    for secret in (first.secret, made.secret, rotated.secret):
        for text in where:
            assert secret not in text
            assert secret[16:46] not in text
            assert secret.encode().hex() not in text
    assert first.key.id in where[0]  # the dump is one
