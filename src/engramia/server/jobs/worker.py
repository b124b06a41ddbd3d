"""The worker: takes up due jobs of all scopes and runs some at a time."""

import logging
import threading
import time
from datetime import datetime

from engramia.core.model import Scope
from engramia.core.ports import Storage, Subscription
from engramia.errors import StorageError
from engramia.server.jobs.claim import Claim
from engramia.server.jobs.claims import Claims
from engramia.server.jobs.equipment import Equipment
from engramia.server.jobs.run import Run

_log = logging.getLogger("engramia.jobs")

_GIVING_BACK = 5.0
"""How many seconds `stop` spends on giving a job back; after that its lease has to run out."""


class Worker:
    """Runs jobs in threads of this process, a job of each scope in turn; other workers may share its storage.

    `wake` is set by whoever hands in a job in this process; of those of other processes the storage tells, if
    it can, and if not, they are noticed within the poll interval.
    """

    def __init__(
        self, storage: Storage, equipment: Equipment, *, wake: threading.Event | None = None
    ) -> None:
        self.wake = wake or threading.Event()
        self._storage = storage
        self._equipment = equipment
        self._claims = Claims(storage, equipment)
        self._slots = threading.Semaphore(equipment.pace.max_concurrent)
        self._stopping = threading.Event()
        self._told = 0.0
        self._lock = threading.Lock()
        self._runs: set[Run] = set()
        self._announcements: Subscription | None = None
        self._dispatcher = threading.Thread(target=self._dispatch, name="job dispatcher", daemon=True)

    def start(self) -> None:
        """Begin to take up jobs."""
        self._announcements = self._storage.announce_jobs(self.wake.set)
        self._dispatcher.start()

    def drain(self) -> None:
        """Take up no more from now on; what runs goes on."""
        if self._stopping.is_set():
            return
        self._told = time.monotonic()
        self._stopping.set()
        self.wake.set()
        self._slots.release()  # the dispatcher may be waiting for one

    def stop(self, timeout: float) -> None:
        """Drain, wait for what runs until `timeout` seconds after that, give the rest back to the queue."""
        self.drain()
        ends = self._told + timeout
        if self._announcements is not None:
            self._announcements.close()
        if self._dispatcher.ident is not None:
            self._dispatcher.join(timeout)
        late = [run for run in self._running() if not run.join(ends - time.monotonic())]
        for run in late:
            run.give_back(_GIVING_BACK)

    def _running(self) -> list[Run]:
        with self._lock:
            return list(self._runs)

    def _dispatch(self) -> None:
        while not self._stopping.is_set():
            self.wake.clear()
            self._claims.next_due = None
            try:
                found = self._round()
            except StorageError as error:
                _log.warning("No jobs can be looked for: %s", error)
                found = False
            except Exception:  # noqa: BLE001 - a worker that stops looking for jobs would be noticed by nobody
                _log.exception("Looking for jobs failed")
                found = False
            if not (found or self._stopping.is_set()):
                self.wake.wait(self._patience())

    def _round(self) -> bool:
        """Take up at most one job of each scope, as soon as there is room; return whether any was due."""
        found = False
        for scope, due in self._storage.scopes_with_jobs().items():
            if claim := self._take(scope, due):
                found = True
                self._begin(claim)
        return found

    def _take(self, scope: Scope, due: datetime | None) -> Claim | None:
        """Return a claim and occupy a slot, or neither."""
        self._slots.acquire()
        claim = None
        try:
            claim = None if self._stopping.is_set() else self._claims.take(scope, due)
            if claim and self._stopping.is_set():
                claim.release()
                claim = None
        finally:
            if claim is None:
                self._slots.release()
        return claim

    def _begin(self, claim: Claim) -> None:
        """Run the claimed job; the slot is free again when it is over."""
        run = Run(claim, self._equipment, self._ended)
        with self._lock:
            self._runs.add(run)
        run.start()

    def _ended(self, run: Run) -> None:
        with self._lock:
            self._runs.discard(run)
        self._slots.release()

    def _patience(self) -> float:
        """Return how many seconds to wait unless something is handed in."""
        poll, due = self._equipment.pace.poll_interval, self._claims.next_due
        if due is None:
            return poll
        return min(poll, max(0.0, (due - self._equipment.clock.now()).total_seconds()))
