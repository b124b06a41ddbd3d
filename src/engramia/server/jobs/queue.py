"""Where jobs are handed in."""

import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from engramia.core.jobs import Job
from engramia.core.model import Scope
from engramia.core.ports import Clock, Storage
from engramia.server.kit.one_transaction import OneTransaction


def _unheard(_operation: str) -> None:
    """Tell nobody."""


class JobQueue:
    """Stores jobs durably and wakes the worker of this process."""

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        new_id: Callable[[datetime], str],
        *,
        wake: threading.Event | None = None,
        on_submitted: Callable[[str], None] = _unheard,
    ) -> None:
        """`new_id` makes ids that sort by time; `wake` is the worker's, if it is in this process."""
        self._storage = storage
        self._clock = clock
        self._new_id = new_id
        self._wake = wake
        self._on_submitted = on_submitted

    def submit(
        self,
        scope: Scope,
        operation: str,
        request: Mapping[str, Any],
        *,
        author: str | None = None,
        unit: OneTransaction | None = None,
    ) -> Job:
        """Return the job once it is on the disk: from then on it will be run. `request` is redacted.

        With `unit` it is stored in there, and run once that is kept.
        """
        now = self._clock.now()
        job = Job(self._new_id(now), operation, request, created_at=now, run_at=now, author=author)
        with (unit or self._storage.scoped(scope)).writing() as stores:
            stores.jobs.add(job)
        if unit is None:
            self._tell(operation)
        else:
            unit.after_commit(lambda: self._tell(operation))
        return job

    def _tell(self, operation: str) -> None:
        if self._wake is not None:
            self._wake.set()
        self._on_submitted(operation)
