"""Connections that nobody gives back."""

import gc
import warnings

import psycopg
import pytest

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
