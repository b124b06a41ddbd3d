"""Connections and transactions: a pool that heals, a deadline on every wait, one scope per transaction."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import psycopg
from pgvector.psycopg.vector import register_vector_info
from psycopg import errors as pg
from psycopg import generators
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from psycopg.types import TypeInfo
from sqlalchemy import Connection, Engine, NullPool, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from engramia.db.base import APP_ROLE
from engramia.db.bigints import register_bigints
from engramia.db.driver import Due, Statement, send
from engramia.db.faults import OUTDATED, translated
from engramia.errors import StorageError

_DRIVER = "postgresql+psycopg"
_DRIVERS = frozenset({"postgres", "postgresql", _DRIVER})
_GRACE = 1.0
"""Seconds that the server has to report its own timeout before we hang up."""
_SETTLED = ("jit = off", "timezone = 'UTC'", "hnsw.iterative_scan = relaxed_order", "hnsw.ef_search = 100")
"""What holds for every connection. Compiling takes longer than any statement here runs."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections, and how long to wait, in seconds."""

    pool_size: int = 10
    """Connections that are kept open."""
    overflow: int = 10
    """Connections opened beyond them under load, and closed again."""
    pool_timeout: float = 3.0
    """Wait for a free connection."""
    connect_timeout: float = 3.0
    statement_timeout: float = 3.5
    """For one statement; long work asks for more by `patience`."""
    lock_timeout: float = 3.5
    """Wait for another writer of the same scope."""
    idle_timeout: float = 20.0
    """How long a writing transaction may say nothing: its process may have been stopped."""
    begin_timeout: float | None = None
    """For the message that begins a transaction, where it is less than for any other."""

    @property
    def longest(self) -> float:
        return max(self.statement_timeout, self.lock_timeout)


def parse_url(url: str) -> URL:
    """Return a Postgres address for SQLAlchemy with psycopg; `StorageError` without it if it is none."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.drivername not in _DRIVERS:
        # The address is not repeated: it may hold a password.
        raise StorageError("The database's address must read postgresql://user:password@host:port/database.")
    return parsed.set(drivername=_DRIVER)


class SilentServerError(psycopg.OperationalError):
    """The server did not answer before the deadline; the connection is closed."""


class DeadlineConnection(psycopg.Connection[Any]):
    """A connection that hangs up when the server is silent for longer than `deadline` seconds.

    A frozen server does not run its own timeouts, and its kernel goes on acknowledging packets.
    """

    deadline: float | None = None
    unheard = False
    """Whether the server was sent something whose answer nobody has waited for."""

    def send_off(self, statement: bytes) -> None:
        """Send a statement without waiting for its answer; `hear_out` takes it before the next one."""
        self.pgconn.send_query(statement)
        self.unheard = True
        self.wait(generators.send(self.pgconn))

    def hear_out(self) -> None:
        """Take the answer that nobody has waited for, whatever it is."""
        if self.unheard:
            self.wait(generators.fetch_many(self.pgconn))
            self.unheard = False

    def hear(self) -> None:
        """Raise if the server has hung up; it is asked nothing."""
        for _ in ("its last words", "the end"):
            self.pgconn.consume_input()

    def wait[T](self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Consume what the connection waits for."""
        if timeout is not None or self.deadline is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.deadline)
        except pg._WaitTimeout as error:  # noqa: SLF001 - psycopg names it so and documents that callers convert it
            self.close()
            raise SilentServerError(f"no answer within {self.deadline:g} s") from error

    def __del__(self, /, *_: object) -> None:
        """Hang up, as psycopg's own does, but without a warning.

        SQLAlchemy lets go of open ones if a server fails amid its first questions to it, or if they come back
        to a pool that was disposed of meanwhile.
        """
        if hasattr(self, "pgconn"):
            self.pgconn.finish()


class Database:
    """A pool of connections that act as the application's role. Nothing is opened until it is first used."""

    def __init__(self, url: str, limits: Limits) -> None:
        self.limits = limits
        self._vector: TypeInfo | None = None
        address = parse_url(url)
        self.engine = create_engine(
            address,
            # Transactions are begun by hand, with all that goes with one in a single message.
            isolation_level="AUTOCOMMIT",
            pool_size=limits.pool_size,
            max_overflow=limits.overflow,
            pool_timeout=limits.pool_timeout,
            pool_use_lifo=True,
            pool_reset_on_return=None,
        )
        event.listen(self.engine, "reset", _reset)
        self._apart = create_engine(address, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        for engine in (self.engine, self._apart):
            event.listen(engine, "do_connect", self._connect)

    @contextlib.contextmanager
    def transaction(
        self, begin: str, *, apart: bool = False, reads: bool = False
    ) -> Iterator[tuple[Connection, Sequence[Any] | None]]:
        """Open a transaction by the statements `begin`, and commit it when the block is left normally.

        Where the block has sent the COMMIT itself, with its last writes, no other is sent. Yields the
        connection and the row that the last of the statements returned; they are one message to the server.
        What the database raises in the block leaves it as a `StorageError`. With `apart` the connection is
        none of the pool's, for what goes on for long. With `reads` nothing was written, so that nobody waits
        for the end: who has the connection next hears of it.
        """
        run = partial(_run, statements=begin)
        with translated(), self._begun(self._apart if apart else self.engine, run) as (connection, row):
            try:
                yield connection, row
            except BaseException:
                _roll_back(connection)
                raise
            driver = _driver(connection)
            if reads and not connection.in_transaction():  # SQLAlchemy waits for the end of its own
                driver.hear()
                driver.send_off(b"COMMIT")
            elif driver.pgconn.transaction_status != TransactionStatus.IDLE:
                _run(connection, "COMMIT")

    def ask(self, statement: str) -> Sequence[Any] | None:
        """Run one statement without parameters or transaction, in one round trip; return its first row."""
        with translated(), self._begun(self.engine, partial(_run, statements=statement)) as (_, row):
            return row

    def at_once(self, settings: Statement, writes: Due) -> None:
        """Do all of a transaction in one message: what it writes, after what holds for it alone."""
        # A message without BEGIN and COMMIT is a transaction too, and done sooner. But the driver ends also
        # one that it could not put together to the end, and would keep some of several writes.
        alone = len(writes) == 1
        message = [settings, *writes] if alone else [("BEGIN", ()), settings, *writes, ("COMMIT", ())]
        with translated(), self._begun(self.engine, lambda lent: _driver(lent).hear()) as (connection, _):
            try:
                send(connection, message)
            except BaseException:
                _roll_back(connection)
                raise

    @contextlib.contextmanager
    def _begun[T](self, engine: Engine, begin: Callable[[Connection], T]) -> Iterator[tuple[Connection, T]]:
        """Yield a connection and what `begin` returned for it, past those that died while nobody used them.

        What `begin` does must be without effect if the connection is lost.
        """
        begun = time.monotonic()
        deadline = begun + self.limits.pool_timeout + self.limits.connect_timeout
        while True:
            connection = engine.connect()
            try:
                with _hurry(connection, self._patience_to_begin(time.monotonic() - begun)):
                    _driver(connection).hear_out()
                    answer = begin(connection)
            except psycopg.Error as error:
                dead = _driver(connection).closed and not isinstance(error, SilentServerError)
                _hand_back(connection, error)
                if dead and time.monotonic() < deadline:
                    continue  # nothing was done yet, and the server may have been restarted since
                raise
            try:
                yield connection, answer
            finally:
                _hand_back(connection, None)
            return

    def _patience_to_begin(self, waited: float) -> float:
        """Return how long to wait for the first answer, who has waited for a connection already."""
        longest = self.limits.begin_timeout or self.limits.longest + _GRACE
        return max(_GRACE, min(longest, self.limits.longest + _GRACE - waited))

    @contextlib.contextmanager
    def listening(self, channel: str) -> Iterator[DeadlineConnection]:
        """Lend a connection that is none of the pool's and is told what is notified on `channel`."""
        with translated():
            connection = self._apart.connect()
            try:
                _run(connection, f"LISTEN {channel}")
                yield _driver(connection)
            finally:
                _hand_back(connection, None)

    def dispose(self) -> None:
        """Close all connections that are not in use."""
        self.engine.dispose()

    def _connect(
        self, _dialect: object, _record: object, args: list[Any], parameters: dict[str, Any]
    ) -> DeadlineConnection:
        limits = self.limits
        defaults: dict[str, Any] = {
            "application_name": "engramia",
            "connect_timeout": int(limits.connect_timeout),
        }
        connection = DeadlineConnection.connect(*args, **(defaults | parameters))
        try:
            connection.deadline = limits.connect_timeout
            self._settle(connection)
            connection.deadline = limits.longest + _GRACE
        except BaseException:
            connection.close()
            raise
        return connection

    def _settle(self, connection: DeadlineConnection) -> None:
        """Give a new connection its role, its timeouts, and its way to send vectors."""
        limits = self.limits
        timeouts = {"statement_timeout": limits.statement_timeout, "lock_timeout": limits.lock_timeout}
        settings = [*_SETTLED, *(f"{name} = {int(seconds * 1000)}" for name, seconds in timeouts.items())]
        connection.autocommit = True
        try:
            connection.execute(f"SET ROLE {APP_ROLE}; " + "; ".join(f"SET {setting}" for setting in settings))
        except (pg.InvalidParameterValue, pg.UndefinedObject) as error:
            raise StorageError(OUTDATED) from error
        if self._vector is None:
            self._vector = TypeInfo.fetch(connection, "vector")
        if self._vector is None:
            raise StorageError(OUTDATED)
        register_vector_info(connection, self._vector)
        register_bigints(connection)


@contextlib.contextmanager
def patience(connection: Connection, seconds: float) -> Iterator[None]:
    """Let the statements of the block, in this transaction, take up to `seconds` each."""
    driver = _driver(connection)
    deadline, driver.deadline = driver.deadline, seconds + _GRACE
    _run(connection, f"SET LOCAL statement_timeout = {int(seconds * 1000)}")
    try:
        yield
    finally:
        driver.deadline = deadline


@contextlib.contextmanager
def _hurry(connection: Connection, seconds: float) -> Iterator[None]:
    """Wait no longer than `seconds` for the server in the block."""
    driver = _driver(connection)
    deadline = driver.deadline
    driver.deadline = seconds
    try:
        yield
    finally:
        driver.deadline = deadline


def _driver(connection: Connection) -> DeadlineConnection:
    return cast("DeadlineConnection", connection.connection.driver_connection)


def _run(connection: Connection, statements: str) -> Sequence[Any] | None:
    """Send statements without parameters as one message; return the first row of the last one, if any."""
    with _driver(connection).cursor() as cursor:
        cursor.execute(statements, prepare=False)
        while cursor.nextset():
            pass
        # `description` would say the same, at the price of an object for each column.
        has_rows = cursor.pgresult is not None and cursor.pgresult.nfields > 0
        return cursor.fetchone() if has_rows else None


def _roll_back(connection: Connection) -> None:
    """Undo the transaction; if the connection is lost, the server has done so or will."""
    if not connection.invalidated and not _driver(connection).closed:
        with contextlib.suppress(psycopg.Error):
            _run(connection, "ROLLBACK")


def _reset(connection: DeadlineConnection, *_: object) -> None:
    """Undo what a connection still has open when it comes back to its pool."""
    if not connection.unheard:
        connection.rollback()


def _hand_back(connection: Connection, error: psycopg.Error | None) -> None:
    """Return the connection to its pool, or drop it if it is lost."""
    if not connection.invalidated and _driver(connection).closed:
        connection.invalidate(error)
    connection.close()
