"""Keyed requests in the database: the expired go, a part at a time; in a transaction of another's."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from engramia.core.idempotency import Answer, KeyedRequest
from engramia.core.model import Scope
from engramia.providers.postgres.idempotency_store import store_over
from engramia.providers.postgres.storage import PostgresStorage
from tests.contract.samples import NOW

pytestmark = pytest.mark.slow  # a database server

SCOPE, NEIGHBOUR = Scope("acme", "a"), Scope("acme", "b")
MINE = KeyedRequest("f" * 32, "f", "t", NOW + timedelta(days=1), Answer(200, "{}"))


@pytest.fixture
def storage(postgres_url: str) -> Iterator[PostgresStorage]:
    opened = PostgresStorage(database_url=postgres_url)
    yield opened
    opened.close()


def count(url: str, project: str) -> int:
    with psycopg.connect(url) as connection:
        counted = "SELECT count(*) FROM idempotency_keys WHERE project_id = %s"
        found = connection.execute(counted, [project]).fetchone()
    assert found is not None
    return int(found[0])


def test_the_expired_go_in_parts_and_those_of_other_scopes_stay(
    storage: PostgresStorage, postgres_url: str
) -> None:
    old = [replace(MINE, id=f"{number:032x}"[::-1]) for number in range(0x10, 0x10 + 600)]
    for scope in (SCOPE, NEIGHBOUR):
        with storage.scoped(scope).writing() as stores:
            for request in old:
                stores.idempotency.put(request, NOW)
            stores.idempotency.put(replace(MINE, expires_at=NOW + timedelta(days=9)), NOW)
    late, left = NOW + timedelta(days=2), list[int]()
    for _ in range(3):
        with storage.scoped(SCOPE).writing() as stores:
            stores.idempotency.put(replace(MINE, id="0" * 32, expires_at=late + timedelta(days=1)), late)
        left.append(count(postgres_url, "a"))
    assert left == [602 - 256, 602 - 512, 2]
    assert count(postgres_url, "b") == 601
    with storage.scoped(SCOPE).reading() as stores:
        assert stores.idempotency.get(MINE.id, late) is not None


def test_it_joins_a_transaction_of_its_tenant(storage: PostgresStorage) -> None:
    with storage.database.transaction("BEGIN") as (connection, _):
        store_over(connection, SCOPE).put(MINE, NOW)
    with storage.scoped(SCOPE).reading() as stores:
        assert stores.idempotency.get(MINE.id, NOW) == MINE
    with storage.scoped(NEIGHBOUR).reading() as stores:
        assert stores.idempotency.get(MINE.id, NOW) is None
