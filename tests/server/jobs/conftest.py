"""A worker, the queue before it, and a list of what has finished."""

import itertools
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engramia.bootstrap import NoRedaction, SystemClock, new_pattern_key
from engramia.core.jobs import Job, JobError, JobStatus
from engramia.core.model import Scope
from engramia.core.ports import Clock, ScopedStorage, Storage
from engramia.errors import EngramiaError
from engramia.memory.engine import Embedder, Engine
from engramia.memory.facade import Memory
from engramia.providers.json.storage import JSONStorage
from engramia.server.jobs.equipment import Equipment, Pace
from engramia.server.jobs.handlers import GoOn, JobHandler, in_one
from engramia.server.jobs.queue import JobQueue
from engramia.server.jobs.retrying import Backoff
from engramia.server.jobs.worker import Worker
from engramia.server.kit.operations import Document
from engramia.testing import HashEmbeddings

type Run = Callable[[Memory, Mapping[str, Any]], Mapping[str, Any]]

SOON = 10.0
"""How many seconds a test waits for what must come."""

_ids = itertools.count(1)


def new_id(now: datetime) -> str:
    return f"job_{now:%Y%m%d%H%M%S%f}{next(_ids):06d}"


def memory_for(_scope: Scope, storage: ScopedStorage) -> Memory:
    clock = SystemClock()
    embedder = Embedder(HashEmbeddings(), clock)
    return Memory(Engine(storage, embedder, NoRedaction(), clock, new_pattern_key))


def describe(error: EngramiaError) -> JobError:
    return JobError(type(error).__name__, str(error))


def handler(run: Run, *, deadline: float = 60.0, max_attempts: int = 3) -> JobHandler:
    return in_parts(in_one(run), deadline=deadline, max_attempts=max_attempts)


def in_parts(
    begin: Callable[[Document], GoOn], *, deadline: float = 60.0, max_attempts: int = 3
) -> JobHandler:
    return JobHandler(begin, timedelta(seconds=deadline), max_attempts)


def quick(**fields: Any) -> Pace:
    """Return a pace at which nothing is waited for long."""
    backoff = Backoff(first=timedelta(milliseconds=1), chance=lambda: 0.5)
    return replace(Pace(poll_interval=0.02, lease=5.0, heartbeat=0.05, backoff=backoff), **fields)


@dataclass
class AnyShop[S: Storage]:
    """One storage with a queue and any number of workers."""

    storage: S
    clock: Clock = field(default_factory=SystemClock)
    wake: threading.Event = field(default_factory=threading.Event)
    ended: queue.SimpleQueue[tuple[str, JobStatus]] = field(default_factory=queue.SimpleQueue)
    """The operations that have finished, in order, with their ends."""
    workers: list[Worker] = field(default_factory=list)

    def submit(self, operation: str = "work", scope: Scope | None = None, **request: Any) -> Job:
        jobs = JobQueue(self.storage, self.clock, new_id, wake=self.wake)
        return jobs.submit(scope or Scope(), operation, request)

    def worker(self, pace: Pace | None = None, **handlers: JobHandler) -> Worker:
        equipment = Equipment(
            handlers=handlers,
            memory_for=memory_for,
            describe_error=describe,
            clock=self.clock,
            name="worker-1",
            pace=pace or quick(),
            on_finished=lambda operation, status: self.ended.put((operation, status)),
        )
        self.workers.append(Worker(self.storage, equipment, wake=self.wake))
        return self.workers[-1]

    def start(self, pace: Pace | None = None, **handlers: JobHandler) -> Worker:
        worker = self.worker(pace, **handlers)
        worker.start()
        return worker

    def next_end(self) -> tuple[str, JobStatus]:
        return self.ended.get(timeout=SOON)

    def get(self, job: Job, scope: Scope | None = None) -> Job:
        with self.storage.scoped(scope or Scope()).reading() as stores:
            found = stores.jobs.get(job.id)
        assert found is not None
        return found

    def patterns(self) -> int:
        with self.storage.scoped(Scope()).reading() as stores:
            return stores.patterns.count()

    def close(self) -> None:
        for worker in self.workers:
            worker.stop(SOON)
        self.storage.close()


class Shop(AnyShop[JSONStorage]):
    """One over files."""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(JSONStorage(tmp_path / "data"))
    with closing(made):
        yield made
