"""The worker: what runs the jobs of the operations, and accounts for them."""

import os
import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from engramia.api.observing import Observing
from engramia.bootstrap import Adapters, key_service_from, project_service_from
from engramia.core.audit import AuditEntry, AuditFact, AuditStamp
from engramia.core.jobs import Job, JobError, JobStatus
from engramia.core.model import Scope
from engramia.core.ports import ScopedStorage
from engramia.memory.facade import Memory
from engramia.server.audit.trail import AuditTrail
from engramia.server.jobs.equipment import Equipment, Pace, unlimited
from engramia.server.jobs.handlers import GoOn, JobHandler
from engramia.server.jobs.worker import Worker
from engramia.server.kit.auditing import Act, AskedBy, Trail, counts_of
from engramia.server.kit.errors import job_error_of
from engramia.server.kit.one_transaction import OneTransaction
from engramia.server.kit.operations import Asked, Document, Operation, Unfinished
from engramia.server.memory.operations import OPERATIONS
from engramia.settings import Settings
from engramia.telemetry.audit import audit

_ROWS = {operation.name: operation for operation in OPERATIONS}


def worker_of(
    adapters: Adapters,
    settings: Settings,
    observing: Observing | None = None,
    *,
    wake: threading.Event | None = None,
    trail: AuditTrail | None = None,
) -> Worker:
    """Return a worker over the adapters, not yet started; `wake` is set by who hands in a job here."""
    observing = observing or Observing(settings, version("engramia"))
    accounting = trail or trail_of(adapters)
    deadline = timedelta(seconds=settings.job_timeout)
    wanted = (settings, adapters.database, adapters.clock, _untold)
    limiting = key_service_from(*wanted) or project_service_from(*wanted)
    equipment = Equipment(
        handlers={row.name: _handler(row, deadline, observing) for row in OPERATIONS if row.job is not None},
        memory_for=lambda scope, storage: _memory(adapters, scope, storage),
        describe_error=lambda error: JobError(*job_error_of(error)),
        clock=adapters.clock,
        name=f"{socket.gethostname()}:{os.getpid()}",
        pace=Pace(poll_interval=settings.job_poll_interval, max_concurrent=settings.job_max_concurrent),
        account=lambda scope, job, unit: _accounted(accounting, scope, job, unit),
        on_finished=lambda operation, status: _ended(observing, operation, status),
        limit_of=unlimited if limiting is None else limiting.limit_of,
    )
    return Worker(adapters.storage, equipment, wake=wake)


def trail_of(adapters: Adapters) -> AuditTrail:
    """Return what accounts for privileged acts and refusals; to be closed before the adapters."""
    return AuditTrail(adapters.clock, audit, adapters.archive)


def _accounted(
    trail: Trail, scope: Scope, job: Job, unit: OneTransaction
) -> Callable[[Document | Unfinished], None]:
    """Make the entry of a job that must be accounted for a part of its transaction.

    One that is done in several parts has an entry in the first, that it has begun, and one in the last.
    """
    row, by = _ROWS[job.operation], AskedBy(scope=scope, actor=job.author)
    if row.audited is None:
        return lambda _outcome: None
    named: dict[str, AuditFact] = {"job_id": job.id}
    act = Act(trail, row.audited, by, named | counts_of(job.progress or {}))
    act.within(unit)

    def told(outcome: Document | Unfinished) -> None:
        if not isinstance(outcome, Unfinished):
            act.facts = named | counts_of(outcome)
            return
        act.goes_on = True
        if job.progress is None:
            Act(trail, f"{row.name}.begun", by, dict(named)).within(unit)

    return told


def _untold(_entry: AuditEntry, _stamp: AuditStamp) -> None:
    """Tell nobody: a worker does nothing to keys and projects."""


def _memory(adapters: Adapters, scope: Scope, storage: ScopedStorage) -> Memory:
    return Memory(adapters.engine(scope, storage))


def _handler(operation: Operation[Any], deadline: timedelta, observing: Observing) -> JobHandler:
    form = operation.job
    if form is None:
        raise ValueError(f"{operation.name} cannot be a job.")
    stored, part = form.stored, form.part

    def begin(request: Document) -> GoOn:
        asked = Asked(stored.model_validate(request))

        def go_on(memory: Memory, progress: Document | None) -> Document | Unfinished:
            with observing.tracing.operation(operation.name):
                return operation.run(memory, asked) if part is None else part(memory, asked, progress)

        return go_on

    return JobHandler(begin, deadline)


def _ended(observing: Observing, operation: str, status: JobStatus) -> None:
    observing.job_ended(operation, status.value)
