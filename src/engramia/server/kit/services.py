"""What the endpoints work with, made once for an app."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
from starlette import requests

from engramia.core.model import Scope
from engramia.core.ports import Storage
from engramia.memory.facade import Memory
from engramia.server.kit.batching import Batches
from engramia.server.kit.caller import Caller
from engramia.server.kit.lanes import Lanes
from engramia.server.kit.operations import Asked, Document, Operation
from engramia.server.kit.schemas import Request


@dataclass(frozen=True, slots=True)
class Submission:
    """A request of an operation that is to be done later, redacted."""

    scope: Scope
    operation: str
    request: Document
    author: str | None


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
    batches: Mapping[str, Batches[Scope, Asked[Any], bytes]] = field(init=False)
    """Of each operation that answers several requests at once."""

    def __post_init__(self) -> None:
        several = [operation for operation in self.operations.values() if operation.run_many is not None]
        batches = {operation.name: Batches(self.lanes, self._answering(operation)) for operation in several}
        object.__setattr__(self, "batches", batches)

    def do(self, operation: Operation[Any], scope: Scope, asked: Asked[Any]) -> bytes:
        """Return the answer to one request, as bytes."""
        with self.observer.around(operation.name, scope, 1):
            document = operation.run(self.memory_of(scope), asked)
        self.observer.answered(operation.name, asked.body, document)
        return encoded(document)

    def _answering(
        self, operation: Operation[Any]
    ) -> Callable[[Scope, Sequence[Asked[Any]]], Sequence[bytes | Exception]]:
        def answer(scope: Scope, asked: Sequence[Asked[Any]]) -> Sequence[bytes | Exception]:
            run_many = operation.run_many
            with self.observer.around(operation.name, scope, len(asked)):
                outcomes = run_many(self.memory_of(scope), asked) if run_many else ()
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
