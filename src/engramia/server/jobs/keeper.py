"""Keeping a claim alive while its job runs, and ending it from outside."""

import logging
import threading
import time

from engramia.core.jobs import JobError, JobStatus
from engramia.errors import StorageError
from engramia.server.jobs.claim import Claim
from engramia.server.jobs.equipment import Equipment
from engramia.server.jobs.run_storage import RunStorages

_log = logging.getLogger("engramia.jobs")


class Keeper:
    """Extends one run's lease from a thread of its own, fails it at its deadline, gives it back if told."""

    def __init__(self, claim: Claim, run: RunStorages, equipment: Equipment) -> None:
        self._claim = claim
        self._run = run
        self._equipment = equipment
        self._deadline = claim.handler.deadline.total_seconds()
        self._ends = time.monotonic() + self._deadline
        self._told = threading.Event()
        self._giving_back = False
        self._thread = threading.Thread(target=self._keep, name=f"keeper of {claim.job.id}", daemon=True)

    def start(self) -> None:
        """Begin to extend the lease."""
        self._thread.start()

    def stop(self) -> None:
        """Return once nothing is extended any more: the run is over."""
        self._told.set()
        self._thread.join()

    def give_back(self, timeout: float) -> None:
        """Put the job back into the queue, whatever the run does later; try for at most `timeout` seconds."""
        self._giving_back = True
        self._told.set()
        self._thread.join(timeout)

    def _keep(self) -> None:
        heartbeat = self._equipment.pace.heartbeat
        while not self._told.wait(max(0.0, min(heartbeat, self._ends - time.monotonic()))):
            if not self._goes_on():
                self._run.abandon()
                return
        if self._giving_back:
            self._run.abandon()
            self._release()

    def _goes_on(self) -> bool:
        """Extend the lease; return whether the run should go on."""
        try:
            if time.monotonic() >= self._ends:
                self._end_late()
                return False
            # Nobody can take the job while a transaction of the run is open, and we would wait for its end,
            # at which it gives the run more time if another part follows.
            return self._run.is_open or self._extend()
        except StorageError as error:
            _log.warning("%s: its lease could not be extended: %s", self._claim, error)
            return time.monotonic() < self._ends

    def _extend(self) -> bool:
        return self._claim.extend(self._equipment.clock.now() + self._equipment.pace.lease_time)

    def _end_late(self) -> None:
        error = JobError("job_deadline_exceeded", f"It was not done within {self._deadline:g} seconds.")
        if self._claim.fail(error, self._equipment.clock.now()):
            _log.warning("%s: not done within its %g seconds", self._claim, self._deadline)
            self._equipment.on_finished(self._claim.job.operation, JobStatus.FAILED)

    def _release(self) -> None:
        try:
            if self._claim.release():
                _log.info("%s: given back to the queue", self._claim)
        except StorageError as error:
            _log.warning("%s: not given back, so its lease has to run out: %s", self._claim, error)
