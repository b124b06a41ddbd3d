"""One request for an operation: done now, left as a job, and either of them only once."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

from engramia.server.kit.caller import Caller
from engramia.server.kit.once import Answered, Outcome, attempt_at
from engramia.server.kit.one_transaction import OneTransaction
from engramia.server.kit.operations import Asked, JobForm, OnceForm, Operation
from engramia.server.kit.services import Services, Submission, encoded


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted, and by whom. Its methods take their time: they are for a thread."""

    operation: Operation[Any]
    services: Services
    caller: Caller
    asked: Asked[Any]

    def now(self, unit: OneTransaction | None = None) -> bytes:
        """Return the answer; with `unit`, all that is written is in there."""
        return self.services.do(self.operation, self.caller.workspace, self.asked, unit)

    def leave(self, form: JobForm[Any], unit: OneTransaction | None = None) -> bytes:
        """Return the body that tells of the job that it was left as."""
        memory = self.services.memory_at(self.caller.workspace)
        request = form.prepare(memory, self.asked.body).model_dump(mode="json")
        scope, author = self.caller.scope, self.asked.author
        job_id = self.services.submit(Submission(scope, self.operation.name, request, author, unit))
        return encoded({"job_id": job_id, "status": "pending"})

    def once(self, form: OnceForm, key: str, job: JobForm[Any] | None = None) -> Outcome:
        """Return the answer, or what the request was answered before under this `Idempotency-Key`.

        With `job` it is left as one. Raises what `Once.do` does.
        """
        engine = self.services.memory_at(self.caller.workspace).engine
        lease = form.lease if job is None else None
        attempt = attempt_at(self.operation.name, self.caller.key_id, key, self.asked.body, lease)

        def work(unit: OneTransaction) -> Answered:
            if job is not None:
                return Answered(HTTPStatus.ACCEPTED, self.leave(job, unit))
            content = self.now(unit)
            return Answered(HTTPStatus.OK, content, self._in_short(form, content))

        return self.services.once.do(self.caller.scope, engine, attempt, work)

    def _in_short(self, form: OnceForm, content: bytes) -> bytes | None:
        if form.in_short is None:
            return None
        memory = self.services.memory_at(self.caller.workspace)
        return encoded(form.in_short(memory, orjson.loads(content)))
