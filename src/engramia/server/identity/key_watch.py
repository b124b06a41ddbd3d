"""Hears of changes to keys, and says how long what is kept of them may be believed.

A thread asks the database several times a second for the number of the last change, and at once when it is
told of one. So a lost notification, a cut network or a silent server cost nothing but speed: what is kept is
believed for less than a second after the last answer.
"""

import logging
import selectors
import threading
import time

from engramia.db.scoped import service_settings
from engramia.db.session import Database, DeadlineConnection
from engramia.errors import StorageError
from engramia.server.identity.key_cache import KeyCache
from engramia.server.keys.repository import CHANGES, CHANNEL

_log = logging.getLogger("engramia.auth")

PING_SECONDS = 0.2
TRUST_SECONDS = 0.7
"""Counted from when the question was sent, so that nothing that came after it is believed for longer."""
_ANSWER_SECONDS = 0.5
_RETRY_SECONDS = 0.3
_GAP_MAX = 1_000
"""More changes than this since the last answer are not told apart."""

# For this connection alone, which is nobody else's.
_SETTLE = service_settings().replace("true)", "false)")
_LAST_CHANGE = f"SELECT value FROM service_counters WHERE name = '{CHANGES}'"  # noqa: S608 - a constant


class KeyWatch:
    """One thread that keeps a `KeyCache` true."""

    def __init__(self, database: Database, cache: KeyCache) -> None:
        self._database = database
        self._cache = cache
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engramia-key-watch", daemon=True)
        self._told: dict[int, str] = {}
        """Tenants of changes that were told, by number."""
        self._seen: int | None = None

    def start(self) -> None:
        """Begin to listen; until the database is heard, nothing that is kept is believed."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_ANSWER_SECONDS + _RETRY_SECONDS)
        self._cache.clear()

    def _run(self) -> None:
        quiet = False
        while not self._stopping.is_set():
            try:
                with self._database.listening(CHANNEL) as connection:
                    quiet = False
                    self._listen(connection)
            except StorageError as error:
                if not quiet:
                    _log.warning("The database is not heard, so every request asks it for its key: %s", error)
                quiet = True
            self._stopping.wait(_RETRY_SECONDS)

    def _listen(self, connection: DeadlineConnection) -> None:
        connection.deadline = _ANSWER_SECONDS
        connection.add_notify_handler(lambda notice: self._hear(notice.payload))
        connection.execute(_SETTLE)
        # What was missed while nobody listened is not known.
        self._cache.clear()
        self._told.clear()
        self._seen = None
        with selectors.DefaultSelector() as selector:
            selector.register(connection.fileno(), selectors.EVENT_READ)
            while not self._stopping.is_set():
                self._ask(connection)
                selector.select(PING_SECONDS)

    def _ask(self, connection: DeadlineConnection) -> None:
        asked = time.monotonic()
        row = connection.execute(_LAST_CHANGE).fetchone()
        self._follow(0 if row is None else row[0])
        self._cache.trust(asked + TRUST_SECONDS)

    def _hear(self, payload: str) -> None:
        number, _, tenant_id = payload.partition(" ")
        if number.isdecimal() and tenant_id:
            self._told[int(number)] = tenant_id

    def _follow(self, last: int) -> None:
        """Forget what the changes up to number `last` were about; everything, if one was not told."""
        if self._seen is not None and 0 <= last - self._seen <= _GAP_MAX:
            tenants = [self._told.get(number) for number in range(self._seen + 1, last + 1)]
            for tenant_id in set(tenants):
                if tenant_id is None:
                    self._cache.clear()
                else:
                    self._cache.drop(tenant_id)
        else:
            self._cache.clear()
        self._seen = last
        self._told = {number: tenant for number, tenant in self._told.items() if number > last}
