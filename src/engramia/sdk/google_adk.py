"""Google ADK: a plugin that recalls before an invocation and learns after it."""

from typing import Any, Unpack

from engramia.sdk.extra import extra_installed
from engramia.sdk.open_runs import OpenRuns
from engramia.sdk.options import Options
from engramia.sdk.recollection import AnyMemory
from engramia.sdk.session import Session, quietly, session_of

with extra_installed("Google ADK", "google-adk"):
    from google.adk.agents.callback_context import CallbackContext
    from google.adk.agents.invocation_context import InvocationContext
    from google.adk.events import Event
    from google.adk.models.llm_request import LlmRequest
    from google.adk.plugins import BasePlugin
    from google.genai import types


class EngramiaPlugin(BasePlugin):
    """Appends notes on earlier runs to the system instruction, and learns the final response.

        app = App(name="prices", root_agent=agent, plugins=[EngramiaPlugin(memory=Memory())])

    The task is the text of the user's message. All agents of the invocation are told.
    """

    def __init__(
        self, memory: AnyMemory | Session, *, name: str = "engramia", **options: Unpack[Options]
    ) -> None:
        super().__init__(name)
        self.session = session_of(memory, options)
        self._open = OpenRuns()
        self._answers: dict[str, str] = {}

    async def on_user_message_callback(
        self, *, invocation_context: InvocationContext, user_message: types.Content
    ) -> None:
        """Recall for the invocation that begins."""
        key = invocation_context.invocation_id
        self._open.add(key, await self.session.abegin(quietly(lambda: _text(user_message), ""), run_id=key))

    async def before_model_callback(
        self, *, callback_context: CallbackContext, llm_request: LlmRequest
    ) -> None:
        """Ask the model with the notes behind the system instruction."""
        run = self._open.get(callback_context.invocation_id)
        if run is not None and run.context:
            llm_request.append_instructions([run.context])

    async def on_event_callback(self, *, invocation_context: InvocationContext, event: Event) -> None:
        """Note the final response."""
        key = invocation_context.invocation_id
        if self._open.get(key) is not None and event.is_final_response() and event.error_code is None:
            self._answers[key] = quietly(lambda: _text(event.content), "")

    async def after_run_callback(self, *, invocation_context: InvocationContext) -> None:
        """Learn from the invocation that is over."""
        key = invocation_context.invocation_id
        answer = self._answers.pop(key, "")
        if (run := self._open.pop(key)) is not None:
            await run.afinish(answer, result=invocation_context)

    async def on_run_error_callback(self, *, invocation_context: InvocationContext, error: Exception) -> None:
        """Note that the invocation failed."""
        key = invocation_context.invocation_id
        self._answers.pop(key, None)
        if (run := self._open.pop(key)) is not None:
            await run.afail(error)


def _text(content: Any) -> str:
    parts = (content.parts if content else None) or []
    return "\n".join(part.text for part in parts if part.text and not part.thought)
