"""Patterns with their whole history, read in key order: some at a time, or of one key."""

import weakref
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, Table, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from engramia.core.model import PatternRecord
from engramia.core.query import Filter
from engramia.db.scoped import scope_settings
from engramia.db.session import Database
from engramia.providers.postgres import rows
from engramia.providers.postgres.tables import pattern_observations, pattern_versions, patterns
from engramia.providers.postgres.transaction import ScopeTransaction, ours

_AT_ONCE = 256
_IDLE_SECONDS = 3600
"""How long the reader of an export may do something else before its snapshot is given up."""


def _history(table: Table) -> Select[Any]:
    given = bindparam("of_numbers", type_=ARRAY(BigInteger))
    return (
        select(table)
        .where(ours(table), table.c.number == func.any(given))
        .order_by(table.c.number, table.c.place)
    )


_VERSIONS, _OBSERVATIONS = _history(pattern_versions), _history(pattern_observations)


def read_records(
    transaction: ScopeTransaction, *conditions: ColumnElement[bool], **values: Any
) -> Iterator[PatternRecord]:
    """Yield the patterns that meet the conditions on `patterns`, in key order, page by page."""
    after = ""
    statement = (
        select(patterns.c.number, patterns.c.key)
        .where(ours(patterns), *conditions, patterns.c.key > bindparam("after"))
        .order_by(patterns.c.key)
        .limit(_AT_ONCE)
    )
    while found := transaction.execute(statement, after=after, **values).all():
        yield from _with_history(transaction, [row.number for row in found])
        after = found[-1].key


def _with_history(transaction: ScopeTransaction, numbers: Sequence[int]) -> Iterator[PatternRecord]:
    found = rows.by_number(transaction, numbers)
    versions, observations = defaultdict(list), defaultdict(list)
    for row in transaction.execute(_VERSIONS, of_numbers=numbers):
        versions[row.number].append(rows.version_of(row))
    for row in transaction.execute(_OBSERVATIONS, of_numbers=numbers):
        observations[row.number].append(rows.observation_of(row))
    for number in numbers:
        yield PatternRecord(found[number], tuple(versions[number]), tuple(observations[number]))


def _snapshot_of(transaction: ScopeTransaction, database: Database) -> str:
    """Return the statement that takes over the transaction's snapshot; nothing if it is another server's."""
    if transaction.connection.engine is not database.engine:
        return ""
    snapshot = transaction.connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()
    return f"SET TRANSACTION SNAPSHOT '{snapshot}'; "


class RecordsApart(Iterator[PatternRecord]):
    """The records of a snapshot, read over a connection of its own that lives as long as the iterator.

    A reading block is left before its records are: they need a transaction that goes on. A block on a replica
    is followed by a snapshot of the primary, which is never older: one that is held for minutes on a replica
    would hold up what it follows, or be ended by it.
    """

    def __init__(self, database: Database, transaction: ScopeTransaction, filter: Filter) -> None:
        self._closing = ExitStack()
        weakref.finalize(self, self._closing.close)
        begin = (
            f"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; {_snapshot_of(transaction, database)}"
            f"SET LOCAL idle_in_transaction_session_timeout = '{_IDLE_SECONDS}s'; "
            f"{scope_settings(transaction.scope)}"
        )
        connection, _ = self._closing.enter_context(database.transaction(begin, apart=True))
        values = rows.filter_values(filter)
        self._records = read_records(transaction.over(connection), *rows.passing(filter), **values)

    def __next__(self) -> PatternRecord:
        try:
            return next(self._records)
        except BaseException:
            self._closing.close()
            raise
