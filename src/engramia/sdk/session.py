"""Recall before an agent's run, learn after it: what the adapters of all frameworks share."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from threading import Lock
from typing import Any, Unpack

from engramia.core import limits
from engramia.errors import EngramiaError, UnavailableError, ValidationError
from engramia.sdk.context_block import context_block
from engramia.sdk.message_text import as_text
from engramia.sdk.options import FAILURE_SCORE, FinishedRun, Judges, Options, Settings, settings_of
from engramia.sdk.recollection import AnyMemory, Lesson, Pitfall, Recollection, view_of
from engramia.sdk.workers import Workers

_log = logging.getLogger("engramia.sdk")

_PITFALLS_ASKED = 20
_NONCE_BYTES = 8
_THREADS_RECALLING, _THREADS_LEARNING, _LINE = 8, 2, 256


class Session:
    """A memory beside an agent: `begin` before each run, `finish` or `fail` after it. Thread-safe.

    Nothing of it raises into the agent's run, or delays one run by more than `timeout` seconds (2 by default)
    in all: what goes wrong is a warning of the logger `engramia.sdk`. Options that make no sense are a
    `ValidationError` at once.
    """

    def __init__(self, memory: AnyMemory, **options: Unpack[Options]) -> None:
        self._settings = settings_of(options)
        self._view = view_of(memory)
        self._recalling = Workers(_THREADS_RECALLING, _LINE)
        # What is still being learned when the program ends gets the time that a run would have given it.
        self._learning = Workers(_THREADS_LEARNING, _LINE, last_seconds=self._settings.timeout)

    def begin(self, task: object, *, run_id: str | None = None) -> "Run":
        """Begin a run of `task` (text, or messages to take it from) and recall for it."""
        run = self._run(task, run_id)
        if (notes := self._notes(run)) is not None:
            run.context = _received(notes, in_time=run.time.wait(notes))
        return run

    async def abegin(self, task: object, *, run_id: str | None = None) -> "Run":
        """Begin a run as `begin` does, without blocking the event loop."""
        run = self._run(task, run_id)
        if (notes := self._notes(run)) is not None:
            run.context = _received(notes, in_time=await run.time.wait_async(notes))
        return run

    def flush(self, timeout: float = 30.0) -> bool:
        """Wait until what was to be learned is learned, `timeout` seconds at most; return whether it is."""
        return self._learning.drain(timeout)

    def _run(self, task: object, run_id: str | None) -> "Run":
        text = quietly(lambda: as_text(task), "")[: limits.TASK_MAX_CHARS]
        return Run(text, TimeLeft(self._settings.timeout), lambda run: self._learn(run, run_id))

    def _notes(self, run: "Run") -> Future[str] | None:
        if not self._settings.recall or not run.task.strip():
            return None
        return _submitted(
            self._recalling, lambda: quietly(lambda: _notes(self._view, self._settings, run.task), "")
        )

    def _learn(self, run: FinishedRun, run_id: str | None) -> Future[None] | None:
        """Have a run learned, and return what to wait for; judges take too long to wait for them."""
        settings = self._settings
        if not settings.learn or not (run.task.strip() and run.code.strip()):
            return None
        if run.error is not None and not settings.learn_failures:
            return None
        learning = _submitted(
            self._learning, lambda: quietly(lambda: _learn(self._view, settings, run, run_id), None)
        )
        return None if isinstance(settings.score, Judges) else learning


class TimeLeft:
    """How long one run may still be kept waiting, in seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def wait(self, future: Future[Any]) -> bool:
        """Wait for `future` as long as there is time, and return whether it is done."""
        began = time.monotonic()
        with suppress(TimeoutError):
            future.exception(self._seconds)
        self._spend(began)
        return future.done()

    async def wait_async(self, future: Future[Any]) -> bool:
        """As `wait`, without blocking the event loop."""
        began = time.monotonic()
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def tell(_done: object) -> None:
            # The loop may be closed by the time that somebody answers.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(done.set)

        future.add_done_callback(tell)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                await done.wait()
        self._spend(began)
        return future.done()

    def _spend(self, began: float) -> None:
        self._seconds = max(0.0, self._seconds - (time.monotonic() - began))


class Run:
    """One run of an agent. Of `finish` and `fail` the first counts, and whatever comes after does nothing."""

    def __init__(
        self, task: str, time_left: TimeLeft, learn: Callable[[FinishedRun], Future[None] | None]
    ) -> None:
        self.task = task
        self.context = ""
        """What to tell the agent beside its own prompt; "" for nothing."""
        self.time = time_left
        self._learn = learn
        self._over = False
        self._lock = Lock()

    def finish(self, output: object, *, code: str | None = None, result: object = None) -> None:
        """End the run well, with `output`; `code` is the solution where that is not the output itself."""
        if (learning := self._finished(output, code, result)) is not None:
            self.time.wait(learning)

    async def afinish(self, output: object, *, code: str | None = None, result: object = None) -> None:
        """End the run as `finish` does, without blocking the event loop."""
        if (learning := self._finished(output, code, result)) is not None:
            await self.time.wait_async(learning)

    def fail(self, error: BaseException, *, code: str | None = None) -> None:
        """End the run with `error`; `code` is what the agent had by then."""
        if (learning := self._failed(error, code)) is not None:
            self.time.wait(learning)

    async def afail(self, error: BaseException, *, code: str | None = None) -> None:
        """End the run as `fail` does, without blocking the event loop."""
        if (learning := self._failed(error, code)) is not None:
            await self.time.wait_async(learning)

    def context_after(self, prompt: str | None) -> str | None:
        """Return a system prompt followed by the context; the prompt itself if there is none."""
        if not self.context:
            return prompt
        return f"{prompt}\n\n{self.context}" if prompt else self.context

    def _finished(self, output: object, code: str | None, result: object) -> Future[None] | None:
        def finished() -> FinishedRun:
            text = as_text(output)
            if code is None:
                return FinishedRun(self.task, text, None, result=result)
            return FinishedRun(self.task, code, text or None, result=result)

        return self._hand_in(finished)

    def _failed(self, error: BaseException, code: str | None) -> Future[None] | None:
        said = f"{type(error).__name__}: {error}"
        return self._hand_in(lambda: FinishedRun(self.task, code or said, said, error))

    def _hand_in(self, finished: Callable[[], FinishedRun]) -> Future[None] | None:
        with self._lock:
            if self._over:
                return None
            self._over = True
        return quietly(lambda: self._learn(finished()), None)


def quietly[T](step: Callable[[], T], otherwise: T) -> T:
    """Return what `step` returns, or `otherwise` after a warning if it fails."""
    try:
        return step()
    except Exception as error:  # noqa: BLE001 - the host's run goes on, whatever becomes of the memory
        # Messages of others may repeat what they were given; ours do not.
        said = f": {error}" if isinstance(error, EngramiaError) else ""
        _log.warning("The agent's run goes on without its memory: %s%s", type(error).__name__, said)
        _log.debug("Where it came from:", exc_info=error)
        return otherwise


def session_of(memory: "AnyMemory | Session", options: Options) -> Session:
    """Return the session of an adapter: the one that was passed in for several, or one of its own."""
    if not isinstance(memory, Session):
        return Session(memory, **options)
    if options:
        raise ValidationError("Options belong to the Session that is passed in.", field=min(options))
    return memory


def _submitted[T](workers: Workers, call: Callable[[], T]) -> Future[T] | None:
    try:
        return workers.submit(call)
    except (UnavailableError, RuntimeError) as error:  # RuntimeError: no thread can be started
        _log.warning("The agent's run goes on without its memory: %s", error)
        return None


def _received(notes: Future[str], *, in_time: bool) -> str:
    if in_time:
        return notes.result()
    notes.cancel()
    _log.warning("The agent's run goes on without its memory: nothing was recalled in time.")
    return ""


def _notes(view: Recollection, settings: Settings, task: str) -> str:
    found = view.recall(task, settings.limit)
    return context_block(
        task,
        found,
        _pitfalls(view),
        budget=settings.token_budget,
        nonce=secrets.token_hex(_NONCE_BYTES),
    )


def _pitfalls(view: Recollection) -> Sequence[Pitfall]:
    return quietly(lambda: view.pitfalls(_PITFALLS_ASKED), ())


def _learn(view: Recollection, settings: Settings, run: FinishedRun, run_id: str | None) -> None:
    score = _score(view, settings, run)
    if score is None:
        return
    view.learn(
        Lesson(
            task=run.task,
            code=run.code[: limits.CODE_MAX_CHARS],
            output=run.output and run.output[: limits.OUTPUT_MAX_CHARS],
            eval_score=score,
            run_id=run_id and run_id[: limits.ID_MAX_CHARS],
            skills=settings.skills,
            classification=settings.classification,
        )
    )


def _score(view: Recollection, settings: Settings, run: FinishedRun) -> float | None:
    score = settings.score
    if isinstance(score, Judges):
        return view.judge(run.task, run.code, run.output, score.num_evals)
    if callable(score):
        return score(run)
    return FAILURE_SCORE if run.error is not None else score
