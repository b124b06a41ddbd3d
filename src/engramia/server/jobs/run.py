"""One attempt at one job."""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from engramia.core.jobs import JobError, JobStatus
from engramia.errors import EngramiaError, StorageError
from engramia.server.jobs.claim import Claim
from engramia.server.jobs.equipment import Equipment
from engramia.server.jobs.handlers import GoOn
from engramia.server.jobs.keeper import Keeper
from engramia.server.jobs.retrying import passes
from engramia.server.jobs.run_storage import RunStorages, SupersededError
from engramia.server.kit.operations import Document, Unfinished
from engramia.server.kit.services import limited

_log = logging.getLogger("engramia.jobs")

INTERNAL_ERROR = JobError(
    "internal_error", "Something went wrong on our side; the worker's log has it under this job's id."
)


class Run:
    """Runs a claimed job's operation in a thread and records how it ended, once."""

    def __init__(self, claim: Claim, equipment: Equipment, on_end: Callable[["Run"], None]) -> None:
        self._claim = claim
        self._equipment = equipment
        self._on_end = on_end
        self._storages = RunStorages(claim.storage, claim.job)
        self._keeper = Keeper(claim, self._storages, equipment)
        self._thread = threading.Thread(target=self._main, name=claim.job.id, daemon=True)

    def start(self) -> None:
        """Begin; `on_end` is called from the run's thread when it is over."""
        self._keeper.start()
        self._thread.start()

    def join(self, timeout: float) -> bool:
        """Wait for the end for at most `timeout` seconds; return whether it came."""
        self._thread.join(max(0.0, timeout))
        return not self._thread.is_alive()

    def give_back(self, timeout: float) -> None:
        """Put the job back into the queue; what the run still does is refused."""
        self._keeper.give_back(timeout)

    def _main(self) -> None:
        try:
            self._attempt()
        except StorageError as error:
            _log.warning("%s: how it ended could not be kept, so its lease runs out: %s", self._claim, error)
        finally:
            self._keeper.stop()
            self._on_end(self)

    def _attempt(self) -> None:
        try:
            self._do()
        except SupersededError:
            _log.info("%s: dropped, for it was given back, taken over, or has ended", self._claim)
        except Exception as error:  # noqa: BLE001 - whatever an operation raises is its job's failure
            self._failed(error)
        else:
            self._finished(JobStatus.COMPLETED)

    def _do(self) -> None:
        """Do one part after the other, from where the last attempt came to."""
        limit = self._equipment.limit_of(self._claim.scope, self._claim.job.author)
        go_on = self._claim.handler.begin(self._claim.job.request)
        progress = self._claim.job.progress
        while isinstance(outcome := self._part(go_on, progress, limit), Unfinished):
            progress = outcome.progress

    def _part(self, go_on: GoOn, progress: Document | None, limit: int | None) -> Document | Unfinished:
        """Do the next part, and keep with what it wrote how far the job is, or its end."""
        scope, job = self._claim.scope, replace(self._claim.job, progress=progress)
        storage = self._storages.next()
        with storage.transaction():
            told = self._equipment.account(scope, job, storage)
            outcome = go_on(limited(self._equipment.memory_for(scope, storage), limit), progress)
            told(outcome)
            now = self._equipment.clock.now()
            if isinstance(outcome, Unfinished):
                storage.advance(outcome.progress, now + self._equipment.pace.lease_time)
            else:
                storage.finish(outcome, now)
        return outcome

    def _failed(self, error: Exception) -> None:
        job, now = self._claim.job, self._equipment.clock.now()
        described = self._described(error)
        if passes(error) and job.attempts < self._claim.handler.max_attempts:
            wait = self._equipment.pace.backoff.after(job.attempts, error)
            if self._claim.retry(described, now + wait):
                _log.info("%s: again in %.1f s: %s", self._claim, wait.total_seconds(), error)
        elif self._claim.fail(described, now):
            _log.info("%s: failed: %s", self._claim, described.code)
            self._finished(JobStatus.FAILED)

    def _described(self, error: Exception) -> JobError:
        if isinstance(error, EngramiaError):
            return self._equipment.describe_error(error)
        _log.error("%s: an unexpected error", self._claim, exc_info=error)
        return INTERNAL_ERROR

    def _finished(self, status: JobStatus) -> None:
        self._equipment.on_finished(self._claim.job.operation, status)
