"""Row-level security stands behind every statement: alone, without one WHERE clause of ours."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors, sql

from engramia.core.jobs import Job
from engramia.core.model import Event, EventKind, Observation, Scope
from engramia.db.base import APP_ROLE, VERSION_TABLE
from engramia.db.scoped import directory_settings, scope_settings
from engramia.providers.postgres.storage import PostgresStorage
from tests.contract.samples import NOW, dense, feedback, key, pattern, unit, version

pytestmark = pytest.mark.slow  # a database server

OURS, NEIGHBOUR, STRANGER = Scope("acme", "a"), Scope("acme", "b"), Scope("zeta", "a")
_TENANTS_TABLES = (
    "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace "
    "ORDER BY relname"
)


def fill(storage: PostgresStorage, scope: Scope) -> None:
    """Leave at least one row in every table."""
    with storage.scoped(scope).writing() as stores:
        stores.patterns.add(dense(1, "parse a log", skills=("csv",)), unit(1, 0))
        stores.patterns.replace(pattern(1, "parse a log", skills=("csv",)), version(1))
        stores.patterns.observe(key(1), Observation(5.0, NOW))
        stores.feedback.put(feedback("a", "slow"))
        stores.activity.record(Event(EventKind.LEARN, NOW, eval_score=5.0))
        stores.jobs.add(Job("job_1", "compose", {}, created_at=NOW, run_at=NOW))


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


def rows(connection: psycopg.Connection, table: str) -> list[tuple[str, str]]:
    statement = sql.SQL("SELECT tenant_id, project_id FROM {}").format(sql.Identifier(table))
    return [(tenant, project) for tenant, project in connection.execute(statement).fetchall()]


def test_with_the_scope_unset_every_table_shows_nothing(connection: psycopg.Connection) -> None:
    for table in tables(connection):
        assert rows(connection, table) == [], table


def test_after_a_transaction_that_set_a_scope_the_connection_shows_nothing(
    connection: psycopg.Connection,
) -> None:
    connection.execute(scope_settings(OURS))
    assert rows(connection, "patterns")
    connection.commit()
    for table in tables(connection):
        assert rows(connection, table) == [], table


@pytest.mark.parametrize("scope", [OURS, NEIGHBOUR, STRANGER])
def test_every_table_shows_the_rows_of_its_scope_and_no_others(
    connection: psycopg.Connection, scope: Scope
) -> None:
    connection.execute(scope_settings(scope))
    for table in tables(connection):
        assert set(rows(connection, table)) == {(scope.tenant_id, scope.project_id)}, table


def test_nothing_can_be_changed_or_deleted_in_another_scope(connection: psycopg.Connection) -> None:
    connection.execute(scope_settings(Scope("nobody", "here")))
    for table in tables(connection):
        name = sql.Identifier(table)
        assert connection.execute(sql.SQL("DELETE FROM {}").format(name)).rowcount == 0, table
        updated = connection.execute(sql.SQL("UPDATE {} SET tenant_id = tenant_id").format(name))
        assert updated.rowcount == 0, table


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
        assert bool(rows(connection, table)) is (table == "scopes"), table
    assert connection.execute("DELETE FROM scopes").rowcount == 0
    assert connection.execute("UPDATE scopes SET runs = 7").rowcount == 0


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
        assert {first for _, first in firsts} == {"tenant_id"}, (table, firsts)


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
