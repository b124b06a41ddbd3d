"""What is put around a language model: a bound on calls at once, and a measure of each call."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, wait
from contextvars import Context, copy_context  # noqa: TID251 - a call takes the log fields of its asker along
from dataclasses import dataclass, field
from functools import partial

from engramia.core.llm import LLM, Question, probe
from engramia.errors import ProviderBusyError, ProviderError, ProviderTimeoutError


class Pooled:
    """A language model of which at most `concurrency` calls run at once; thread-safe.

    Behind them waits a line of bounded length, first come, first served; who finds no room is told at once.
    Calls run in daemon threads of their own that live while there is work: none idles, and none keeps the
    program from ending.
    """

    def __init__(
        self, llm: LLM, concurrency: int = 10, queue: int | None = None, *, seconds: float = 60.0
    ) -> None:
        """Bound the calls of `llm`.

        `queue`: how many questions may wait, by default twice as many as run. `seconds`: within which a
        question is answered, waiting included; a call that outlasts it keeps its place until it ends.
        """
        if concurrency < 1:
            raise ValueError("concurrency must be at least 1")
        self.vendor = llm.vendor
        self.model = llm.model
        self._llm = llm
        self._concurrency = concurrency
        self._queue = 2 * concurrency if queue is None else queue
        self._seconds = seconds
        self._lock = threading.Lock()
        self._line: deque[_Call] = deque()
        self._running = 0

    def ask(self, question: Question) -> object:
        """Return the model's answer; raises what it does, `ProviderBusyError` and `ProviderTimeoutError`."""
        (outcome,) = self.ask_all([question])
        if isinstance(outcome, ProviderError):
            raise outcome
        return outcome

    def ask_all(self, questions: Sequence[Question]) -> list[object | ProviderError]:
        """Ask all at once and return, in their order, each answer or what went wrong with it.

        Raises `ProviderBusyError`, before anything is sent, unless there is room for all of them; more than
        ever have room are let in when nobody waits, and take turns.
        """
        calls = self._admitted(questions)
        late: Iterable[_Call] = calls
        try:
            wait([call.future for call in calls], timeout=self._seconds)
            late = [call for call in calls if not call.future.done()]
        finally:
            self._withdraw(late)
        return [self._outcome(call) for call in calls]

    def probe(self) -> bool:
        """Probe the model as `core.llm.Probed` says; it waits in no line and is not measured."""
        return probe(self._llm)

    def close(self) -> None:
        """Close the connections of the model, if it keeps any."""
        _close(self._llm)

    def _admitted(self, questions: Sequence[Question]) -> "list[_Call]":
        calls = [_Call(question) for question in questions]
        with self._lock:
            room = self._concurrency + self._queue - self._running - len(self._line)
            oversize = len(calls) > self._concurrency + self._queue
            if len(calls) > room and not (oversize and not self._line):
                raise ProviderBusyError(
                    f"{len(self._line)} questions wait for the language model already; try again later."
                )
            free = self._concurrency - self._running
            for call in calls[:free]:
                threading.Thread(target=self._work, args=(call,), name="engramia-llm", daemon=True).start()
                self._running += 1
            self._line.extend(calls[free:])
        return calls

    def _work(self, first: "_Call") -> None:
        call: _Call | None = first
        while call is not None:
            publish = call.context.run(call.run, self._llm)
            with self._lock:
                call = self._line.popleft() if self._line else None
                self._running -= call is None
            # Not before the place is free: who has the answer may have the next question ready.
            publish()

    def _withdraw(self, calls: "Iterable[_Call]") -> None:
        """Take the questions out of the line whose asker has gone; nobody pays for their answers."""
        with self._lock:
            for call in calls:
                if call in self._line:
                    self._line.remove(call)

    def _outcome(self, call: "_Call") -> object | ProviderError:
        if not call.future.done():
            return ProviderTimeoutError(f"No answer within {self._seconds:g} s.")
        try:
            return call.future.result()
        except ProviderError as error:
            return error


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    """A question on its way."""

    question: Question
    future: Future[object] = field(default_factory=Future)
    context: Context = field(default_factory=copy_context)
    """The asker's: log fields and spans."""

    def run(self, llm: LLM) -> Callable[[], None]:
        """Ask, and return what hands the outcome to the asker."""
        try:
            answer = llm.ask(self.question)
        except BaseException as error:  # noqa: BLE001 (carried to the asker's thread and raised there)
            return partial(self.future.set_exception, error)
        return partial(self.future.set_result, answer)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One call: whom, what, how long, and the name of the error's class if it failed."""

    vendor: str
    model: str
    question: str
    seconds: float
    error: str | None


class Measured:
    """A language model whose every call is told to `observe`, in the thread of the call."""

    def __init__(
        self,
        llm: LLM,
        observe: Callable[[Measurement], object],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Measure `llm` by `clock`, in seconds; put it inside `Pooled` to leave out the time in the line."""
        self.vendor = llm.vendor
        self.model = llm.model
        self._llm = llm
        self._observe = observe
        self._clock = clock

    def ask(self, question: Question) -> object:
        """Return the model's answer; raises what it raises."""
        begin = self._clock()
        failure: str | None = None
        try:
            return self._llm.ask(question)
        except BaseException as error:
            failure = type(error).__name__
            raise
        finally:
            seconds = self._clock() - begin
            self._observe(Measurement(self.vendor, self.model, question.name, seconds, failure))

    def probe(self) -> bool:
        """Probe the model as `core.llm.Probed` says; it waits in no line and is not measured."""
        return probe(self._llm)

    def close(self) -> None:
        """Close the connections of the model, if it keeps any."""
        _close(self._llm)


def _close(llm: LLM) -> None:
    close = getattr(llm, "close", None)
    if close is not None:
        close()
