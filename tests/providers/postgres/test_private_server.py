"""A server of one's own: started, stopped, restarted after a crash of its starter, and never owned twice."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from engramia.db.private_database import PrivateDatabase
from engramia.db.private_server import PrivateServer, find_binaries
from engramia.errors import StorageError
from tests.postgres import QUICK

pytestmark = pytest.mark.slow  # a database server


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="engramia-private-"))
    yield made / "server"
    shutil.rmtree(made)


def answer(server: PrivateServer) -> str:
    with psycopg.connect(server.url()) as connection:
        found = connection.execute("SHOW listen_addresses").fetchone()
    assert found is not None
    return str(found[0])


def test_it_starts_listens_nowhere_but_in_its_folder_and_stops(folder: Path) -> None:
    folder.parent.chmod(0o755)
    with PrivateServer(folder, options=QUICK) as server:
        assert answer(server) == ""
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        pid = server.pid
        assert pid is not None
        assert server.create_database("a-b") == server.create_database("a-b")
    assert server.pid is None
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(psycopg.OperationalError):
        answer(server)


def test_a_second_starter_is_refused_while_the_first_one_lives(folder: Path) -> None:
    folder.parent.chmod(0o755)
    with PrivateServer(folder, options=QUICK) as server:
        with pytest.raises(StorageError, match="Another process"):
            PrivateServer(folder, options=QUICK).start()
        assert answer(server) == ""


def test_a_server_whose_starter_died_is_replaced_and_its_data_is_there(folder: Path) -> None:
    folder.parent.chmod(0o755)
    first = PrivateServer(folder, options=QUICK).start()
    first.create_database("kept")
    orphan = first.pid
    assert orphan is not None
    # What is left of a starter that was killed: a server, and a lock that the system has let go.
    assert first._lock is not None
    os.close(first._lock)
    first._lock = None
    with PrivateServer(folder, options=QUICK) as second:
        assert second.pid != orphan
        with psycopg.connect(second.url("kept")) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    first.stop()


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    folder.parent.chmod(0o755)
    with pytest.raises(StorageError, match="shared_buffers"):
        PrivateServer(folder, options={"shared_buffers": "much"}).start()
    with PrivateServer(folder, options=QUICK) as server:
        assert answer(server) == ""


def test_a_folder_too_deep_for_a_socket_gets_one_elsewhere(folder: Path) -> None:
    folder.parent.chmod(0o755)
    deep = folder.joinpath("x" * 90)
    folder.mkdir(mode=0o755)
    with PrivateServer(deep, options=QUICK) as server:
        assert answer(server) == ""
        elsewhere = server.url().partition("host=")[2].partition("&")[0]
        assert not elsewhere.startswith(str(folder))
    assert not Path(elsewhere).exists()


def test_the_database_of_ones_own_looks_at_its_tables_every_second(folder: Path) -> None:
    folder.parent.chmod(0o755)
    database = PrivateDatabase(folder, processes=1)
    with database.server as server, psycopg.connect(server.url()) as connection:
        assert connection.execute("SHOW autovacuum_naptime").fetchone() == ("1s",)


def test_the_binaries_are_found_without_importing_their_package() -> None:
    assert (find_binaries() / "initdb").exists()
