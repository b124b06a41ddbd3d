"""A read replica beside the primary: used only where it has everything that was committed before."""

import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import TimeoutError as NoConnectionError

from engramia.db.position import Position, Positions
from engramia.db.session import Database, Limits
from engramia.errors import StorageError, StorageUnavailableError

_log = logging.getLogger("engramia.storage")

_PATIENCE_MS = 50
"""How long a read waits for the replica to catch up before the primary serves it."""
_PAUSE = 1.0
"""Seconds between two looks at the replica."""
_BEGIN_SECONDS = 0.5
_STATEMENT_SECONDS = 2.0
_POOL_SECONDS = 0.05
"""Wait for a connection to the replica: the primary has some too."""
_CONNECT_SECONDS = 1.0
_CLOSING = 5.0
_BEHIND = "EN001"
_PROMOTED = "EN002"
_FACTS = (
    "SELECT pg_is_in_recovery(), timeline_id, system_identifier::text, pg_last_wal_replay_lsn()::text, "
    "extract(epoch FROM now() - pg_last_xact_replay_timestamp())::float8 "
    "FROM pg_control_checkpoint(), pg_control_system()"
)
_SYSTEM = "SELECT system_identifier::text FROM pg_control_system()"
_NOT_YET = "It has not been looked at yet."
_LATE = f"It is more than {_PATIENCE_MS} ms behind the primary."
_PROMOTED_ALREADY = "It is no replica, or not any more."
_STRANGER = "It is a replica of another server than the primary."
_TIMELINE = "It follows another timeline than the primary's."


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """How the replica was when it was last looked at."""

    in_use: bool
    """Whether reads go to it."""
    reason: str | None
    """Why not."""
    lag_bytes: int | None
    """How much of the primary's log it has not replayed; None where that is not known."""
    lag_seconds: float | None
    """Age of the newest commit that it replayed, 0 if it has everything; None where that is not known."""


class Replica:
    """A streaming replica of `primary` at `url`, which takes reads that see all that was committed before.

    While it lags, is down or silent, nothing is read from it: it is looked at each second, by a thread that
    the first read starts, until it can be used again. `url` is the address of one server, not of several in
    turn.
    """

    def __init__(self, url: str, primary: Database) -> None:
        self.primary = primary
        self.database = Database(url, _hasty(primary.limits))
        self.positions = Positions(primary)
        self._system: str | None = None
        self._timeline: int | None = None
        self._state = ReplicaState(in_use=False, reason=_NOT_YET, lag_bytes=None, lag_seconds=None)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._watched = False
        self._watcher = threading.Thread(target=self._keep_looking, name="replica watch", daemon=True)

    @property
    def state(self) -> ReplicaState:
        """How the replica was when it was last looked at or used."""
        return self._state

    def open(self, stack: ExitStack, begin: str) -> tuple[Connection, Sequence[Any] | None] | None:
        """Open a transaction on the replica in `stack`; None where the primary has to serve.

        It sees everything that was committed before the call. Yields what `Database.transaction` does. Raises
        `StorageUnavailableError` while the primary does not answer: without it nobody knows what there is.
        """
        self._watch()
        if not self._state.in_use:
            return None
        try:
            position = self.positions.now()
        except StorageUnavailableError:
            raise
        except StorageError as error:
            self.rest(str(error))
            return None
        if position.timeline != self._timeline:
            self.rest(_TIMELINE)
            return None
        try:
            return stack.enter_context(self._transaction(f"{_gate(position)}; {begin}"))
        except StorageError as error:
            # With all connections in use it is well: the primary takes this one, and the next may find one.
            if not isinstance(error.__cause__, NoConnectionError):
                self.rest(_reason(error))
            return None

    def rest(self, reason: str) -> None:
        """Send nothing more to the replica until it was looked at again."""
        self._note(replace(self._state, in_use=False, reason=reason))

    def look(self) -> ReplicaState:
        """Look at the replica now, use it or not from here on, and return how it is.

        Raises `StorageError` if the primary does not answer, or is none.
        """
        position = self.positions.now()
        try:
            reason, replayed, age = self._see(position)
        except StorageError as error:
            reason, replayed, age = _reason(error), None, None
        lag = None if replayed is None else max(0, _bytes(position.lsn) - _bytes(replayed))
        self._note(ReplicaState(reason is None, reason, lag, 0.0 if reason is None else age))
        return self._state

    def close(self) -> None:
        """Stop looking, and close the connections that are not in use."""
        self._closing.set()
        if self._watcher.is_alive():
            self._watcher.join(_CLOSING)
        self.database.dispose()

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[tuple[Connection, Sequence[Any] | None]]:
        with ExitStack() as inner:
            yield inner.enter_context(self.database.transaction(begin, reads=True))
            try:
                inner.close()
            except StorageError as error:
                self.rest(_reason(error))  # everything has been read: that the end failed harms nobody

    def _note(self, state: ReplicaState) -> None:
        with self._lock:
            before, self._state = self._state, state
        if before.in_use and not state.in_use:
            _log.warning("The primary serves all reads for now, not its replica: %s", state.reason)
        if state.in_use and not before.in_use:
            _log.info("Reads go to the replica.")

    def _see(self, position: Position) -> tuple[str | None, str | None, float | None]:
        """Return why the replica cannot be used, if so; what it replayed; and how many seconds ago."""
        facts = self.database.ask(_FACTS)
        system = self._primary_system()
        if facts is None:
            raise StorageError("The replica tells nothing about itself.")
        follows, self._timeline, own_system, replayed, age = facts
        if not follows:
            return _PROMOTED_ALREADY, None, None
        if own_system != system:
            return _STRANGER, None, None
        if self._timeline != position.timeline:
            return _TIMELINE, replayed, age
        try:
            self.database.ask(_gate(position))
        except StorageError as error:
            return _reason(error), replayed, age
        return None, position.lsn, age

    def _primary_system(self) -> object:
        """Return the number that a cluster and all its replicas have; it never changes."""
        if self._system is None:
            row = self.primary.ask(_SYSTEM)
            self._system = None if row is None else row[0]
        return self._system

    def _watch(self) -> None:
        """Start looking, once."""
        if self._watched:
            return
        with self._lock:
            started, self._watched = self._watched, True
        if not started:
            self._watcher.start()

    def _keep_looking(self) -> None:
        waits = False
        while not self._closing.wait(_PAUSE if waits else 0):
            waits = True
            with contextlib.suppress(StorageError):  # if the primary is down, each read says so
                self.look()


def _hasty(limits: Limits) -> Limits:
    """Return the limits of a server that need not be waited for."""
    return replace(
        limits,
        pool_timeout=_POOL_SECONDS,
        connect_timeout=_CONNECT_SECONDS,
        begin_timeout=_BEGIN_SECONDS,
        statement_timeout=min(limits.statement_timeout, _STATEMENT_SECONDS),
        lock_timeout=min(limits.lock_timeout, _STATEMENT_SECONDS),
    )


def _gate(position: Position) -> str:
    """Return statements that fail unless the replica has replayed its log up to `position` or does so soon.

    They are a transaction of their own: the snapshot of the one that reads must be taken after it.
    """
    return f"""BEGIN; DO $$
        DECLARE until timestamptz := clock_timestamp() + interval '{_PATIENCE_MS} ms';
        BEGIN
            IF NOT pg_is_in_recovery() THEN
                RAISE EXCEPTION '{_PROMOTED_ALREADY}' USING ERRCODE = '{_PROMOTED}';
            END IF;
            WHILE pg_last_wal_replay_lsn() >= '{position.lsn}' IS NOT TRUE LOOP
                IF clock_timestamp() > until THEN
                    RAISE EXCEPTION '{_LATE}' USING ERRCODE = '{_BEHIND}';
                END IF;
                PERFORM pg_sleep(0.001);
            END LOOP;
        END $$; COMMIT"""


def _reason(error: StorageError) -> str:
    """Return what an error of the replica says, in a sentence."""
    state = getattr(error.__cause__, "sqlstate", None)
    return {_BEHIND: _LATE, _PROMOTED: _PROMOTED_ALREADY}.get(state or "", str(error))


def _bytes(lsn: str) -> int:
    """Return a position as a number of bytes."""
    high, low = lsn.split("/")
    return int(high, 16) << 32 | int(low, 16)
