"""Migrations: made by the owner, once, whoever runs them at the same time; another schema is refused."""

import threading
from collections.abc import Iterator

import pgvector.sqlalchemy  # noqa: F401 - lets the comparison know the type `vector`
import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

import engramia.db.audit
import engramia.server.keys.tables
import engramia.server.tenancy.tables  # noqa: F401 - these put their tables into the metadata
from engramia.core.model import Scope
from engramia.db import schema
from engramia.db.base import VERSION_TABLE, metadata
from engramia.db.private_server import PrivateServer
from engramia.db.session import parse_url
from engramia.errors import StorageError
from engramia.providers.postgres.storage import PostgresStorage
from tests.contract.samples import record, search
from tests.postgres import back_to

pytestmark = pytest.mark.slow  # a database server


@pytest.fixture
def empty_url(postgres_server: PrivateServer) -> Iterator[str]:
    """The address of a database with nothing in it."""
    url = postgres_server.create_database("engramia_empty")
    yield url
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute("DROP DATABASE engramia_empty WITH (FORCE)")


def set_revision(url: str, revision: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE engramia_schema SET version_num = %s", [revision])


def write_something(url: str) -> None:
    storage = PostgresStorage(database_url=url)
    try:
        with storage.scoped(Scope()).writing() as stores:
            stores.patterns.add(record(1), None)
    finally:
        storage.close()


def test_the_migrations_make_the_tables_that_the_code_knows(migrated_url: str) -> None:
    engine = create_engine(parse_url(migrated_url))
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": VERSION_TABLE,
                # Indexes and checks are in the migrations alone.
                "include_object": lambda _object, _name, kind, _reflected, _other: (
                    kind in {"table", "column"}
                ),
            },
        )
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_upgrading_twice_changes_nothing(migrated_url: str) -> None:
    assert schema.current(migrated_url) == schema.newest()
    assert schema.upgrade(migrated_url) == schema.newest()
    schema.check(migrated_url)


def test_a_database_without_schema_is_refused_with_what_to_do(empty_url: str) -> None:
    assert schema.current(empty_url) is None
    with pytest.raises(StorageError, match="engramia db upgrade"):
        schema.check(empty_url)
    with pytest.raises(StorageError, match="engramia db upgrade"):
        write_something(empty_url)


def test_a_schema_of_a_newer_release_is_refused_and_left_alone(empty_url: str) -> None:
    schema.upgrade(empty_url)
    set_revision(empty_url, "9999")
    for attempt in (schema.check, schema.upgrade, write_something):
        with pytest.raises(StorageError, match=r"9999.*Upgrade Engramia"):
            attempt(empty_url)
    assert schema.current(empty_url) == "9999"


def test_several_upgrades_at_once_do_it_once(empty_url: str) -> None:
    done: list[str] = []
    threads = [threading.Thread(target=lambda: done.append(schema.upgrade(empty_url))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert done == [schema.newest()] * 3
    write_something(empty_url)


@pytest.fixture
def plain_url(postgres_server: PrivateServer, empty_url: str) -> Iterator[str]:
    """The address of an empty database, as an owner for whom row security holds."""
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute("CREATE ROLE plain LOGIN CREATEROLE")
        connection.execute("ALTER DATABASE engramia_empty OWNER TO plain")
        connection.execute("GRANT engramia_app TO plain WITH ADMIN OPTION")
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
    yield empty_url.replace("postgres@", "plain@")
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute("DROP OWNED BY plain; REVOKE engramia_app FROM plain")
        connection.execute("ALTER DATABASE engramia_empty OWNER TO postgres; DROP ROLE plain")


@pytest.mark.usefixtures("migrated_url")  # which made the application's role
def test_an_owner_that_is_no_superuser_migrates_and_is_held_by_row_security(plain_url: str) -> None:
    schema.upgrade(plain_url)
    write_something(plain_url)
    with psycopg.connect(plain_url) as connection:
        assert connection.execute("SELECT count(*) FROM patterns").fetchone() == (0,)


@pytest.mark.usefixtures("migrated_url")
@pytest.mark.parametrize("revision", ["0005", "0001"])
def test_what_is_stored_under_an_older_schema_is_found_after_the_upgrade(
    plain_url: str, empty_url: str, revision: str
) -> None:
    schema.upgrade(plain_url)
    write_something(plain_url)
    counted = word_counts(empty_url)
    assert counted
    back_to(plain_url, revision)
    schema.upgrade(plain_url)
    assert word_counts(empty_url) == counted
    storage = PostgresStorage(database_url=plain_url)
    with storage.scoped(Scope()).reading() as stores:
        assert [hit.pattern.key for hit in stores.patterns.search(search(record(1).pattern.task, None))] == [
            record(1).pattern.key
        ]
    storage.close()


def word_counts(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT * FROM word_counts ORDER BY tenant_id, project_id, field, root"
        ).fetchall()


@pytest.mark.parametrize("url", ["mysql://u:geheim@h/d", "nonsense", "", "postgresql+asyncpg://u:geheim@h/d"])
def test_an_address_of_something_else_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(StorageError, match="postgresql://") as raised:
        PostgresStorage(database_url=url)
    assert "geheim" not in str(raised.value)
