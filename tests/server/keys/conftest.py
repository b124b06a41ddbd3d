"""Keys in a real database, with a clock of the test's."""

from collections.abc import Callable, Iterator

import pytest

from engramia.core.audit import AuditEntry
from engramia.core.audit_chain import Seal
from engramia.core.model import Scope
from engramia.db.audit import AuditLedger
from engramia.db.session import Database, Limits
from engramia.server.keys.model import KeyRequest, NewKey, Principal
from engramia.server.keys.service import KeyService
from engramia.server.kit.permissions import Role
from engramia.testing import FrozenClock

type Serve = Callable[..., KeyService]


@pytest.fixture
def told() -> list[AuditEntry]:
    """What the services have told the log."""
    return []


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def serve(postgres_url: str, clock: FrozenClock, told: list[AuditEntry]) -> Iterator[Serve]:
    """Make services, each over a pool of its own as in a process of its own."""
    databases = list[Database]()

    def make(secret_key: str | None = "s" * 32) -> KeyService:
        databases.append(Database(postgres_url, Limits()))
        ledger = AuditLedger(Seal.of(secret_key))
        return KeyService(
            databases[-1],
            clock,
            secret_key=secret_key,
            ledger=ledger,
            tell=lambda entry, _stamp: told.append(entry),
        )

    yield make
    for database in databases:
        database.dispose()


@pytest.fixture
def service(serve: Serve) -> KeyService:
    return serve()


def holder(made: NewKey) -> Principal:
    """Return the principal that shows a key."""
    return Principal(made.key.scope, made.key.role, made.key.id)


def first_owner(service: KeyService, tenant: str = "acme") -> Principal:
    """Make an owner of a tenant, as the operator does."""
    operator = Principal(Scope(tenant), Role.OWNER)
    return holder(service.create(KeyRequest("first", Role.OWNER), operator, new_tenant=True))


def a_key(service: KeyService, role: Role, tenant: str = "acme") -> NewKey:
    """Make a key of a role, as the operator does."""
    operator = Principal(Scope(tenant), Role.OWNER)
    return service.create(KeyRequest(f"a {role}", role), operator, new_tenant=True)
