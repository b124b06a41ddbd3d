"""Row-level security stands behind every statement: alone, without one WHERE clause of ours."""

import hashlib
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from psycopg import errors, sql

from engramia.core.audit import AuditEntry
from engramia.core.idempotency import KeyedRequest
from engramia.core.jobs import Job
from engramia.core.model import Event, EventKind, Observation, Scope
from engramia.db.base import APP_ROLE, VERSION_TABLE
from engramia.db.scoped import (
    digest_settings,
    directory_settings,
    scope_settings,
    service_settings,
    tenant_settings,
)
from engramia.providers.postgres.storage import PostgresStorage
from engramia.server.keys import repository as keys
from engramia.server.keys.model import Key
from engramia.server.keys.pepper import note_first_key
from engramia.server.kit.permissions import Role
from engramia.server.tenancy import repository as tenancy
from tests.contract.samples import NOW, dense, feedback, key, pattern, unit, version

pytestmark = pytest.mark.slow  # a database server

DIRECTORIES = ("scopes", "audit_heads")
OURS, NEIGHBOUR, STRANGER = Scope("acme", "a"), Scope("acme", "b"), Scope("zeta", "a")
_TENANTS_TABLES = (
    "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace "
    "ORDER BY relname"
)


OF_SERVICE = ("service_counters", "service_secrets")
"""Tables that belong to no tenant."""
CROSSING = "api_keys_digest"
"""The one index that finds a row before anybody knows whose it is."""


def digest(scope: Scope) -> bytes:
    return hashlib.sha256(f"{scope.tenant_id}/{scope.project_id}".encode()).digest()


def make_key(storage: PostgresStorage, scope: Scope) -> None:
    """Leave a tenant, a project, a key, and what the service notes of keys."""
    key = Key(f"key_{scope.project_id}", "a key", "sk", Role.OWNER, scope, None, None, NOW)
    begin = f"BEGIN; {tenant_settings(scope.tenant_id)}; {service_settings()}"
    with storage.database.transaction(begin) as (connection, _):
        tenancy.add_tenant(connection, scope.tenant_id, NOW)
        tenancy.add_project(connection, scope, NOW)
        keys.add(connection, key, digest(scope))
        keys.announce(connection, scope.tenant_id)
        note_first_key(connection, b"pepper")


def fill(storage: PostgresStorage, scope: Scope) -> None:
    """Leave at least one row in every table."""
    make_key(storage, scope)
    with storage.scoped(scope).writing() as stores:
        stores.patterns.add(dense(1, "parse a log", skills=("csv",)), unit(1, 0))
        stores.patterns.replace(pattern(1, "parse a log", skills=("csv",)), version(1))
        stores.patterns.observe(key(1), Observation(5.0, NOW))
        stores.feedback.put(feedback("a", "slow"))
        stores.activity.record(Event(EventKind.LEARN, NOW, eval_score=5.0))
        stores.jobs.add(Job("job_1", "compose", {}, created_at=NOW, run_at=NOW))
        stores.idempotency.put(KeyedRequest("a1", "f", "t", NOW + timedelta(days=1)), NOW)
        stores.audit.append(
            AuditEntry(event="key.made", outcome="success", actor=None, at=NOW, tenant_id=scope.tenant_id)
        )


@pytest.fixture
def connection(postgres_url: str) -> Iterator[psycopg.Connection]:
    """A connection of the application's role beside three scopes that hold something."""
    storage = PostgresStorage(database_url=postgres_url)
    for scope in (OURS, NEIGHBOUR, STRANGER):
        fill(storage, scope)
    storage.close()
    with psycopg.connect(postgres_url) as opened:
        opened.execute(f"SET ROLE {APP_ROLE}")
        yield opened


def tables(connection: psycopg.Connection) -> list[str]:
    found = [str(name) for (name,) in connection.execute(_TENANTS_TABLES) if name != VERSION_TABLE]
    assert len(found) >= 11
    return found


def of_tenants(connection: psycopg.Connection) -> list[str]:
    return [table for table in tables(connection) if table not in OF_SERVICE]


def is_by_project(connection: psycopg.Connection, table: str) -> bool:
    policy = "SELECT qual FROM pg_policies WHERE tablename = %s AND policyname = 'scope'"
    found = connection.execute(policy, [table]).fetchone()
    assert found is not None, table
    return "project_id" in found[0]


def rows(connection: psycopg.Connection, table: str) -> list[tuple[str, ...]]:
    """Return whose the rows are that a table shows."""
    shown = sql.SQL("tenant_id, project_id" if is_by_project(connection, table) else "tenant_id")
    statement = sql.SQL("SELECT {} FROM {}").format(shown, sql.Identifier(table))
    return connection.execute(statement).fetchall()


def changed(connection: psycopg.Connection, statement: sql.Composed) -> int:
    """Return how many rows the statement has changed: none, if the application may not."""
    try:
        with connection.transaction():
            return connection.execute(statement).rowcount
    except errors.InsufficientPrivilege:
        return 0


def count(connection: psycopg.Connection, table: str) -> int:
    found = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
    assert found is not None
    return int(found[0])


def test_with_the_scope_unset_every_table_shows_nothing(connection: psycopg.Connection) -> None:
    for table in tables(connection):
        assert count(connection, table) == 0, table


def test_after_a_transaction_that_set_a_scope_the_connection_shows_nothing(
    connection: psycopg.Connection,
) -> None:
    connection.execute(scope_settings(OURS))
    assert rows(connection, "patterns")
    connection.execute(digest_settings(digest(OURS)))
    connection.execute(service_settings())
    connection.commit()
    for table in tables(connection):
        assert count(connection, table) == 0, table


@pytest.mark.parametrize("scope", [OURS, NEIGHBOUR, STRANGER])
def test_every_table_shows_the_rows_of_its_scope_and_no_others(
    connection: psycopg.Connection, scope: Scope
) -> None:
    connection.execute(scope_settings(scope))
    whose = (scope.tenant_id, scope.project_id)
    for table in of_tenants(connection):
        expected = whose if is_by_project(connection, table) else whose[:1]
        assert set(rows(connection, table)) == {expected}, table
    for table in OF_SERVICE:
        assert count(connection, table) == 0, table


def test_nothing_can_be_changed_or_deleted_in_another_scope(connection: psycopg.Connection) -> None:
    connection.execute(scope_settings(Scope("nobody", "here")))
    for table in tables(connection):
        name = sql.Identifier(table)
        assert changed(connection, sql.SQL("DELETE FROM {}").format(name)) == 0, table
        column = sql.SQL("name" if table in OF_SERVICE else "tenant_id")
        updated = sql.SQL("UPDATE {} SET {} = {}").format(name, column, column)
        assert changed(connection, updated) == 0, table


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO scopes (tenant_id, project_id) VALUES ('zeta', 'new')",
        "UPDATE scopes SET tenant_id = 'zeta', project_id = 'new'",
    ],
)
def test_no_row_can_be_put_into_another_scope(connection: psycopg.Connection, statement: str) -> None:
    connection.execute(scope_settings(OURS))
    with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
        connection.execute(statement)


def test_listing_the_scopes_opens_that_table_for_reading_and_no_other(
    connection: psycopg.Connection,
) -> None:
    connection.execute(directory_settings())
    for table in tables(connection):
        assert bool(count(connection, table)) is (table in DIRECTORIES), table
    assert connection.execute("DELETE FROM scopes").rowcount == 0
    assert connection.execute("UPDATE scopes SET runs = 7").rowcount == 0


def test_a_digest_opens_the_row_it_is_of_for_reading_and_nothing_else(connection: psycopg.Connection) -> None:
    connection.execute(digest_settings(digest(STRANGER)))
    for table in tables(connection):
        assert count(connection, table) == (table == "api_keys"), table
    assert rows(connection, "api_keys") == [("zeta",)]
    assert connection.execute("DELETE FROM api_keys").rowcount == 0
    assert connection.execute("UPDATE api_keys SET role = 'owner'").rowcount == 0


def test_what_a_request_for_a_key_asks_goes_by_the_index(connection: psycopg.Connection) -> None:
    connection.execute("SET LOCAL enable_seqscan = off")  # of three rows a scan is all that is worth it
    connection.execute(digest_settings(digest(OURS)))
    asked = "EXPLAIN SELECT id FROM api_keys WHERE digest = %b"
    plan = "\n".join(str(line) for (line,) in connection.execute(asked, [digest(OURS)]))
    assert f"Index Scan using {CROSSING}" in plan


def test_the_service_s_own_tables_open_to_who_asks_for_them_alone(connection: psycopg.Connection) -> None:
    connection.execute(service_settings())
    for table in tables(connection):
        assert bool(count(connection, table)) is (table in OF_SERVICE), table


def test_every_table_forces_it_upon_its_owner_and_begins_all_keys_with_the_tenant(
    connection: psycopg.Connection,
) -> None:
    for table in tables(connection):
        forced = connection.execute(
            "SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE oid = %s::regclass", [table]
        ).fetchone()
        assert forced == (True,), table
        firsts = connection.execute(
            "SELECT conname, attname FROM pg_constraint "
            "JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1] "
            "WHERE conrelid = %s::regclass AND contype IN ('p', 'u', 'f') UNION ALL "
            "SELECT indexrelid::regclass::text, attname FROM pg_index "
            "JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0] WHERE indrelid = %s::regclass",
            [table, table],
        ).fetchall()
        expected = {"name"} if table in OF_SERVICE else {"tenant_id"}
        assert {first for name, first in firsts if name != CROSSING} == expected, (table, firsts)


def test_the_application_neither_owns_nor_bypasses_nor_logs_in(connection: psycopg.Connection) -> None:
    found = connection.execute(
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcanlogin FROM pg_roles WHERE rolname = %s",
        [APP_ROLE],
    ).fetchone()
    assert found == (False, False, False, False)
    owned = connection.execute("SELECT relname FROM pg_class WHERE relowner = %s::regrole", [APP_ROLE])
    assert owned.fetchall() == []
    with pytest.raises(errors.InsufficientPrivilege):
        connection.execute("ALTER TABLE patterns DISABLE ROW LEVEL SECURITY")
