"""Making a key once for an `Idempotency-Key`."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import psycopg
import pytest

from engramia.core.model import Scope
from engramia.errors import AuthorizationError, ConflictError, EngramiaError, IdempotencyKeyReusedError
from engramia.server.keys.model import KeyRequest, NewKey
from engramia.server.keys.schemas import CreateKeyRequest
from engramia.server.keys.service import KeyService
from engramia.server.kit.once import Attempt, attempt_at
from engramia.server.kit.permissions import Role
from engramia.testing import FrozenClock
from tests.server.keys.conftest import Serve, first_owner, holder

pytestmark = pytest.mark.slow  # a database server

WANTED = KeyRequest("builds", Role.EDITOR)


def attempt(key: str = "k1", name: str = "builds", caller: str | None = "key_1") -> Attempt:
    return attempt_at("create_key", caller, key, CreateKeyRequest(name=name, role="editor"))


def refused(act: Callable[[], object], kind: type[EngramiaError], code: str) -> EngramiaError:
    with pytest.raises(kind) as caught:
        act()
    assert caught.value.code == code
    return caught.value


def names(service: KeyService) -> list[str]:
    return [key.name for key in service.list(Scope("acme"), limit=99, offset=0)]


def test_a_key_is_made_once_and_its_secret_is_not_told_again(service: KeyService, postgres_url: str) -> None:
    by = first_owner(service)
    made = service.create(WANTED, by, attempt=attempt())
    again = refused(
        lambda: service.create(WANTED, by, attempt=attempt()), ConflictError, "key_already_created"
    )
    assert again.facts == {"id": made.key.id}
    assert made.secret not in str(again)
    assert names(service) == ["builds", "first"]
    with psycopg.connect(postgres_url) as connection:
        kept = connection.execute("SELECT i::text FROM idempotency_keys i").fetchall()
    assert len(kept) == 1
    assert made.secret not in str(kept)


def test_another_body_under_the_key_is_refused_and_another_callers_key_is_another(
    service: KeyService,
) -> None:
    by = first_owner(service)
    service.create(WANTED, by, attempt=attempt())
    other = attempt(name="other")
    refused(
        lambda: service.create(WANTED, by, attempt=other), IdempotencyKeyReusedError, "idempotency_key_reused"
    )
    service.create(WANTED, by, attempt=attempt(caller="key_2"))
    service.create(WANTED, by, attempt=attempt("k2"))
    assert names(service).count("builds") == 3


def test_what_was_refused_may_be_sent_again(service: KeyService) -> None:
    owner = first_owner(service)
    admin = KeyRequest("admin", Role.ADMIN)
    by = service.create(admin, owner)
    with pytest.raises(AuthorizationError):
        service.create(KeyRequest("builds", Role.ADMIN), holder(by), attempt=attempt())
    assert service.create(WANTED, holder(by), attempt=attempt()).key.name == "builds"


def test_after_a_day_the_request_is_a_new_one(service: KeyService, clock: FrozenClock) -> None:
    by = first_owner(service)
    first = service.create(WANTED, by, attempt=attempt())
    clock.advance(timedelta(hours=24))
    assert service.create(WANTED, by, attempt=attempt()).key.id != first.key.id


def test_ten_at_once_on_two_processes_make_one(serve: Serve) -> None:
    services = [serve(), serve()]
    by, together = first_owner(services[0]), Barrier(10)

    def create(number: int) -> NewKey | str | None:
        together.wait()
        try:
            return services[number % 2].create(WANTED, by, attempt=attempt())
        except ConflictError as error:
            return error.code

    with ThreadPoolExecutor(10) as threads:
        outcomes = list(threads.map(create, range(10)))
    assert outcomes.count("key_already_created") == 9
    assert names(services[0]).count("builds") == 1
