"""Connections that nobody gives back."""

import gc
import warnings
from functools import partial

import psycopg
import pytest
from sqlalchemy import text

from engramia.db.driver import driver_of
from engramia.db.session import Database, Limits
from tests.replica import wait_until

pytestmark = pytest.mark.slow  # a database server


def is_open(url: str, pid: int) -> bool:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone()
    return found is not None


def test_one_in_use_when_the_pool_is_disposed_of_is_closed_in_the_end(postgres_url: str) -> None:
    database = Database(postgres_url, Limits())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with database.transaction("BEGIN; SELECT pg_backend_pid()") as (_, row):
            assert row is not None
            (pid,) = row
            database.dispose()
            assert is_open(postgres_url, pid)
        del database, _, row
        gc.collect()
    wait_until(lambda: not is_open(postgres_url, pid))


def is_idle(url: str, pid: int) -> bool:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT state FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone()
    return found == ("idle",)


def test_a_reading_is_over_also_if_nobody_uses_its_connection_again(postgres_url: str) -> None:
    database = Database(postgres_url, Limits(pool_size=1, overflow=0))
    begin = "BEGIN READ ONLY; SELECT pg_backend_pid()"
    for ask in (False, True, False):
        with database.transaction(begin, reads=True) as (connection, row):
            assert row is not None
            if ask:
                assert connection.execute(text("SELECT 1")).scalar_one() == 1
        wait_until(partial(is_idle, postgres_url, row[0]))
        with database.transaction(begin, reads=True) as (_, again):
            assert again == row
        with database.transaction("BEGIN; CREATE TEMPORARY TABLE kept ON COMMIT DROP AS SELECT 1"):
            pass  # what only read is over, else this were a part of it
    database.dispose()


def test_what_comes_back_to_the_pool_unfinished_is_undone(postgres_url: str) -> None:
    database = Database(postgres_url, Limits(pool_size=1, overflow=0))
    connection = database.engine.connect()
    driver_of(connection).execute("BEGIN; CREATE TEMPORARY TABLE half AS SELECT 1")
    connection.close()
    with database.transaction("BEGIN; SELECT to_regclass('half')") as (_, row):
        assert row == (None,)
    database.dispose()
