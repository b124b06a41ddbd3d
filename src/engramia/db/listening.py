"""Hearing of what other processes did: one thread with one connection that listens to one channel."""

import logging
import os
import select
import threading
from collections.abc import Callable

import psycopg

from engramia.db.session import Database, DeadlineConnection
from engramia.errors import StorageError

_log = logging.getLogger("engramia.storage")

_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0
"""Seconds before a connection is tried again: doubling, from the one to the other."""
_CHECK_EVERY = 15.0
"""Seconds of silence after which the server is asked whether it is still there."""
_CLOSING = 5.0


class Listener:
    """Calls `tell` whenever something is notified on `channel`, and each time it begins to listen anew.

    What is notified while the server cannot be reached is not heard, only that there may have been something.
    A connection that is lost is made again, sooner at first than later.
    """

    def __init__(self, database: Database, channel: str, tell: Callable[[], None]) -> None:
        self._database = database
        self._channel = channel
        self._tell = tell
        self._closing = threading.Event()
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._listen, name=f"listener to {channel}", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def close(self) -> None:
        """Return once `tell` is not called any more; a server that does not answer is left alone."""
        if not self._closing.is_set():
            os.write(self._waker, b"!")  # the thread closes it once told
            self._closing.set()
            self._thread.join(_CLOSING)

    def _listen(self) -> None:
        wait = _FIRST_WAIT
        while not self._closing.is_set():
            try:
                with self._database.listening(self._channel) as connection:
                    wait = _FIRST_WAIT
                    self._follow(connection)
            except StorageError as error:
                _log.warning("Nothing is heard on %s for now: %s", self._channel, error)
                self._closing.wait(wait)
                wait = min(2 * wait, _LONGEST_WAIT)
        os.close(self._wake)
        os.close(self._waker)

    def _follow(self, connection: DeadlineConnection) -> None:
        """Tell of everything until the connection is lost or the listener closed."""
        self._tell()
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while not self._closing.is_set():
            if not poll.poll(_CHECK_EVERY * 1000):
                connection.execute("SELECT 1")
            if self._heard(connection):
                self._tell()

    @staticmethod
    def _heard(connection: psycopg.Connection) -> bool:
        """Take in everything that has arrived; return whether it was anything."""
        return bool(list(connection.notifies(timeout=0)))
