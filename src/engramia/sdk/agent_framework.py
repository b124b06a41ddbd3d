"""Microsoft Agent Framework: a context provider that recalls before a run and learns after it."""

from typing import Any, Unpack

from engramia.sdk.extra import extra_installed
from engramia.sdk.message_text import last_of
from engramia.sdk.open_runs import OpenRuns
from engramia.sdk.options import Options
from engramia.sdk.recollection import AnyMemory
from engramia.sdk.session import Session, quietly, session_of

with extra_installed("Microsoft Agent Framework", "agent-framework"):
    from agent_framework import AgentSession, ContextProvider, SessionContext, SupportsAgentRun


class EngramiaProvider(ContextProvider):
    """Adds notes on earlier runs to the instructions, and learns the agent's response.

        agent = Agent(client=client, context_providers=[EngramiaProvider(memory=Memory())])

    The task is the user's last message. A run that raises is never learned: providers do not hear of it.
    """

    def __init__(
        self, memory: AnyMemory | Session, *, source_id: str = "engramia", **options: Unpack[Options]
    ) -> None:
        super().__init__(source_id)
        self.session = session_of(memory, options)
        self._open = OpenRuns()

    async def before_run(
        self,
        *,
        agent: SupportsAgentRun,  # noqa: ARG002 - the framework's signature
        session: AgentSession,  # noqa: ARG002 - the framework's signature
        context: SessionContext,
        state: dict[str, Any],  # noqa: ARG002 - the framework's signature
    ) -> None:
        """Recall for the run that begins."""
        run = await self.session.abegin(quietly(lambda: last_of(context.input_messages, "user"), ""))
        # The context is the run's own, and lives as long as the run; what is in the session is stored away.
        self._open.add(id(context), run)
        if run.context:
            context.extend_instructions(self.source_id, run.context)

    async def after_run(
        self,
        *,
        agent: SupportsAgentRun,  # noqa: ARG002 - the framework's signature
        session: AgentSession,  # noqa: ARG002 - the framework's signature
        context: SessionContext,
        state: dict[str, Any],  # noqa: ARG002 - the framework's signature
    ) -> None:
        """Learn from the run that is over."""
        run, response = self._open.pop(id(context)), context.response
        if run is not None and response is not None:
            await run.afinish(response.text, result=response)
