"""Work that the server does later: submitted, watched, waited for."""

import time
from collections.abc import Callable, Iterable

from engramia.sdk import calls
from engramia.sdk.answers import Evaluation, Evolution, Imported, JobState, Page, Pipeline
from engramia.sdk.caller import Caller
from engramia.sdk.calls import Call, Document
from engramia.sdk.connections import Deadline
from engramia.sdk.errors import EngramiaJobError, EngramiaTimeoutError

WAIT_SECONDS = 600.0
"""How long a job is waited for unless told otherwise."""
_FIRST_POLL, _SLOWER, _LAST_POLL = 0.1, 1.5, 5.0
_ENDED = frozenset({"failed", "cancelled", "expired"})


class Jobs:
    """The jobs of a project."""

    def __init__(self, caller: Caller, sleep: Callable[[float], object] = time.sleep) -> None:
        self._caller = caller
        self._sleep = sleep

    def submit[T](self, call: Call[T]) -> "Job[T]":
        """Have `call` done later."""
        later = Call(
            call.method,
            call.path,
            _job_id,
            call.body,
            repeatable=call.idempotency_key is not None,
            idempotency_key=call.idempotency_key,
        )
        return Job(self, self._caller.run(later, prefer="respond-async"), call.read)

    def get(self, job_id: str, *, seconds: float | None = None) -> JobState:
        """Return a job as it is now."""
        return self._caller.run(calls.get(calls.job_path(job_id), _state), seconds=seconds)

    def list(self, status: str | None, limit: int, offset: int) -> Page[JobState]:
        """Return jobs, newest first."""
        return self._caller.run(
            calls.get("/v1/jobs", _page, status=status, limit=limit, offset=offset),
        )

    def cancel(self, job_id: str) -> None:
        """Cancel a job that no worker has taken up yet."""
        self._caller.run(Call("POST", f"{calls.job_path(job_id)}/cancel", calls.whole))

    def wait(self, job_id: str, seconds: float) -> JobState:
        """Return the job when it is completed, looked at ever less often."""
        deadline = Deadline(seconds)
        poll = _FIRST_POLL
        while True:
            job = self.get(job_id, seconds=max(deadline.remaining(), _FIRST_POLL))
            if job["status"] == "completed":
                return job
            if job["status"] in _ENDED:
                raise _without_result(job)
            if deadline.remaining() <= poll:
                raise EngramiaTimeoutError(
                    f"Job {job_id} is still {job['status']} after {seconds:g} s; it goes on.",
                    code="timeout",
                    sent=True,
                )
            self._sleep(poll)
            poll = min(_LAST_POLL, poll * _SLOWER)


class Job[T]:
    """Work that the server does later; `T` is what the same call answers when it is waited for."""

    def __init__(self, jobs: Jobs, id: str, read: Callable[[Document], T]) -> None:
        self._jobs = jobs
        self._read = read
        self.id = id
        """By which any client of the project finds it again: `client.get_job(id)`."""

    def __repr__(self) -> str:
        return f"Job({self.id!r})"

    def state(self) -> JobState:
        """Return what the server says of it now."""
        return self._jobs.get(self.id)

    def wait(self, timeout: float = WAIT_SECONDS) -> T:
        """Return the result as soon as there is one, `timeout` seconds from now at the latest.

        Raises `EngramiaJobError` if the job failed, was cancelled or expired, and `EngramiaTimeoutError` if
        it goes on for longer; it can be waited for again.
        """
        return self._read(self._jobs.wait(self.id, timeout)["result"] or {})

    def cancel(self) -> None:
        """Cancel it, if no worker has taken it up yet; `HTTPConflictError` if one has."""
        self._jobs.cancel(self.id)


class Background:
    """What can be done later: each method takes what its namesake of the client takes, and returns a `Job`.

    The server checks the request before it accepts: a wrong field, a missing permission or a language model
    that is not set up is an error here, not of the job. Nothing is submitted twice: evaluate and import carry
    a key by which the server knows them again; when the answer to another is lost, `client.list_jobs()` shows
    whether the job is there.
    """

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def evaluate(
        self,
        task: str,
        code: str,
        output: str | None = None,
        *,
        num_evals: int = 3,
        pattern_key: str | None = None,
        idempotency_key: str | None = None,
    ) -> Job[Evaluation]:
        """Have code judged later."""
        call = calls.evaluate(task, code, output, num_evals, pattern_key, idempotency_key)
        return self._jobs.submit(call)

    def compose(self, task: str) -> Job[Pipeline]:
        """Have a task split into stages later."""
        return self._jobs.submit(calls.compose(task))

    def evolve_prompt(self, role: str, current_prompt: str, *, num_issues: int = 5) -> Job[Evolution]:
        """Have a prompt improved later."""
        return self._jobs.submit(calls.evolve(role, current_prompt, num_issues))

    def run_aging(self) -> Job[int]:
        """Let patterns age later; the result is how many were pruned."""
        return self._jobs.submit(calls.aging())

    def run_feedback_decay(self) -> Job[int]:
        """Let feedback fade later; the result is how many issues were pruned."""
        return self._jobs.submit(calls.feedback_decay())

    def import_data(
        self, records: Iterable[object], *, overwrite: bool = False, idempotency_key: str | None = None
    ) -> Job[Imported]:
        """Have records imported later."""
        return self._jobs.submit(calls.import_data(records, overwrite, idempotency_key))


def _job_id(document: Document) -> str:
    return str(document["job_id"])


def _state(document: Document) -> JobState:
    job: JobState = calls.whole(document)
    # Read here, so that an answer that is no job is told from one that is.
    _ = job["id"], job["status"], job["result"], job["error"]
    return job


def _page(document: Document) -> Page[JobState]:
    return Page(document["jobs"], has_more=document["has_more"], next_offset=document["next_offset"])


def _without_result(job: JobState) -> EngramiaJobError:
    problem = job["error"]
    why = f": {problem['detail']}" if problem else "."
    code = problem["code"] if problem else f"job_{job['status']}"
    return EngramiaJobError(f"Job {job['id']} ended as {job['status']}{why}", job=dict(job), code=code)
