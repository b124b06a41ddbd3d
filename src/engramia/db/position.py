"""How far the primary's log is on disk: what a replica must have replayed before it may answer."""

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass

from engramia.db.session import Database
from engramia.errors import StorageUnavailableError

_POSITION = (
    "SELECT lsn::text, left(pg_walfile_name(lsn), 8), "
    "(lsn - '0/0') % current_setting('wal_block_size')::int = 0 "
    "FROM (SELECT pg_current_wal_flush_lsn() AS lsn) AS flushed"
)
# The log is flushed by whole pages at times, which ends in the middle of a record that no replica can replay
# before the rest of it comes, up to three times `wal_writer_delay` later. A record of our own that is flushed
# at its end brings it at once, and that happens a few times a second at most.
_FLUSH = "SELECT pg_logical_emit_message(true, 'engramia', '')"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the log of one timeline; `lsn` as Postgres writes it."""

    lsn: str
    timeline: int


class Positions:
    """Asks the primary for its position, one question at a time for all threads that wait."""

    def __init__(self, primary: Database) -> None:
        self._primary = primary
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._waiting: Future[Position] | None = None
        self._failed_at = 0.0
        self.asked = 0
        """Questions put so far."""

    def now(self) -> Position:
        """Return a position that holds all that was committed before the call.

        Raises `StorageUnavailableError` if the primary does not answer, other `StorageError` if it is none.
        """
        with self._lock:
            future, leads = self._waiting, self._waiting is None
            if future is None:
                future = self._waiting = Future()
        if leads:
            self._lead(future)
        return future.result()

    def _lead(self, future: Future[Position]) -> None:
        """Ask for all who wait; whoever comes once it is asked needs an answer to a later question."""
        came = time.monotonic()
        with self._turn:
            with self._lock:
                self._waiting = None
            try:
                future.set_result(self._ask(came))
            except BaseException as error:  # noqa: BLE001 - the others wait for it, and `result` raises it here
                future.set_exception(error)

    def _ask(self, came: float) -> Position:
        if self._failed_at > came:
            # Else each in the line would wait for a server that is silent as long as the one before it.
            raise StorageUnavailableError("The database did not answer in time.")
        self.asked += 1
        try:
            lsn, timeline, inside = self._primary.ask(_POSITION) or ("", "", False)
            if inside:
                self._primary.ask(_FLUSH)
                lsn, timeline, _ = self._primary.ask(_POSITION) or ("", "", False)
        except StorageUnavailableError:
            self._failed_at = time.monotonic()
            raise
        return Position(lsn, int(timeline, 16))
