"""Notes when keys were last used: seldom, and never on a request's way."""

import logging
import threading
from collections import defaultdict
from datetime import datetime, timedelta

from engramia.errors import StorageError
from engramia.server.keys.model import Key
from engramia.server.keys.service import KeyService

_log = logging.getLogger("engramia.auth")

SELDOM = timedelta(minutes=1)
FLUSH_SECONDS = 2.0
_WAITING_MAX = 50_000


class KeyUsage:
    """Gathers uses and writes them from a thread of its own, each key's at most once a minute."""

    def __init__(self, service: KeyService) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._noted: dict[tuple[str, str], datetime] = {}
        self._waiting: dict[tuple[str, str], datetime] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engramia-key-usage", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is there once more, and then no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(FLUSH_SECONDS)

    def note(self, key: Key, now: datetime) -> None:
        """Note that a key is used; returns at once."""
        whose = (key.scope.tenant_id, key.id)
        with self._lock:
            last = self._noted.get(whose) or key.last_used_at
            if (last is not None and now - last < SELDOM) or len(self._waiting) >= _WAITING_MAX:
                return
            self._noted[whose] = self._waiting[whose] = now

    def _run(self) -> None:
        while not self._stopping.wait(FLUSH_SECONDS):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            limit = max(waiting.values(), default=None)
            if limit is not None:
                self._noted = {whose: at for whose, at in self._noted.items() if limit - at < SELDOM}
        by_tenant = defaultdict[str, dict[str, datetime]](dict)
        for (tenant_id, key_id), at in waiting.items():
            by_tenant[tenant_id][key_id] = at
        try:
            for tenant_id, uses in by_tenant.items():
                self._service.note_uses(tenant_id, uses, SELDOM)
        except StorageError as error:
            _log.info("When keys were last used is not noted just now: %s", error)
