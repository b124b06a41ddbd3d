"""An agent of Google ADK with the plugin."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from google.adk.agents import LlmAgent
from google.adk.apps import App
from google.adk.models import BaseLlm, LlmRequest, LlmResponse
from google.adk.runners import InMemoryRunner
from google.genai import types
from pydantic import PrivateAttr

from engramia.sdk.google_adk import EngramiaPlugin
from tests.sdk.adapters.hosts import SYSTEM, Heard, Memories, Play, Run, Script

LEARNS_FAILURES = True


class ScriptedLlm(BaseLlm):
    _script: Script = PrivateAttr()

    def __init__(self, script: Script) -> None:
        super().__init__(model="scripted")
        self._script = script

    async def generate_content_async(
        self,
        llm_request: LlmRequest,
        stream: bool = False,  # noqa: ARG002 - the framework's signature
    ) -> AsyncGenerator[LlmResponse, None]:
        asked = [f"{each.role}: {each.parts[0].text}" for each in llm_request.contents]
        answer = self._script.answer([f"system: {llm_request.config.system_instruction}", *asked])
        yield LlmResponse(content=types.Content(role="model", parts=[types.Part(text=answer)]))


def build(memory: Memories, **options: Any) -> Run:
    script = Script()
    agent = LlmAgent(name="programmer", model=ScriptedLlm(script), instruction=SYSTEM)
    plugins = [] if memory is None else [EngramiaPlugin(memory=memory, **options)]

    async def asked(task: str) -> None:
        runner = InMemoryRunner(app=App(name="tests", root_agent=agent, plugins=plugins))
        session = await runner.session_service.create_session(app_name="tests", user_id="u")
        message = types.Content(role="user", parts=[types.Part(text=task)])
        async for _event in runner.run_async(user_id="u", session_id=session.id, new_message=message):
            pass

    def run(play: Play) -> Heard:
        script.begin(play)
        asyncio.run(asked(play.task))
        return script.heard()

    return run
