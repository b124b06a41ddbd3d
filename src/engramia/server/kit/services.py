"""What the endpoints work with, made once for an app."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import orjson
from starlette import requests

from engramia.core.model import Scope
from engramia.core.ports import Storage
from engramia.memory.engine import Engine
from engramia.memory.facade import Memory
from engramia.server.kit.auditing import Act, NoTrail, Trail, counts_of
from engramia.server.kit.batching import Batches
from engramia.server.kit.caller import Caller, Workspace
from engramia.server.kit.lanes import Lanes
from engramia.server.kit.once import Once
from engramia.server.kit.one_transaction import OneTransaction
from engramia.server.kit.operations import Asked, Document, Operation
from engramia.server.kit.schemas import Request


@dataclass(frozen=True, slots=True)
class Submission:
    """A request of an operation that is to be done later, redacted."""

    scope: Scope
    operation: str
    request: Document
    author: str | None
    unit: OneTransaction | None = None
    """What the job is to be stored in; None for a transaction of its own."""


class Observer(Protocol):
    """Is told what the service does, for metrics and traces."""

    def around(self, operation: str, scope: Scope, requests: int) -> AbstractContextManager[object]:
        """Return what stands around the work on some requests of an operation."""
        ...

    def answered(self, operation: str, body: Request, document: Document) -> None:
        """Note a request that was answered."""
        ...

    def job_ended(self, operation: str, status: str) -> None:
        """Note a job that is over."""
        ...


class Unobserved:
    """Notes nothing."""

    def around(self, operation: str, scope: Scope, requests: int) -> AbstractContextManager[object]:  # noqa: ARG002 - the protocol's form
        return nullcontext()

    def answered(self, operation: str, body: Request, document: Document) -> None: ...

    def job_ended(self, operation: str, status: str) -> None: ...


@dataclass(frozen=True)
class Services:
    """The parts that requests share."""

    storage: Storage
    memory_of: Callable[[Scope], Memory]
    operations: Mapping[str, Operation[Any]]
    submit: Callable[[Submission], str]
    """Stores a job durably and returns its id."""
    observer: Observer = field(default_factory=Unobserved)
    lanes: Lanes = field(default_factory=Lanes)
    trail: Trail = field(default_factory=NoTrail)
    """Accounts for privileged acts."""
    once: Once = field(default_factory=Once)
    """Answers requests that carry a key."""
    batches: Mapping[str, Batches[Workspace, Asked[Any], bytes]] = field(init=False)
    """Of each operation that answers several requests at once."""

    def __post_init__(self) -> None:
        several = [operation for operation in self.operations.values() if operation.run_many is not None]
        batches = {operation.name: Batches(self.lanes, self._answering(operation)) for operation in several}
        object.__setattr__(self, "batches", batches)

    def memory_at(self, workspace: Workspace) -> Memory:
        """Return the memory of a scope, which takes no more patterns than may be stored there."""
        return limited(self.memory_of(workspace.scope), workspace.max_patterns)

    def do(
        self,
        operation: Operation[Any],
        workspace: Workspace,
        asked: Asked[Any],
        unit: OneTransaction | None = None,
    ) -> bytes:
        """Return the answer to one request, as bytes; with `unit`, all that it writes is in there."""
        memory = self.memory_at(workspace)
        if unit is None and operation.audited is not None:
            unit = OneTransaction(memory.engine.storage)
            with unit.transaction():
                return self.do(operation, workspace, asked, unit)
        if unit is not None:
            memory = joined(unit, memory)
        act = self._accounted(operation, asked, unit)
        with self.observer.around(operation.name, workspace.scope, 1):
            document = operation.run(memory, asked)
        if act is not None:
            act.facts |= counts_of(document)
        self.observer.answered(operation.name, asked.body, document)
        return encoded(document)

    def _accounted(
        self, operation: Operation[Any], asked: Asked[Any], unit: OneTransaction | None
    ) -> Act | None:
        """Return the act that a request is, as a part of `unit`, if it must be accounted for."""
        if operation.audited is None or asked.by is None or unit is None:
            return None
        act = Act(self.trail, operation.audited, asked.by)
        act.within(unit)
        return act

    def _answering(
        self, operation: Operation[Any]
    ) -> Callable[[Workspace, Sequence[Asked[Any]]], Sequence[bytes | Exception]]:
        def answer(workspace: Workspace, asked: Sequence[Asked[Any]]) -> Sequence[bytes | Exception]:
            run_many = operation.run_many
            with self.observer.around(operation.name, workspace.scope, len(asked)):
                outcomes = run_many(self.memory_at(workspace), asked) if run_many else ()
            return [
                self._encoded(operation, one, outcome) for one, outcome in zip(asked, outcomes, strict=True)
            ]

        return answer

    def _encoded(
        self, operation: Operation[Any], asked: Asked[Any], outcome: Document | Exception
    ) -> bytes | Exception:
        if isinstance(outcome, Exception):
            return outcome
        self.observer.answered(operation.name, asked.body, outcome)
        return encoded(outcome)


def joined(unit: OneTransaction, memory: Memory) -> Memory:
    """Return the memory for use in one transaction; what it leaves for later is done when that is kept."""
    engine = memory.engine

    def after_commit(work: Callable[[Engine], object]) -> None:
        unit.after_commit(lambda: work(engine))

    return Memory(replace(engine, storage=unit, later=after_commit))


def limited(memory: Memory, max_patterns: int | None) -> Memory:
    """Return `memory` as it takes no more patterns than that; None for any number."""
    return memory if max_patterns is None else Memory(replace(memory.engine, max_patterns=max_patterns))


def encoded(document: Document) -> bytes:
    """Return a JSON object's bytes."""
    return orjson.dumps(document)


def services_of(request: requests.Request) -> Services:
    """Return the services of the app that serves `request`."""
    services: Services = request.app.state.services
    return services


def caller_of(request: requests.Request) -> Caller:
    """Return who sent `request`, as authentication found."""
    caller: Caller = request.scope["state"]["caller"]
    return caller
