"""What the stores of one `reading()` or `writing()` block share: the connection and the row of the scope."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    Executable,
    Insert,
    Table,
    Update,
    and_,
    bindparam,
    insert,
    update,
)

from engramia.core.model import Scope
from engramia.db.faults import translated
from engramia.db.scoped import scope_settings
from engramia.db.session import patience
from engramia.errors import StorageError
from engramia.providers.postgres.tables import scopes

_LONG = 600.0
"""Seconds for a statement over everything that a scope holds."""


@dataclass(slots=True)
class ScopeRow:
    """The row of a scope, as the transaction has it; a scope without a row is empty."""

    embedding_model: str | None = None
    dimension: int | None = None
    next_number: int = 0
    words_epoch: int = 0
    patterns: int = 0
    dense: int = 0
    next_feedback: int = 0
    next_event: int = 0
    newest_event: datetime | None = None
    runs: int = 0
    successes: int = 0
    recalls: int = 0
    reused: int = 0
    unfinished_jobs: int = 0

    COUNTERS: ClassVar = frozenset(
        {"patterns", "dense", "runs", "successes", "recalls", "reused", "unfinished_jobs"}
    )


_COLUMNS = tuple(field.name for field in fields(ScopeRow))


def ours(table: Table) -> ColumnElement[bool]:
    """Return the condition that a row of `table` is the scope's; `ScopeTransaction` fills it in."""
    return and_(table.c.tenant_id == bindparam("of_tenant"), table.c.project_id == bindparam("of_project"))


class ScopeTransaction:
    """An open transaction over one scope. Its stores are of no use once the block is left."""

    def __init__(
        self, connection: Connection, scope: Scope, row: Sequence[Any] | None, *, writable: bool
    ) -> None:
        self._connection = connection
        self._writable = writable
        self._open = True
        self._broken = False
        self._there = row is not None
        self.scope = scope
        self._before = ScopeRow() if row is None else ScopeRow(*row)
        self.row = replace(self._before)
        self.before_commit: list[Callable[[], None]] = []
        """What the stores still have to write, in order."""

    def check_open(self) -> None:
        """Raise `StorageError` once the block is left."""
        if not self._open:
            raise StorageError("These stores belong to a block that has been left; open a new one.")

    def check_writable(self) -> None:
        """Raise `StorageError` in a block for reading, and once the block is left."""
        self.check_open()
        if not self._writable:
            raise StorageError("This block was opened by reading(); open writing() to change anything.")

    def execute(self, statement: Executable, **values: Any) -> CursorResult[Any]:
        """Run a statement whose scope is `ours`, with these values for its other parameters."""
        return self._run(statement, self._of | values)

    def execute_long(self, statement: Executable, **values: Any) -> CursorResult[Any]:
        """Run a statement that may take minutes, since it goes over the whole scope."""
        with patience(self._connection, _LONG):
            return self.execute(statement, **values)

    def write(self, statement: Executable, **values: Any) -> int:
        """Run a statement that writes, as `execute` does; return how many rows it wrote."""
        self.check_writable()
        return self.execute(statement, **values).rowcount

    def insert(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows, given without the scope."""
        self.check_writable()
        if rows:
            ids = {"tenant_id": self.scope.tenant_id, "project_id": self.scope.project_id}
            self._run(_insert(table), [ids | dict(row) for row in rows])

    def finish(self) -> None:
        """Write what the stores and the row of the scope still hold back."""
        for write in self.before_commit:
            write()
        if self._broken:
            raise StorageError("A write of this transaction failed; nothing of it was kept.")
        self._keep_row()

    def close(self) -> None:
        """Let the stores of the block be used no more."""
        self._open = False

    @property
    def connection(self) -> Connection:
        """The connection, for what else belongs into the same transaction."""
        self.check_open()
        return self._connection

    @property
    def writable(self) -> bool:
        """Whether the block is one for writing."""
        return self._writable

    def over(self, connection: Connection) -> "ScopeTransaction":
        """Return a transaction for reading over another connection that sees what this one does."""
        row = [getattr(self.row, name) for name in _COLUMNS]
        return ScopeTransaction(connection, self.scope, row, writable=False)

    @property
    def _of(self) -> dict[str, Any]:
        return {"of_tenant": self.scope.tenant_id, "of_project": self.scope.project_id}

    def _run(self, statement: Executable, values: Any) -> CursorResult[Any]:
        self.check_open()
        try:
            with translated():
                return self._connection.execute(statement, values)
        except BaseException:
            self._broken = True
            raise

    def _keep_row(self) -> None:
        changed = [name for name in _COLUMNS if getattr(self.row, name) != getattr(self._before, name)]
        if not changed:
            return
        if not self._there:
            self.insert(scopes, [{name: getattr(self.row, name) for name in _COLUMNS}])
            return
        values = {f"new_{name}": getattr(self.row, name) for name in changed}
        for name in ScopeRow.COUNTERS.intersection(changed):
            values[f"new_{name}"] -= getattr(self._before, name)
        self.write(_row_update(tuple(changed)), **values)


def begin_reading(scope: Scope) -> str:
    """Return the statements that open a transaction for reading one scope; the last returns its row."""
    return "; ".join(
        ("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", scope_settings(scope), _select_row(scope))
    )


def begin_writing(scope: Scope, *, durable: bool) -> str:
    """Return the statements that open a transaction as the scope's only writer; the last returns its row."""
    lock = f"SELECT pg_advisory_xact_lock({_lock_number(scope)})"
    relaxed = () if durable else ("SET LOCAL synchronous_commit = off",)
    return "; ".join(("BEGIN", *relaxed, scope_settings(scope), lock, _select_row(scope)))


def _select_row(scope: Scope) -> str:
    # As literals: a `Scope` holds nothing but letters, digits, `_`, `.` and `-`.
    return (
        f"SELECT {', '.join(_COLUMNS)} FROM scopes "  # noqa: S608 - see above
        f"WHERE tenant_id = '{scope.tenant_id}' AND project_id = '{scope.project_id}'"
    )


@lru_cache(maxsize=4096)
def _lock_number(scope: Scope) -> int:
    """Return the number that writers of the scope lock; two scopes with one number would only wait."""
    name = f"{scope.tenant_id}/{scope.project_id}".encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big", signed=True)


@lru_cache(maxsize=64)
def _insert(table: Table) -> Insert:
    return insert(table)


@lru_cache(maxsize=256)
def _row_update(changed: tuple[str, ...]) -> Update:
    values: dict[str, Any] = {
        name: scopes.c[name] + bindparam(f"new_{name}")
        if name in ScopeRow.COUNTERS
        else bindparam(f"new_{name}")
        for name in changed
    }
    return update(scopes).where(ours(scopes)).values(values)
