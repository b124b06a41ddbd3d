"""Statements of SQLAlchemy, run by the driver alone: for those that run so often that milliseconds count.

They are compiled once. What SQLAlchemy does around each execution (events, results of its own) is left out.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import batched
from typing import Any, cast

import psycopg
from psycopg.rows import namedtuple_row
from sqlalchemy import Connection, Executable, Table
from sqlalchemy.dialects.postgresql import psycopg as dialect
from sqlalchemy.sql import ClauseElement

# SQLAlchemy leaves its dialects' constructors without types.
_DIALECT = dialect.PGDialect_psycopg(paramstyle="pyformat")  # type: ignore[no-untyped-call]


def driver_of(connection: Connection) -> "psycopg.Connection[Any]":
    """Return the driver's connection beneath one of SQLAlchemy."""
    return cast("psycopg.Connection[Any]", connection.connection.driver_connection)


type Params = Mapping[str, Any] | Sequence[Any]
type Statement = tuple[str, Params]
"""A statement with its values."""
type Due = Sequence[Statement]
"""Statements whose rows nobody wants."""

_PARAMETERS = 30_000
"""Values in one statement; the protocol takes some more."""


def fetch(
    connection: Connection, statement: Executable, values: Mapping[str, Any], *, after: Due = ()
) -> list[Any]:
    """Return the rows of a statement, as named tuples; `after` others that go with it in one message."""
    sql, fixed = compiled(statement)
    driver = driver_of(connection)
    with driver.cursor(binary=True, row_factory=namedtuple_row) as cursor:
        if not after:
            return cursor.execute(sql, {**fixed, **values}).fetchall()
        with driver.pipeline():
            _queue(driver, after)
            return cursor.execute(sql, {**fixed, **values}).fetchall()


def fetch_each(
    connection: Connection,
    statements: Sequence[Executable],
    values: Mapping[str, Any],
    *,
    after: Due = (),
    meanwhile: Callable[[], object] | None = None,
) -> list[list[Any]]:
    """Return the rows of several statements over the same values, all sent in one message.

    `meanwhile` is done while the server works.
    """
    driver = driver_of(connection)
    with driver.pipeline():
        _queue(driver, after)
        cursors = []
        for statement in statements:
            sql, fixed = compiled(statement)
            cursor = driver.cursor(binary=True, row_factory=namedtuple_row)
            cursors.append(cursor.execute(sql, {**fixed, **values}))
        if meanwhile is not None:
            meanwhile()
        return [cursor.fetchall() for cursor in cursors]


def send(connection: Connection, statements: Due) -> None:
    """Run statements in one message; the first that fails is raised."""
    driver = driver_of(connection)
    with driver.pipeline():
        _queue(driver, statements)


def _queue(driver: "psycopg.Connection[Any]", statements: Due) -> None:
    for sql, values in statements:
        if isinstance(values, Mapping):
            driver.execute(sql, values)
        else:  # thousands of numbered values: looking for names among them would take longer than all else
            psycopg.RawCursor(driver).execute(sql, values)


def ready(statement: Executable, values: Mapping[str, Any]) -> Statement:
    """Return a statement as the driver takes it."""
    sql, fixed = compiled(statement)
    return sql, {**fixed, **values}


def insertions(table: Table, rows: Sequence[Mapping[str, Any]]) -> Iterator[Statement]:
    """Yield statements that insert rows, all of the same columns, as many in each as one can take."""
    columns = tuple(rows[0]) if rows else ("",)
    for some in batched(rows, _PARAMETERS // len(columns)):
        values = [row[column] for row in some for column in columns]
        yield _insertion(table.name, columns, len(some)), values


@lru_cache(maxsize=256)
def _insertion(table: str, columns: tuple[str, ...], rows: int) -> str:
    number = itertools.count(1)
    values = (f"({', '.join(f'${next(number)}' for _ in columns)})" for _ in range(rows))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join(values)}"  # noqa: S608 - names of ours


@lru_cache(maxsize=1024)
def compiled(statement: Executable) -> tuple[str, dict[str, Any]]:
    """Return the statement as the driver takes it, and the values that stand in it."""
    done = cast("ClauseElement", statement).compile(dialect=_DIALECT)
    return str(done), {name: value for name, value in done.params.items() if value is not None}
