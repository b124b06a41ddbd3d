"""LlamaIndex: agents that recall before a run and learn after it."""

from collections.abc import Sequence
from typing import Any, Self, Unpack
from uuid import uuid4

from engramia.sdk.extra import extra_installed
from engramia.sdk.open_runs import OpenRuns
from engramia.sdk.options import Options
from engramia.sdk.recollection import AnyMemory
from engramia.sdk.session import Session, session_of

with extra_installed("LlamaIndex", "llama-index"):
    from llama_index.core.agent.workflow import AgentOutput, FunctionAgent, ReActAgent
    from llama_index.core.base.llms.types import ChatMessage, MessageRole
    from llama_index.core.bridge.pydantic import PrivateAttr

_KEY = "engramia_run"


class _Companion:
    """What is done beside an agent's own steps."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._open = OpenRuns()

    async def notes(self, ctx: Any) -> str:
        """Return the notes for the run under way; the first step recalls them."""
        run = self._open.get(await ctx.store.get(_KEY, default=None))
        task = await ctx.store.get("user_msg_str", default="")
        # A context that is used again may hold the name of a run that failed.
        if run is None or not task.startswith(run.task):
            # It may be stored away by its owner, so it holds a name and not the run itself.
            key = uuid4().hex
            run = await self._session.abegin(task, run_id=key)
            self._open.add(key, run)
            await ctx.store.set(_KEY, key)
        return run.context

    async def learn(self, ctx: Any, output: AgentOutput) -> None:
        """Learn from the run that is over."""
        if (run := self._open.pop(await ctx.store.get(_KEY, default=None))) is not None:
            await run.afinish(output.response.content, result=output)
        await ctx.store.set(_KEY, None)


class EngramiaFunctionAgent(FunctionAgent):
    """A `FunctionAgent` that remembers.

        agent = EngramiaFunctionAgent(tools=[...], llm=llm).remember(Memory())

    The task is the user's message, the solution the agent's last one; a run that raises is never learned.
    """

    _companion: _Companion | None = PrivateAttr(default=None)

    def remember(self, memory: AnyMemory | Session, **options: Unpack[Options]) -> Self:
        """Recall from `memory` before each run and learn after it; return the agent itself."""
        self._companion = _Companion(session_of(memory, options))
        return self

    async def take_step(
        self, ctx: Any, llm_input: list[ChatMessage], tools: Sequence[Any], memory: Any
    ) -> AgentOutput:
        """Ask the model, with the notes behind the system prompt."""
        notes = await self._companion.notes(ctx) if self._companion else ""
        asked = _in_system_prompt(llm_input, notes) if notes else llm_input
        return await super().take_step(ctx, asked, tools, memory)

    async def finalize(self, ctx: Any, output: AgentOutput, memory: Any) -> AgentOutput:
        """End the run, and learn from it."""
        output = await super().finalize(ctx, output, memory)
        if self._companion:
            await self._companion.learn(ctx, output)
        return output


class EngramiaReActAgent(ReActAgent):
    """A `ReActAgent` that remembers, as `EngramiaFunctionAgent` does."""

    _companion: _Companion | None = PrivateAttr(default=None)

    def remember(self, memory: AnyMemory | Session, **options: Unpack[Options]) -> Self:
        """Recall from `memory` before each run and learn after it; return the agent itself."""
        self._companion = _Companion(session_of(memory, options))
        return self

    async def take_step(
        self, ctx: Any, llm_input: list[ChatMessage], tools: Sequence[Any], memory: Any
    ) -> AgentOutput:
        """Ask the model, with the notes before the conversation."""
        notes = await self._companion.notes(ctx) if self._companion else ""
        asked = _before_conversation(llm_input, notes) if notes else llm_input
        return await super().take_step(ctx, asked, tools, memory)

    async def finalize(self, ctx: Any, output: AgentOutput, memory: Any) -> AgentOutput:
        """End the run, and learn from it."""
        output = await super().finalize(ctx, output, memory)
        if self._companion:
            await self._companion.learn(ctx, output)
        return output


def _in_system_prompt(messages: list[ChatMessage], notes: str) -> list[ChatMessage]:
    """Return the messages with the notes behind the system prompt; those given stay as they are."""
    own, rest = _apart(messages)
    text = f"{own.content}\n\n{notes}" if own else notes
    return [ChatMessage(role=MessageRole.SYSTEM, content=text), *rest]


def _before_conversation(messages: list[ChatMessage], notes: str) -> list[ChatMessage]:
    """Return the messages with the notes among them: a `ReActAgent` drops the first system prompt."""
    own, rest = _apart(messages)
    dropped = own or ChatMessage(role=MessageRole.SYSTEM, content="")
    return [dropped, ChatMessage(role=MessageRole.SYSTEM, content=notes), *rest]


def _apart(messages: list[ChatMessage]) -> tuple[ChatMessage | None, list[ChatMessage]]:
    if messages and messages[0].role == MessageRole.SYSTEM:
        return messages[0], messages[1:]
    return None, messages
