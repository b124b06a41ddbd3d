"""CrewAI: a callback for a crew whose agents are told of earlier runs, and whose tasks are learned."""

import weakref
from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import Any, Unpack
from uuid import UUID

from engramia.sdk.extra import extra_installed
from engramia.sdk.open_runs import OpenRuns
from engramia.sdk.options import Options
from engramia.sdk.recollection import AnyMemory
from engramia.sdk.session import Session, session_of

with extra_installed("CrewAI", "crewai"):
    from crewai import Crew
    from crewai.events import TaskCompletedEvent, TaskFailedEvent, crewai_event_bus
    from crewai.hooks import (
        LLMCallHookContext,
        register_before_llm_call_hook,
        unregister_before_llm_call_hook,
    )

_patching = Lock()


class EngramiaCrewCallback:
    """Adds notes on earlier runs to what a crew's agents are asked, and learns each task that is done.

        crew = Crew(agents=[...], tasks=[...], callbacks=[EngramiaCrewCallback(memory=Memory())])

    A run is one task of the crew: its description, and what the agent answered. Other crews of the program
    are not touched. CrewAI has no field `callbacks` and passes over it in silence: the first callback that is
    made has `Crew` look for it. `attach` does the same for a crew that is there already.
    """

    def __init__(self, memory: AnyMemory | Session, **options: Unpack[Options]) -> None:
        self.session = session_of(memory, options)
        self._open = OpenRuns()
        self._crews: set[UUID] = set()
        self._lock = Lock()
        _have_crews_look_for_callbacks()

    def attach(self, crew: Crew) -> None:
        """Take part in what `crew` does, until the crew is gone or `close` is called."""
        with self._lock:
            first = not self._crews
            self._crews.add(crew.id)
        weakref.finalize(crew, _forget, weakref.WeakMethod(self._detach), crew.id)
        if first:
            self._register()

    def is_attached(self, crew: Crew) -> bool:
        """Return whether this callback takes part in what `crew` does."""
        return crew.id in self._crews

    def close(self) -> None:
        """Take part in nothing any more."""
        with self._lock:
            crews, self._crews = self._crews, set()
        if crews:
            self._unregister()

    def _detach(self, crew_id: UUID) -> None:
        with self._lock:
            last = self._crews == {crew_id}
            self._crews.discard(crew_id)
        if last:
            self._unregister()

    def _register(self) -> None:
        _callbacks.add(self)
        register_before_llm_call_hook(self._before_call)
        crewai_event_bus.register_handler(TaskCompletedEvent, self._on_task_completed)
        crewai_event_bus.register_handler(TaskFailedEvent, self._on_task_failed)

    def _unregister(self) -> None:
        _callbacks.discard(self)
        unregister_before_llm_call_hook(self._before_call)
        crewai_event_bus.off(TaskCompletedEvent, self._on_task_completed)
        crewai_event_bus.off(TaskFailedEvent, self._on_task_failed)

    def _before_call(self, context: LLMCallHookContext) -> None:
        """Recall before the first call for a task, and ask with the notes behind the system prompt."""
        task, crew = context.task, context.crew
        if task is None or crew is None or crew.id not in self._crews:
            return
        run = self._open.get(task.id)
        if run is None:
            run = self.session.begin(task.description, run_id=str(task.id))
            self._open.add(task.id, run)
        if run.context:
            _tell(context.messages, run.context)

    def _on_task_completed(self, source: Any, event: Any) -> None:
        if (run := self._open.pop(getattr(source, "id", None))) is not None:
            run.finish(event.output.raw, result=event.output)

    def _on_task_failed(self, source: Any, event: Any) -> None:
        if (run := self._open.pop(getattr(source, "id", None))) is not None:
            run.fail(RuntimeError(event.error))


_callbacks: set[EngramiaCrewCallback] = set()
"""Those that take part in a crew."""


def _forget(detach: Callable[[], Callable[[UUID], None] | None], crew_id: UUID) -> None:
    if (method := detach()) is not None:
        method(crew_id)


def _tell(messages: list[Any], notes: str) -> None:
    """Put the notes behind the system prompt, once: the list is the agent's own and grows with each call."""
    if any(notes in str(message.get("content")) for message in messages):
        return
    if messages and messages[0].get("role") == "system":
        messages[0] = {**messages[0], "content": f"{messages[0]['content']}\n\n{notes}"}
    else:
        messages.insert(0, {"role": "system", "content": notes})


def _have_crews_look_for_callbacks() -> None:
    """Have `Crew(callbacks=[...])` attach our callbacks, and copies of a crew keep them."""
    with _patching:
        if getattr(Crew.__init__, "looks_for_engramia", False):
            return
        Crew.__init__ = _attaching(Crew.__init__)  # type: ignore[method-assign]  # what a `Crew` passes over
        Crew.copy = _keeping(Crew.copy)  # type: ignore[method-assign,assignment]  # and what its copies lose


def _attaching(init: Callable[..., None]) -> Callable[..., None]:
    @wraps(init)
    def initialised(crew: Crew, **given: Any) -> None:
        init(crew, **given)
        for callback in given.get("callbacks") or ():
            if isinstance(callback, EngramiaCrewCallback):
                callback.attach(crew)

    initialised.looks_for_engramia = True  # type: ignore[attr-defined]  # a mark for the next callback
    return initialised


def _keeping(copy: Callable[[Crew], Crew]) -> Callable[[Crew], Crew]:
    @wraps(copy)
    def copied(crew: Crew) -> Crew:
        other = copy(crew)
        for callback in [each for each in _callbacks if each.is_attached(crew)]:
            callback.attach(other)
        return other

    return copied
