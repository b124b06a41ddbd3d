"""The worker: what runs the jobs of the operations, and accounts for them."""

import os
import socket
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from engramia.api.observing import Observing
from engramia.bootstrap import Adapters, key_service_from
from engramia.core.audit import AuditEntry, AuditStamp
from engramia.core.jobs import Job, JobError, JobStatus
from engramia.core.model import Scope
from engramia.core.ports import ScopedStorage
from engramia.memory.facade import Memory
from engramia.server.audit.trail import AuditTrail
from engramia.server.jobs.equipment import Equipment, Pace, unlimited
from engramia.server.jobs.handlers import JobHandler
from engramia.server.jobs.worker import Worker
from engramia.server.kit.auditing import Act, AskedBy, Trail, counts_of
from engramia.server.kit.errors import job_error_of
from engramia.server.kit.one_transaction import OneTransaction
from engramia.server.kit.operations import Asked, Document, Operation
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
    keys = key_service_from(settings, adapters.database, adapters.clock, _untold)
    equipment = Equipment(
        handlers={row.name: _handler(row, deadline, observing) for row in OPERATIONS if row.job is not None},
        memory_for=lambda scope, storage: _memory(adapters, scope, storage),
        describe_error=lambda error: JobError(*job_error_of(error)),
        clock=adapters.clock,
        name=f"{socket.gethostname()}:{os.getpid()}",
        pace=Pace(poll_interval=settings.job_poll_interval, max_concurrent=settings.job_max_concurrent),
        account=lambda scope, job, unit: _accounted(accounting, scope, job, unit),
        on_finished=lambda operation, status: _ended(observing, operation, status),
        limit_of=unlimited if keys is None else keys.limit_of,
    )
    return Worker(adapters.storage, equipment, wake=wake)


def trail_of(adapters: Adapters) -> AuditTrail:
    """Return what accounts for privileged acts and refusals; to be closed before the adapters."""
    return AuditTrail(adapters.clock, audit, adapters.archive)


def _accounted(
    trail: Trail, scope: Scope, job: Job, unit: OneTransaction
) -> Callable[[Mapping[str, Any]], None]:
    """Make the entry of a job that must be accounted for a part of its transaction."""
    event = _ROWS[job.operation].audited
    if event is None:
        return lambda _result: None
    act = Act(trail, event, AskedBy(scope=scope, actor=job.author), {"job_id": job.id})
    act.within(unit)
    return lambda result: act.facts.update(counts_of(result))


def _untold(_entry: AuditEntry, _stamp: AuditStamp) -> None:
    """Tell nobody: a worker does nothing to keys."""


def _memory(adapters: Adapters, scope: Scope, storage: ScopedStorage) -> Memory:
    return Memory(adapters.engine(scope, storage))


def _handler(operation: Operation[Any], deadline: timedelta, observing: Observing) -> JobHandler:
    form = operation.job
    if form is None:
        raise ValueError(f"{operation.name} cannot be a job.")
    stored = form.stored

    def run(memory: Memory, request: Mapping[str, Any]) -> Document:
        with observing.tracing.operation(operation.name):
            return operation.run(memory, Asked(stored.model_validate(request)))

    return JobHandler(run, deadline)


def _ended(observing: Observing, operation: str, status: JobStatus) -> None:
    observing.job_ended(operation, status.value)
