"""What the stores of one `reading()` or `writing()` block share: the connection and the row of the scope."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar

from psycopg import errors as pg
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
    text,
    update,
)

from engramia.core.model import Scope
from engramia.db.driver import Due, Statement, fetch, fetch_each, insertions, ready, send
from engramia.db.faults import translated
from engramia.db.session import patience
from engramia.errors import StorageError, StorageUnavailableError
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
    jobs_due: datetime | None = None
    revision: int = 0

    COUNTERS: ClassVar = frozenset({"patterns", "dense", "runs", "successes", "recalls", "reused"})


COLUMNS = tuple(field.name for field in fields(ScopeRow))
_REQUIRED = COLUMNS.index("next_number")
_NO_ROW = (None, 0, *(None for _ in COLUMNS))
_SEEN = ("embedding_model", "dimension", "next_number", "words_epoch", "patterns", "dense")
"""What does not change unless searches see something else."""
_SAVEPOINT, _BACK = text("SAVEPOINT asked"), text("ROLLBACK TO SAVEPOINT asked")
_DURABLE = text("SET LOCAL synchronous_commit TO DEFAULT")
_COMMIT: Statement = ("COMMIT", ())


type Opened = tuple[Connection, Sequence[Any] | None]
"""A transaction that has begun: its connection, and the row of its scope."""


@dataclass(frozen=True, slots=True)
class Late:
    """How a transaction goes on that is not begun before it asks anything."""

    begin: Callable[[], Opened]
    at_once: Callable[[Due], None]
    """Does all that the transaction writes in one message, if it never asked anything."""


def ours(table: Table) -> ColumnElement[bool]:
    """Return the condition that a row of `table` is the scope's; `ScopeTransaction` fills it in."""
    return and_(table.c.tenant_id == bindparam("of_tenant"), table.c.project_id == bindparam("of_project"))


class ScopeTransaction:
    """An open transaction over one scope. Its stores are of no use once the block is left."""

    def __init__(
        self,
        connection: Connection | None,
        scope: Scope,
        row: Sequence[Any] | None,
        *,
        writable: bool,
        elsewhere: Callable[[StorageError], Opened | None] | None = None,
        late: Late | None = None,
    ) -> None:
        """Work on `connection`; without one, as `late` says, and then nothing need be durable.

        `elsewhere` opens the transaction anew if it is lost, None if it cannot.
        """
        self._late = late
        self._elsewhere = elsewhere
        self._asked = False
        self._writable, self._durable = writable, late is None
        self._open = True
        self._broken = False
        self.scope = scope
        if connection is not None:
            self._take(connection, row)
        self.before_commit: list[Callable[[], None]] = []
        """What the stores still have to write, in order."""
        self._held_back: list[Statement] = []
        self._persist_until: float | None = None

    def _take(self, connection: Connection, row: Sequence[Any] | None) -> None:
        """Go on from what the beginning of the transaction answered."""
        given: Sequence[Any] = _NO_ROW if row is None else row
        self._opened = connection
        self.server: object = given[0]
        """Which run of which server this is: what was remembered of another is not known here."""
        self._fresh: int = given[1]
        values = given[2:]
        self._there = values[_REQUIRED] is not None
        self._before = ScopeRow(*values) if self._there else ScopeRow()
        self._row = replace(self._before)

    def _begin(self) -> None:
        """Begin the transaction if that has not been done yet."""
        if self._late is not None:
            opened = self._late.begin()
            self._late = None
            self._take(*opened)

    @property
    def begun(self) -> bool:
        """Whether anything was asked yet, so that the row of the scope is known."""
        return self._late is None

    @property
    def row(self) -> ScopeRow:
        """The row of the scope, with what this transaction changes in it."""
        self._begin()
        return self._row

    @property
    def _connection(self) -> Connection:
        self._begin()
        return self._opened

    def persist(self, seconds: float) -> None:
        """Repeat statements that take too long, for up to `seconds` from now.

        What the server has read from its disk it has then, so that each goes further than the one before;
        a server that says nothing at all is waited for no longer than ever. Only for blocks for reading.
        """
        if not self._writable:
            self.execute(_SAVEPOINT)
            self._persist_until = time.monotonic() + seconds

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

    def fetch(self, statement: Executable, **values: Any) -> list[Any]:
        """Return the rows of a statement as `execute` does, as named tuples, in a fraction of the time."""
        due = self._take_due()
        return self._ask(lambda: fetch(self._connection, statement, self._of | values, after=due))

    def fetch_each(
        self, *statements: Executable, meanwhile: Callable[[], object] | None = None, **values: Any
    ) -> list[list[Any]]:
        """Return the rows of statements over the same values, as `fetch` does, all in one message.

        `meanwhile` may be done while the server works, or not, or more than once.
        """
        if self._persist_until is not None:
            # Each may take as long as is waited for one message.
            return [self.fetch(statement, **values) for statement in statements]
        due = self._take_due()
        return self._ask(
            lambda: fetch_each(
                self._connection, statements, self._of | values, after=due, meanwhile=meanwhile
            )
        )

    def _take_due(self) -> list[Statement]:
        """Return what is held back, to be sent with what follows."""
        self.check_open()
        due, self._held_back = self._held_back, []
        return due

    def fetch_after(self, first: Executable, statement: Executable, **values: Any) -> list[Any]:
        """Do what `fetch` does right after a statement without rows, in one message with it."""
        self.check_open()
        self._held_back.append(ready(first, {}))
        return self.fetch(statement, **values)

    def fetch_each_after(self, first: Executable, *statements: Executable, **values: Any) -> list[list[Any]]:
        """Do what `fetch_each` does right after a statement without rows, in one message with it."""
        self.check_open()
        self._held_back.append(ready(first, {}))
        return self.fetch_each(*statements, **values)

    def write_later(self, statement: Executable, **values: Any) -> None:
        """Write before the next statement or the end, in one message with what else is held back."""
        self.check_writable()
        self._held_back.append(ready(statement, self._of | values))

    def insert_later(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows, given without the scope, when `write_later` would write."""
        self.check_writable()
        self._held_back += insertions(table, [self._ids | dict(row) for row in rows])

    def revise(self) -> int:
        """Note that what a search can see changes; return the revision that changed patterns must bear."""
        row = self.row
        row.revision = self._fresh
        return self._fresh

    def write(self, statement: Executable, **values: Any) -> int:
        """Run a statement that writes, as `execute` does; return how many rows it wrote."""
        self.check_writable()
        return self.execute(statement, **values).rowcount

    def insert(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows, given without the scope."""
        self.check_writable()
        if rows:
            self._run(_insert(table), [self._ids | dict(row) for row in rows])

    def finish(self) -> None:
        """Write what the stores and the row of the scope still hold back, and commit in the same message."""
        for write in self.before_commit:
            write()
        if self._broken:
            raise StorageError("A write of this transaction failed; nothing of it was kept.")
        if self._late is not None:
            if self._held_back:
                self._late.at_once(self._held_back)
            return
        self._keep_row()
        if self._held_back:
            self._held_back.append(_COMMIT)
            self._send()

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
        row = [self.server, self._fresh, *(getattr(self.row, name) for name in COLUMNS)]
        return ScopeTransaction(connection, self.scope, row, writable=False)

    @property
    def _of(self) -> dict[str, Any]:
        return {"of_tenant": self.scope.tenant_id, "of_project": self.scope.project_id}

    @property
    def _ids(self) -> dict[str, Any]:
        return {"tenant_id": self.scope.tenant_id, "project_id": self.scope.project_id}

    def _send(self) -> None:
        """Write what is held back."""
        due, self._held_back = self._held_back, []
        if not due:
            return
        self._ask(lambda: send(self._connection, due))

    def _run(self, statement: Executable, values: Any) -> CursorResult[Any]:
        self.check_open()
        self._send()
        return self._ask(lambda: self._connection.execute(statement, values))

    def _ask[T](self, run: Callable[[], T]) -> T:
        """Run statements on the connection, and once more elsewhere if it is lost and they only read."""
        try:
            with translated():
                answer = run()
        except BaseException as error:
            if isinstance(error, StorageUnavailableError) and (self._again(error) or self._move(error)):
                return self._ask(run)
            self._broken = True
            raise
        self._asked = True
        return answer

    def _again(self, error: StorageError) -> bool:
        """Prepare to repeat a statement that took too long; return whether it is to be repeated."""
        until = self._persist_until
        late = until is None or time.monotonic() >= until
        if late or not isinstance(error.__cause__, pg.QueryCanceled):
            return False
        with translated():
            send(self._connection, [ready(_BACK, {})])
        return True

    def _move(self, error: StorageError) -> bool:
        """Go on elsewhere if what was read so far is the same there; return whether that is so."""
        elsewhere, self._elsewhere = self._elsewhere, None
        opened = None if elsewhere is None else elsewhere(error)
        if opened is None:
            return False
        there = ScopeTransaction(opened[0], self.scope, opened[1], writable=False)
        known = ("revision", "embedding_model") if self._asked else ("embedding_model",)
        if any(getattr(there.row, name) != getattr(self.row, name) for name in known):
            return False
        self._opened, self.server, self._row = opened[0], there.server, there.row
        self._persist_until = None  # there is no savepoint there
        return True

    def _keep_row(self) -> None:
        if any(getattr(self.row, name) != getattr(self._before, name) for name in _SEEN):
            self.revise()
        changed = [name for name in COLUMNS if getattr(self.row, name) != getattr(self._before, name)]
        if not changed:
            return
        if "revision" in changed and not self._durable:
            # Whoever has seen a revision must never see it again with something else in it, after a crash.
            self.write_later(_DURABLE)
        if not self._there:
            self.insert_later(scopes, [{name: getattr(self.row, name) for name in COLUMNS}])
            return
        values = {f"new_{name}": getattr(self.row, name) for name in changed}
        for name in ScopeRow.COUNTERS.intersection(changed):
            values[f"new_{name}"] -= getattr(self._before, name)
        self.write_later(_row_update(tuple(changed)), **values)


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
