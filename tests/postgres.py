"""A private Postgres server for the tests that ask for one: one a process, emptied between tests."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from engramia import db
from engramia.db import schema
from engramia.db.private_server import PrivateServer
from engramia.db.session import parse_url

# Nothing here has to survive a power cut.
QUICK = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "64MB"}

# Deleting some rows is quicker than truncating, which makes new files.
_EMPTY = (
    "SELECT string_agg(format('DELETE FROM %I', relname), '; ') FROM pg_class "
    "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'engramia_schema'"
)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PrivateServer]:
    """A server that runs as another user where we are root, who may not enter pytest's own folders."""
    folder = Path(tempfile.mkdtemp(prefix="engramia-postgres-"))
    with PrivateServer(folder, options=QUICK) as server:
        yield server
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def migrated_url(postgres_server: PrivateServer) -> str:
    """A database with the newest schema, as its owner."""
    url = postgres_server.create_database("engramia_test")
    schema.upgrade(url)
    return url


@pytest.fixture
def postgres_url(migrated_url: str) -> Iterator[str]:
    """The address of a database with the newest schema and nothing in it."""
    yield migrated_url
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        found = connection.execute(_EMPTY).fetchone()
        assert found is not None
        connection.execute(found[0])


def back_to(url: str, revision: str) -> None:
    """Take the schema back to an older revision."""
    engine = create_engine(parse_url(url))
    with engine.begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(Path(db.__file__).parent / "migrations"))
        config.set_main_option("path_separator", "os")
        command.downgrade(config, revision)
    engine.dispose()
