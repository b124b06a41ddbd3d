"""Who lives on the service: as the code stands, and with either of the two walls between tenants alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from engramia.db.base import APP_ROLE
from tests.isolation.tenants import World, by_tenant_alone, inhabited
from tests.isolation.unfenced import without_where

AS_IT_STANDS, CLAUSES_ALONE, ROW_SECURITY_ALONE = "as it stands", "clauses alone", "row security alone"
_REWRITTEN_MIN = 30
"""Different statements of a test; fewer would mean that the switch is not on."""


@contextmanager
def row_security_alone(url: str) -> Iterator[None]:
    """Take the scope out of all WHERE clauses, and fail if that was not really done."""
    with without_where(by_tenant_alone(url)) as switch:
        yield
    assert len(switch.rewritten) >= _REWRITTEN_MIN, sorted(switch.rewritten)
    assert not switch.left


@contextmanager
def clauses_alone(url: str) -> Iterator[None]:
    """Let the application's role see every row that its statements ask for."""
    role = sql.Identifier(APP_ROLE)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER ROLE {} BYPASSRLS").format(role))
        try:
            yield
        finally:
            connection.execute(sql.SQL("ALTER ROLE {} NOBYPASSRLS").format(role))


@pytest.fixture(params=[AS_IT_STANDS, CLAUSES_ALONE, ROW_SECURITY_ALONE])
def wall(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[str]:
    """What holds the tenants apart in a test."""
    walls = {CLAUSES_ALONE: clauses_alone, ROW_SECURITY_ALONE: row_security_alone}
    if request.param in walls:
        with walls[request.param](postgres_url):
            yield request.param
    else:
        yield request.param


@pytest.fixture
def world(tmp_path: Path, postgres_url: str, wall: str) -> Iterator[World]:
    del wall
    with inhabited(tmp_path, postgres_url) as world:
        yield world
