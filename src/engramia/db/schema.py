"""The schema's version: bring it up to date, ask for it, refuse to work with another."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine, text

from engramia.db.base import APP_ROLE, VERSION_TABLE
from engramia.db.faults import translated
from engramia.db.session import parse_url
from engramia.errors import StorageError

_CONNECT_TIMEOUT = 10
_LOCK_TIMEOUT_MS = 60_000
_POSTGRES_MIN = 150_000
_POSTGRES_SET_OPTION = 160_000
"""Since then a member of a role is not always allowed to act as it."""
_VECTOR_MIN = (0, 8)
# One migration at a time, whoever runs it; any number that nobody else locks.
_MIGRATION_LOCK = 7_283_519_046


def upgrade(url: str) -> str:
    """Bring the schema up to date, as the role that owns it or will, and return its revision.

    All or nothing is done. Several may run at once: they wait for one another. Raises `StorageError` where
    the server is too old, lacks pgvector, or does not let this role do it.
    """
    with _connected(url) as connection:
        connection.execute(text(f"SET lock_timeout = {_LOCK_TIMEOUT_MS}"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        _check_server(connection)
        _make_extension(connection)
        _make_role(connection)
        found = _revision(connection)
        refuse_newer(found)
        command.upgrade(_config(connection), "head")
        connection.execute(text(f"GRANT SELECT ON {VERSION_TABLE} TO {APP_ROLE}"))
    return newest()


def current(url: str) -> str | None:
    """Return the revision of the database's schema, or None if there is none yet."""
    with _connected(url) as connection:
        return _revision(connection)


def newest() -> str:
    """Return the revision that this release needs."""
    head = ScriptDirectory.from_config(_config(None)).get_current_head()
    if head is None:
        raise StorageError("This installation of Engramia has no migrations; install it again.")
    return head


def check(url: str) -> None:
    """Raise `StorageError` with what to do unless the schema is just what this release needs."""
    with _connected(url) as connection:
        check_connection(connection)


def check_connection(connection: Connection) -> None:
    """Do what `check` does, over a connection that is open."""
    found, needed = _revision(connection), newest()
    if found == needed:
        return
    if found is None:
        raise StorageError(
            "The database has no schema of Engramia yet. Run `engramia db upgrade` to make it."
        )
    if found in _known():
        raise StorageError(
            f"The database's schema is at revision {found}, and this release needs {needed}. "
            "Run `engramia db upgrade`."
        )
    raise StorageError(_ahead(found))


def refuse_newer(found: str | None) -> None:
    """Raise `StorageError` for the revision of a newer release."""
    if found is not None and found not in _known():
        raise StorageError(_ahead(found))


def _ahead(found: str) -> str:
    return (
        f"The database's schema is at revision {found}, which this release does not know: a newer Engramia "
        "migrated it. Upgrade Engramia on this machine."
    )


def _known() -> set[str]:
    return {script.revision for script in ScriptDirectory.from_config(_config(None)).walk_revisions()}


def _config(connection: Connection | None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(
        connection, opts={"version_table": VERSION_TABLE}
    ).get_current_revision()


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    engine = create_engine(
        parse_url(url), poolclass=NullPool, connect_args={"connect_timeout": _CONNECT_TIMEOUT}
    )
    with translated(), engine.begin() as connection:
        yield connection


def _check_server(connection: Connection) -> None:
    version = _version(connection)
    if version < _POSTGRES_MIN:
        raise StorageError(f"Engramia needs Postgres 15 or newer; this server is {version // 10_000}.")


def _version(connection: Connection) -> int:
    return int(connection.execute(text("SHOW server_version_num")).scalar_one())


def _make_extension(connection: Connection) -> None:
    found = connection.execute(
        text("SELECT default_version, installed_version FROM pg_available_extensions WHERE name = 'vector'")
    ).one_or_none()
    if found is None:
        raise StorageError(
            "This Postgres server has no pgvector; install it (package postgresql-NN-pgvector)."
        )
    version = found.installed_version or found.default_version
    if tuple(map(int, version.split(".")[:2])) < _VECTOR_MIN:
        raise StorageError(f"Engramia needs pgvector 0.8 or newer; this database has {version}.")
    if found.installed_version is None:
        connection.execute(text("CREATE EXTENSION vector"))


def _make_role(connection: Connection) -> None:
    """Make the application's role, which belongs to the whole server, unless it is there; join it."""
    there = connection.execute(
        text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": APP_ROLE}
    ).one_or_none()
    if there is None:
        # Another database of the server may be migrated at this moment: its role will do as well.
        connection.execute(
            text(
                f"DO $$ BEGIN CREATE ROLE {APP_ROLE} NOLOGIN NOSUPERUSER NOBYPASSRLS; "
                "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
            )
        )
    may = "SET" if _version(connection) >= _POSTGRES_SET_OPTION else "MEMBER"
    member = text("SELECT pg_has_role(current_user, :role, :may)")
    if not connection.execute(member, {"role": APP_ROLE, "may": may}).scalar_one():
        connection.execute(text(f"GRANT {APP_ROLE} TO CURRENT_USER"))
