"""`EngramiaWebhook`: a client of the Engramia server that needs nothing but Python's standard library."""

import math
import re
import ssl
import sys
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

from engramia.errors import EngramiaError, ValidationError
from engramia.sdk import calls, reading
from engramia.sdk.address import address_of
from engramia.sdk.answers import (
    Cluster,
    Evaluation,
    Evolution,
    Imported,
    Issue,
    JobState,
    Learned,
    ListedPattern,
    Matches,
    Metrics,
    Page,
    Pipeline,
    Record,
)
from engramia.sdk.caller import Caller, Patience
from engramia.sdk.calls import Call, Document, get, given, whole
from engramia.sdk.connections import Pool
from engramia.sdk.errors import (
    EngramiaConnectionError,
    EngramiaHTTPError,
    EngramiaJobError,
    EngramiaTimeoutError,
)
from engramia.sdk.jobs import WAIT_SECONDS, Background, Job, Jobs

__all__ = [
    "EngramiaConnectionError",
    "EngramiaError",
    "EngramiaHTTPError",
    "EngramiaJobError",
    "EngramiaTimeoutError",
    "EngramiaWebhook",
    "Job",
    "Matches",
    "Page",
]

_KEY = re.compile(r"[!-~]+")
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_CONNECT_SECONDS = 5.0
_PAGE = 100


class EngramiaWebhook:
    """A client of the Engramia server at `url`; thread-safe, made once and shared.

        client = EngramiaWebhook("http://localhost:8000", api_key="...")
        client.learn(task="Parse CSV", code="import csv", eval_score=8.5)
        for match in client.recall("Read a CSV file"):
            print(match["reuse_tier"], match["pattern"]["code"])

    Every method raises `EngramiaHTTPError` if the server refuses (which also is what the library would raise:
    `NotFoundError`, `AuthorizationError`, ...), `EngramiaConnectionError` if no answer comes, and
    `ValidationError` for what cannot be sent at all. All of them are `EngramiaError`s.

    It tries again, with growing random pauses and as `Retry-After` says, when the server answers 429 or 503,
    when no connection came about, and when the answer to a call was lost that may be made twice without harm:
    so may learn, evaluate and import, which carry a key (`idempotency_key`, a new one for each call unless
    given) by which the server does them once. The others are never repeated on a lost answer: refine, delete,
    compose, evolve, aging, decay, submitting those as a job, cancelling a job. Their error has `sent=True`.
    """

    def __init__(  # noqa: PLR0913 - one keyword for each setting
        self,
        url: str,
        api_key: str | None = None,
        *,
        project_id: str | None = None,
        timeout: float = 30.0,
        slow_timeout: float = 300.0,
        connect_timeout: float = _CONNECT_SECONDS,
        retries: int = 4,
        backoff: float = 0.5,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """Prepare calls to the server at `url`, which may have a path before `/v1`; nothing is sent yet.

        `project_id` names another project of the tenant than the key's. A call has `timeout` seconds in all,
        with every retry and pause; one with a language model or the whole store behind it (evaluate, compose,
        evolve, aging, decay, import, export) has `slow_timeout`. A connection has `connect_timeout` seconds
        to come about. At most `retries` more tries are made; the first pause is up to `backoff` seconds long.
        Certificates are checked against the system's store unless `ssl_context` says otherwise.
        """
        address = address_of(url)
        if ssl_context is not None and not address.tls:
            raise ValidationError("ssl_context needs an https:// url.", field="ssl_context")
        patience = Patience(
            _seconds(timeout, "timeout"),
            _seconds(slow_timeout, "slow_timeout"),
            _count(retries, "retries"),
            _seconds(backoff, "backoff"),
        )
        tls = (ssl_context or ssl.create_default_context()) if address.tls else None
        pool = Pool(address, tls, _seconds(connect_timeout, "connect_timeout"))
        self._url = str(address)
        self._project_id = project_id
        self._caller = Caller(pool, address.prefix, _headers(api_key, project_id), api_key, patience)
        self._jobs = Jobs(self._caller)
        self._closing = weakref.finalize(self, pool.close)
        self._pool = pool
        self.background = Background(self._jobs)
        """The slow operations as jobs: `client.background.evaluate(...)` returns a `Job` to wait for."""

    def __repr__(self) -> str:
        project = "" if self._project_id is None else f", project_id={self._project_id!r}"
        return f"EngramiaWebhook({self._url!r}{project})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are kept open; a later call opens new ones."""
        self._pool.close()

    def learn(  # noqa: PLR0913 - one argument for each field of a run
        self,
        task: str,
        code: str,
        eval_score: float,
        output: str | None = None,
        *,
        run_id: str | None = None,
        classification: str | None = None,
        source: str = "sdk",
        skills: Sequence[str] = (),
        on_duplicate: str | None = None,
        idempotency_key: str | None = None,
    ) -> Learned:
        """Store an agent run; `eval_score` is its quality, 0 to 10.

        Where a near-identical task is stored already, `on_duplicate` decides: `replace_if_better` (default),
        `keep_both` or `skip`. Calls with one `idempotency_key` within 24 hours are one: the later ones return
        what the first did, or raise `ValidationError` if they ask for something else.
        """
        body = given(
            task=task,
            code=code,
            eval_score=eval_score,
            output=output,
            run_id=run_id,
            classification=classification,
            source=source,
            skills=calls.tags(skills) or None,
            on_duplicate=on_duplicate,
        )
        call: Call[Learned] = Call("POST", "/v1/learn", whole, body)
        return self._caller.run(calls.once(call, idempotency_key))

    def recall(  # noqa: PLR0913 - one keyword for each documented option
        self,
        task: str,
        limit: int = 5,
        *,
        offset: int = 0,
        deduplicate: bool = True,
        eval_weighted: bool = True,
        classification: str | None = None,
        source: str | None = None,
        min_score: float | None = None,
        min_similarity: float | None = None,
        recency_weight: float | None = None,
        recency_half_life_days: float | None = None,
        readonly: bool = False,
        explain: bool = False,
    ) -> Matches:
        """Find patterns for a task, best first: at most `limit` (1 to 50) after passing over `offset`.

        Each match has `similarity` (0 to 1), `score`, `reuse_tier` (duplicate: use as is; adapt: change to
        fit; fresh: write new), `pattern_key` and `pattern`. The list has `has_more`, `next_offset` and
        `degraded`. `readonly` leaves the reuse counts alone; when an answer was lost and the call is made
        again, they may count it twice.
        """
        body = given(
            task=task,
            limit=limit,
            offset=offset,
            deduplicate=deduplicate,
            eval_weighted=eval_weighted,
            classification=classification,
            source=source,
            min_score=min_score,
            min_similarity=min_similarity,
            recency_weight=recency_weight,
            recency_half_life_days=recency_half_life_days,
            readonly=readonly,
            explain=explain,
        )
        return self._caller.run(Call("POST", "/v1/recall", reading.matches, body, repeatable=True))

    def refine_pattern(self, pattern_key: str, eval_score: float, feedback: str | None = None) -> Record:
        """Judge a pattern that was used, 0 to 10, and return it with its history."""
        body = given(eval_score=eval_score, feedback=feedback)
        call: Call[Record] = Call("POST", f"{calls.pattern_path(pattern_key)}/refine", whole, body)
        return self._caller.run(call)

    def get_pattern(self, pattern_key: str) -> Record:
        """Return a pattern with its versions and observations; `NotFoundError` if there is none."""
        call: Call[Record] = get(calls.pattern_path(pattern_key), whole)
        return self._caller.run(call)

    def list_patterns(
        self,
        *,
        classification: str | None = None,
        source: str | None = None,
        min_score: float | None = None,
        limit: int = _PAGE,
        offset: int = 0,
    ) -> Page[ListedPattern]:
        """Return a page of patterns, newest first; `limit` is 1 to 1,000."""
        filters = {"classification": classification, "source": source, "min_score": min_score}
        return self._caller.run(get("/v1/patterns", reading.patterns, **filters, limit=limit, offset=offset))

    def iter_patterns(
        self,
        *,
        classification: str | None = None,
        source: str | None = None,
        min_score: float | None = None,
    ) -> Iterator[ListedPattern]:
        """Yield every pattern, newest first, a page at a time.

        What is learned or deleted meanwhile moves the pages: a pattern may then come twice or be missed;
        `export` reads everything in one go.
        """
        offset: int | None = 0
        while offset is not None:
            page = self.list_patterns(
                classification=classification, source=source, min_score=min_score, offset=offset
            )
            yield from page
            offset = page.next_offset

    def delete_pattern(self, pattern_key: str) -> None:
        """Delete a pattern for good; `NotFoundError` if there is none."""
        self._caller.run(Call("DELETE", calls.pattern_path(pattern_key), whole))

    def register_skills(self, pattern_key: str, skills: Sequence[str]) -> list[str]:
        """Put tags in place of the pattern's (none clears them) and return them as stored."""
        body = {"pattern_key": pattern_key, "skills": calls.tags(skills)}
        call = Call("POST", "/v1/skills/register", reading.tags, body, repeatable=True)
        return self._caller.run(call)

    def find_by_skills(
        self, skills: Sequence[str], match_all: bool = False, *, limit: int = 5, offset: int = 0
    ) -> Matches:
        """Return patterns that have any (or all) of the tags, best score first, with similarity 1."""
        body = {"skills": calls.tags(skills), "match_all": match_all, "limit": limit, "offset": offset}
        return self._caller.run(Call("POST", "/v1/skills/search", reading.matches, body, repeatable=True))

    def evaluate(
        self,
        task: str,
        code: str,
        output: str | None = None,
        *,
        num_evals: int = 3,
        pattern_key: str | None = None,
        idempotency_key: str | None = None,
    ) -> Evaluation:
        """Have `num_evals` (1 to 10) judges say how good code is for a task.

        `pattern_key` names a pattern that the result is recorded for; `idempotency_key` is as for `learn`.
        Without a language model on the server: `ProviderError` with the code `provider_not_configured`.
        """
        call = calls.evaluate(task, code, output, num_evals, pattern_key, idempotency_key)
        return self._caller.run(call)

    def compose(self, task: str) -> Pipeline:
        """Split a task into stages, each with the best stored pattern for it."""
        return self._caller.run(calls.compose(task))

    def evolve_prompt(self, role: str, current_prompt: str, *, num_issues: int = 5) -> Evolution:
        """Improve the prompt of the agent in `role` by the `num_issues` (1 to 20) most pressing issues."""
        return self._caller.run(calls.evolve(role, current_prompt, num_issues))

    def feedback(self, task_type: str | None = None, limit: int = 5, *, offset: int = 0) -> Page[Issue]:
        """Return recurring issues, most pressing first; `task_type` filters by their task or text."""
        query = {"task_type": task_type, "limit": limit, "offset": offset}
        return self._caller.run(get("/v1/feedback", reading.issues, **query))

    get_feedback = feedback
    """The library's name for it."""

    def analyze_failures(self, min_count: int = 1) -> list[Cluster]:
        """Return clusters of recurring failures, the most frequent first."""
        body = {"min_count": min_count}
        call = Call("POST", "/v1/analyze-failures", reading.clusters, body, repeatable=True, slow=True)
        return self._caller.run(call)

    def run_aging(self) -> int:
        """Let every pattern age, and return how many were pruned."""
        return self._caller.run(calls.aging())

    def run_feedback_decay(self) -> int:
        """Let feedback fade, and return how many issues were pruned."""
        return self._caller.run(calls.feedback_decay())

    def export(self) -> list[Document]:
        """Return every pattern of the project as records that `import_data` takes back."""
        return self._caller.run(Call("GET", "/v1/export", reading.records, repeatable=True, slow=True))

    def import_data(
        self, records: Iterable[object], *, overwrite: bool = False, idempotency_key: str | None = None
    ) -> Imported:
        """Store exported records, 10,000 at most; a bad one is told in `reasons`, and the rest goes in.

        `idempotency_key` is as for `learn`; of many `reasons` an import that is sent again may tell the first
        only.
        """
        return self._caller.run(calls.import_data(records, overwrite, idempotency_key))

    def get_job(self, job_id: str) -> JobState:
        """Return a job, with its result once it is completed; `NotFoundError` if there is none."""
        return self._jobs.get(job_id)

    def list_jobs(self, status: str | None = None, *, limit: int = 20, offset: int = 0) -> Page[JobState]:
        """Return a page of the project's jobs, newest first; `limit` is 1 to 100."""
        return self._jobs.list(status, limit, offset)

    def cancel_job(self, job_id: str) -> None:
        """Cancel a job that no worker has taken up yet; `ConflictError` if one has."""
        self._jobs.cancel(job_id)

    def wait_for_job(self, job_id: str, timeout: float = WAIT_SECONDS) -> JobState:
        """Return the job once it is completed, `timeout` seconds from now at the latest.

        Raises `EngramiaJobError` if it failed, was cancelled or expired, and `EngramiaTimeoutError` if it
        goes on; it can be waited for again.
        """
        return self._jobs.wait(job_id, timeout)

    def metrics(self) -> Metrics:
        """Return statistics of the project."""
        call: Call[Metrics] = get("/v1/metrics", whole)
        return self._caller.run(call)

    def health(self) -> dict[str, Any]:
        """Return whether the server is well: status, storage, number of patterns."""
        return self._caller.run(get("/v1/health", whole))

    def health_deep(self) -> dict[str, Any]:
        """Return how storage, language model and embeddings are; `status` is ok, degraded or error."""
        call = Call("GET", "/v1/health/deep", whole, repeatable=True, answered_by="checks")
        return self._caller.run(call)

    def version(self) -> dict[str, Any]:
        """Return what the server was built from; needs no key."""
        return self._caller.run(get("/v1/version", whole))


def _headers(api_key: object, project_id: object) -> dict[str, str]:
    if api_key is not None and not (isinstance(api_key, str) and _KEY.fullmatch(api_key)):
        # Without the key itself, of course.
        raise ValidationError("api_key must be printable ASCII text without spaces.", field="api_key")
    if project_id is not None and not (isinstance(project_id, str) and _PROJECT.fullmatch(project_id)):
        raise ValidationError(f"project_id must match {_PROJECT.pattern}.", field="project_id")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    named = given(
        Authorization=None if api_key is None else f"Bearer {api_key}", **{"X-Project-Id": project_id}
    )
    return {"Accept": "application/json", "User-Agent": f"engramia-sdk (Python {python})", **named}


def _seconds(value: object, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValidationError(f"{field} must be a number of seconds.", field=field)
    if not (math.isfinite(value) and value > 0):
        raise ValidationError(f"{field} must be a number of seconds greater than 0.", field=field)
    return float(value)


def _count(value: object, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValidationError(f"{field} must be a whole number, 0 or more.", field=field)
    return value
