"""Pydantic AI: a capability that recalls before a run and learns after it."""

from collections.abc import Sequence
from copy import copy
from typing import Any, Self, Unpack

from engramia.sdk.extra import extra_installed
from engramia.sdk.options import Options
from engramia.sdk.recollection import AnyMemory
from engramia.sdk.session import Run, Session, quietly, session_of

with extra_installed("Pydantic AI", "pydantic-ai"):
    from pydantic_ai import AgentRunResult, RunContext
    from pydantic_ai.capabilities import AbstractCapability, WrapRunHandler
    from pydantic_ai.messages import ModelRequest, UserPromptPart


class EngramiaCapability(AbstractCapability[Any]):
    """Adds notes on earlier runs to the instructions, and learns the output when the run is over.

        agent = Agent(model, capabilities=[EngramiaCapability(memory=Memory())])

    The task is the text of the user's prompt, or of the last one in the history that the run goes on from.
    """

    def __init__(self, memory: AnyMemory | Session, **options: Unpack[Options]) -> None:
        self.session = session_of(memory, options)
        self._run: Run | None = None

    async def for_run(self, ctx: RunContext[Any]) -> Self:  # noqa: ARG002 - the framework's signature
        """Return a capability of the run's own, which holds what was recalled for it."""
        return copy(self)

    def get_instructions(self) -> Any:
        """Return the notes, as instructions that are asked for before each call of the model."""

        def notes(_ctx: RunContext[Any]) -> str | None:
            return self._run.context or None if self._run else None

        return notes

    async def wrap_run(self, ctx: RunContext[Any], *, handler: WrapRunHandler) -> AgentRunResult[Any]:
        """Recall, run, and learn."""
        run = self._run = await self.session.abegin(quietly(lambda: _task(ctx), ""), run_id=ctx.run_id)
        try:
            result = await handler()
        except Exception as error:
            await run.afail(error)
            raise
        await run.afinish(result.output, result=result)
        return result


def _task(ctx: RunContext[Any]) -> str:
    if ctx.prompt is not None:
        return _text(ctx.prompt)
    parts = [part for message in ctx.messages if isinstance(message, ModelRequest) for part in message.parts]
    return next((_text(part.content) for part in reversed(parts) if isinstance(part, UserPromptPart)), "")


def _text(content: str | Sequence[Any]) -> str:
    """Return the words of a prompt, without its pictures and files."""
    if isinstance(content, str):
        return content
    texts = (part if isinstance(part, str) else getattr(part, "content", None) for part in content)
    return "\n".join(text for text in texts if isinstance(text, str))
