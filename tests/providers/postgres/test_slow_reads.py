"""Reads that take longer than a statement may: repeated where the server works on, given up in the end."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import text

from engramia.core.model import Scope
from engramia.db.session import Database, Limits
from engramia.errors import StorageUnavailableError
from engramia.providers.postgres.beginning import begin_reading
from engramia.providers.postgres.transaction import ScopeTransaction

pytestmark = pytest.mark.slow  # a database server

SCOPE = Scope("slow", "one")
_LIMITS = Limits(pool_size=1, overflow=0, statement_timeout=0.2)
_LOCK = 20_261
_WAIT = text(f"SELECT pg_advisory_xact_lock({_LOCK}), 7 AS answer")
_QUICK = text("SELECT 8 AS answer")


@contextmanager
def reading(url: str) -> Iterator[ScopeTransaction]:
    """Open a block of reading in which a statement may take a fifth of a second."""
    database = Database(url, _LIMITS)
    try:
        with database.transaction(begin_reading(SCOPE)) as (connection, row):
            yield ScopeTransaction(connection, SCOPE, row, writable=False)
    finally:
        database.dispose()


@contextmanager
def held_for(url: str, seconds: float) -> Iterator[None]:
    """Let what waits for the lock wait for so long."""
    with psycopg.connect(url, autocommit=True) as holder:
        holder.execute(f"SELECT pg_advisory_lock({_LOCK})")
        timer = threading.Timer(seconds, holder.execute, [f"SELECT pg_advisory_unlock({_LOCK})"])
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


def test_a_read_that_takes_too_long_is_refused(postgres_url: str) -> None:
    with pytest.raises(StorageUnavailableError), held_for(postgres_url, 5.0), reading(postgres_url) as block:
        block.fetch(_WAIT)


def test_one_that_persists_is_answered_in_the_end(postgres_url: str) -> None:
    with held_for(postgres_url, 0.7), reading(postgres_url) as block:
        block.persist(10.0)
        quick, waited = block.fetch_each(_QUICK, _WAIT)
        assert (quick[0].answer, waited[0].answer) == (8, 7)
        assert block.fetch(_QUICK)[0].answer == 8


def test_none_persists_for_ever(postgres_url: str) -> None:
    begun = time.monotonic()
    with held_for(postgres_url, 9.0), reading(postgres_url) as block:
        block.persist(0.5)
        with pytest.raises(StorageUnavailableError):
            block.fetch(_WAIT)
        block.connection.exec_driver_sql("ROLLBACK")
    assert time.monotonic() - begun < 5.0
