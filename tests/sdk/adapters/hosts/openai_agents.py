"""An agent of the OpenAI Agents SDK under our runner."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, Model, ModelResponse, RunConfig, Runner, Usage
from agents.testing import assistant_message

from engramia.sdk.openai_agents import EngramiaRunner
from tests.sdk.adapters.hosts import SYSTEM, Heard, Memories, Play, Run, Script

LEARNS_FAILURES = True


class ScriptedModel(Model):
    def __init__(self, script: Script) -> None:
        self.script = script

    async def get_response(
        self, system_instructions: str | None, input: Any, *_args: Any, **_more: Any
    ) -> ModelResponse:
        items = [{"role": "user", "content": input}] if isinstance(input, str) else input
        asked = [f"{item['role']}: {item['content']}" for item in items]
        answer = self.script.answer([f"system: {system_instructions}", *asked])
        return ModelResponse(output=[assistant_message(answer)], usage=Usage(), response_id=None)

    def stream_response(self, *_args: Any, **_more: Any) -> AsyncIterator[Any]:
        raise NotImplementedError


def build(memory: Memories, **options: Any) -> Run:
    script = Script()
    agent = Agent(name="programmer", instructions=SYSTEM, model=ScriptedModel(script))
    runner = Runner if memory is None else EngramiaRunner(memory=memory, **options)
    config = RunConfig(tracing_disabled=True)

    def run(play: Play) -> Heard:
        script.begin(play)
        asyncio.run(runner.run(agent, play.task, run_config=config))
        return script.heard()

    return run
