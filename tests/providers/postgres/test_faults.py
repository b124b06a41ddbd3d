"""A server that stops, freezes, is full or busy: the right error in time, and then work goes on."""

import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from engramia.core.model import Scope
from engramia.core.query import Filter
from engramia.db import schema
from engramia.db.private_server import PrivateServer
from engramia.db.session import Limits, patience
from engramia.errors import (
    StorageCorruptError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
    ValidationError,
)
from engramia.providers.postgres.storage import PostgresStorage
from tests.contract.samples import record
from tests.postgres import QUICK

pytestmark = pytest.mark.slow  # a database server

SHORT = Limits(
    pool_size=2, overflow=0, pool_timeout=1.0, connect_timeout=2, statement_timeout=1.5, lock_timeout=1.0
)
"""Short enough to be waited for, and longer than a busy machine stands still."""

_KILL_ALL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = 'faults' AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateServer]:
    """A server of this file's own, since it is mistreated."""
    folder = Path(tempfile.mkdtemp(prefix="engramia-faults-"))
    with PrivateServer(folder, options=QUICK) as running:
        schema.upgrade(running.create_database("faults"))
        yield running
    shutil.rmtree(folder)


@pytest.fixture
def storage(server: PrivateServer) -> Iterator[PostgresStorage]:
    opened = PostgresStorage(database_url=server.url("faults"), limits=SHORT)
    for scope in opened.scopes():
        opened.scoped(scope).erase()
    yield opened
    opened.close()


def add(storage: PostgresStorage, number: int) -> None:
    with storage.scoped(Scope()).writing() as stores:
        stores.patterns.add(record(number), None)


def count(storage: PostgresStorage) -> int:
    with storage.scoped(Scope()).reading() as stores:
        return stores.patterns.count()


@pytest.mark.parametrize("immediate", [False, True])
def test_after_a_restart_the_pool_heals_by_itself(
    server: PrivateServer, storage: PostgresStorage, immediate: bool
) -> None:
    add(storage, 1)
    server.stop(immediate=immediate)
    with pytest.raises(StorageUnavailableError):
        count(storage)
    server.start()
    assert count(storage) == 1
    add(storage, 2)
    assert count(storage) == 2


def test_connections_that_died_unused_are_passed_over(
    server: PrivateServer, storage: PostgresStorage
) -> None:
    add(storage, 1)
    server.stop(immediate=True)
    server.start()
    assert count(storage) == 1


def test_a_transaction_that_the_server_drops_keeps_nothing(
    server: PrivateServer, storage: PostgresStorage
) -> None:
    add(storage, 1)

    def lose_the_connection() -> None:
        with storage.scoped(Scope()).writing() as stores:
            stores.patterns.add(record(2), None)
            assert stores.patterns.count() == 2
            with psycopg.connect(server.url("faults"), autocommit=True) as killer:
                killer.execute(_KILL_ALL)

    with pytest.raises(StorageUnavailableError):
        lose_the_connection()
    assert count(storage) == 1


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_frozen_server_is_given_up_in_time_and_used_again_after(
    server: PrivateServer, storage: PostgresStorage
) -> None:
    add(storage, 1)
    assert server.pid is not None
    frozen = [server.pid, *children(server.pid)]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(3):
            started = time.monotonic()
            with pytest.raises(StorageUnavailableError):
                count(storage)
            assert time.monotonic() - started < 8
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    assert count(storage) == 1


def test_the_end_of_what_only_reads_is_not_waited_for(
    server: PrivateServer, storage: PostgresStorage
) -> None:
    add(storage, 1)
    assert server.pid is not None
    frozen = [server.pid, *children(server.pid)]
    try:
        with storage.scoped(Scope()).reading() as stores:
            assert stores.patterns.count() == 1
            for pid in frozen:
                os.kill(pid, signal.SIGSTOP)
            left = time.monotonic()
        assert time.monotonic() - left < SHORT.statement_timeout
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    assert count(storage) == 1


def test_another_writer_is_not_waited_for_without_end(
    storage: PostgresStorage, server: PrivateServer
) -> None:
    other = PostgresStorage(database_url=server.url("faults"), limits=SHORT)
    with (
        other.scoped(Scope()).writing(),
        pytest.raises(StorageUnavailableError, match="another writer"),
        storage.scoped(Scope()).writing(),
    ):
        pass
    other.close()
    add(storage, 1)


def test_a_full_pool_is_not_waited_for_without_end(storage: PostgresStorage) -> None:
    inside, leave = threading.Barrier(3), threading.Event()

    def hold(name: str) -> None:
        with storage.scoped(Scope("t", name)).reading():
            inside.wait(10)
            leave.wait(10)

    storage.check()
    threads = [threading.Thread(target=hold, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    inside.wait(10)
    with pytest.raises(StorageUnavailableError, match="in use"):
        count(storage)
    leave.set()
    for thread in threads:
        thread.join(10)
    assert count(storage) == 0


def test_a_statement_may_take_so_long_and_longer_only_with_patience(storage: PostgresStorage) -> None:
    def sleep(seconds: float) -> None:
        with storage.database.transaction("BEGIN") as (connection, _):
            connection.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": seconds})

    with pytest.raises(StorageUnavailableError, match="in time"):
        sleep(5)
    with storage.database.transaction("BEGIN") as (connection, _), patience(connection, 20):
        connection.execute(text("SELECT pg_sleep(2)"))


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("53100", StorageFullError),
        ("53200", StorageUnavailableError),
        ("53300", StorageUnavailableError),
        ("57P01", StorageUnavailableError),
        ("57P03", StorageUnavailableError),
        ("40001", StorageUnavailableError),
        ("XX001", StorageCorruptError),
        ("25006", StorageError),
        ("42P01", StorageError),
    ],
)
def test_what_the_server_reports_comes_as_an_error_of_ours_with_its_cause(
    storage: PostgresStorage, state: str, kind: type[StorageError]
) -> None:
    report = text(f"DO $$ BEGIN RAISE EXCEPTION 'reported' USING ERRCODE = '{state}'; END $$")
    with pytest.raises(StorageError) as raised, storage.database.transaction("BEGIN") as (connection, _):
        connection.execute(report)
    assert type(raised.value) is kind
    assert raised.value.__cause__ is not None
    assert count(storage) == 0, "the connection is used again"


def test_nobody_is_there(tmp_path: Path) -> None:
    storage = PostgresStorage(
        database_url=f"postgresql://me:geheim@/nothing?host={tmp_path}&port=1", limits=SHORT
    )
    with pytest.raises(StorageUnavailableError, match="cannot be reached") as raised:
        count(storage)
    assert "geheim" not in str(raised.value)


def test_a_statement_that_failed_takes_the_whole_transaction_along(storage: PostgresStorage) -> None:
    def go_on_regardless() -> None:
        with storage.scoped(Scope()).writing() as stores:
            stores.patterns.add(record(1), None)
            with pytest.raises(StorageError):
                stores.patterns.list(Filter(), limit=-2, offset=0)

    with pytest.raises(StorageError, match="nothing of it was kept"):
        go_on_regardless()
    assert count(storage) == 0


def test_text_that_postgres_cannot_hold_is_refused_and_leaves_nothing(storage: PostgresStorage) -> None:
    with storage.scoped(Scope()).writing() as stores:
        with pytest.raises(ValidationError, match="NUL"):
            stores.patterns.add(record(1, "nul \0 here"), None)
        assert stores.patterns.count() == 0
