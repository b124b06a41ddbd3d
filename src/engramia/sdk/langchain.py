"""LangChain: a callback for any chain, and a middleware for agents made by `create_agent`."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Unpack
from uuid import UUID

from engramia.sdk.extra import extra_installed
from engramia.sdk.message_text import as_text, last_of
from engramia.sdk.open_runs import OpenRuns
from engramia.sdk.options import Options
from engramia.sdk.recollection import AnyMemory
from engramia.sdk.session import Run, Session, quietly, session_of

with extra_installed("LangChain", "langchain"):
    from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
    from langchain_core.runnables import RunnableConfig
    from langgraph.runtime import Runtime

_TASK_KEYS = ("input", "question", "query", "task", "prompt", "messages")
_ANSWER_KEYS = ("output", "answer", "result", "text", "response", "messages")
_USER, _AGENT = ("human", "user"), ("ai", "assistant")


class EngramiaCallback(BaseCallbackHandler):
    """Recalls when a chain starts and learns when it has ended well; for `config={"callbacks": [...]}`.

    The task is the chain's input, the solution its output: text, messages, or the usual entry of a mapping
    ("input", "question", ...; "output", "answer", ...). Only whole runs count, not the steps in them.
    LangChain does not let a callback change what a model is asked. A prompt gets the notes on earlier runs
    through `context`; agents get them by `EngramiaMiddleware`.
    """

    def __init__(self, memory: AnyMemory | Session, **options: Unpack[Options]) -> None:
        super().__init__()
        self.session = session_of(memory, options)
        self._open = OpenRuns()

    def context(self, _input: object, config: RunnableConfig) -> str:
        """Return the notes for the run under way; a step of a chain.

        `RunnablePassthrough.assign(notes=callback.context)` fills `{notes}` in the prompt that follows.
        """
        run = self._open.get(getattr(config.get("callbacks"), "parent_run_id", None))
        return run.context if run else ""

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,  # noqa: ARG002 - LangChain's name for it
        inputs: object,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **_more: Any,
    ) -> None:
        """Recall for a run that begins; a step belongs to the run that it is in."""
        if parent_run_id is None:
            task = quietly(lambda: _said(inputs, _TASK_KEYS, _USER), "")
            self._open.add(run_id, self.session.begin(task, run_id=str(run_id)))
        elif (run := self._open.get(parent_run_id)) is not None:
            self._open.add(run_id, run)

    def on_chain_end(
        self, outputs: object, *, run_id: UUID, parent_run_id: UUID | None = None, **_more: Any
    ) -> None:
        """Learn from a run that is over."""
        run = self._open.pop(run_id)
        if run is not None and parent_run_id is None:
            answer = quietly(lambda: _said(outputs, _ANSWER_KEYS, _AGENT), "")
            run.finish(answer, result=outputs)

    def on_chain_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **_more: Any
    ) -> None:
        """Note that a run failed."""
        run = self._open.pop(run_id)
        if run is not None and parent_run_id is None:
            run.fail(error)


class EngramiaMiddleware(AgentMiddleware[Any, Any, Any]):
    """Puts notes on earlier runs behind the system prompt, and learns the answer when the agent is done.

        agent = create_agent(model, tools, middleware=[EngramiaMiddleware(memory=Memory())])

    The task is the last message of the user. A run that raises is never learned, whatever the options say:
    another middleware may still rescue it.
    """

    def __init__(self, memory: AnyMemory | Session, **options: Unpack[Options]) -> None:
        super().__init__()
        self.session = session_of(memory, options)
        self._open = OpenRuns()

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Recall before the first call of a run, and ask with the notes behind the system prompt."""
        asked = _last(request.state, HumanMessage)
        # A node of the graph before the run would cost more than all that is done here.
        run = self._open.get(asked.id) if asked else None
        if asked and not run:
            run = self.session.begin(asked.text, run_id=asked.id)
            self._open.add(asked.id, run)
        return handler(_with_notes(request, run.context if run else ""))

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Recall before the first call of a run, and ask with the notes behind the system prompt."""
        asked = _last(request.state, HumanMessage)
        run = self._open.get(asked.id) if asked else None
        if asked and not run:
            run = await self.session.abegin(asked.text, run_id=asked.id)
            self._open.add(asked.id, run)
        return await handler(_with_notes(request, run.context if run else ""))

    def after_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> None:  # noqa: ARG002 - the framework's signature
        """Learn from the run that is over."""
        run, answer = self._over(state)
        if run and answer:
            run.finish(answer.text, result=state)

    async def aafter_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> None:  # noqa: ARG002 - the framework's signature
        """Learn from the run that is over."""
        run, answer = self._over(state)
        if run and answer:
            await run.afinish(answer.text, result=state)

    def _over(self, state: AgentState[Any]) -> tuple[Run | None, AIMessage | None]:
        asked = _last(state, HumanMessage)
        return (self._open.pop(asked.id) if asked else None), _last(state, AIMessage)


def _last[M: BaseMessage](state: AgentState[Any], kind: type[M]) -> M | None:
    """Return the last message of a kind; LangGraph has given each message an id of its own."""
    return next((each for each in reversed(state["messages"]) if isinstance(each, kind)), None)


def _with_notes(request: ModelRequest[Any], notes: str) -> ModelRequest[Any]:
    if not notes:
        return request
    return request.override(system_message=_followed_by(request.system_message, notes))


def _followed_by(system: SystemMessage | None, notes: str) -> SystemMessage:
    if system is None:
        return SystemMessage(content=notes)
    if isinstance(system.content, str):
        return system.model_copy(update={"content": f"{system.content}\n\n{notes}"})
    return system.model_copy(update={"content": [*system.content, {"type": "text", "text": notes}]})


def _said(value: object, keys: tuple[str, ...], roles: tuple[str, ...]) -> str:
    """Return the text in what goes into a chain or comes out of it."""
    if isinstance(value, Mapping):
        named = next((value[key] for key in keys if key in value), None)
        if named is None and len(value) == 1:
            named = next(iter(value.values()))
        return as_text(value) if named is None else _said(named, keys, roles)
    if isinstance(value, list | tuple):
        return last_of(value, *roles) or as_text(value)
    return as_text(value)
