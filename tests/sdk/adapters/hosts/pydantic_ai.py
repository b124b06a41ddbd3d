"""An agent of Pydantic AI with the capability."""

import asyncio
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from engramia.sdk.pydantic_ai import EngramiaCapability
from tests.sdk.adapters.hosts import SYSTEM, Heard, Memories, Play, Run, Script

LEARNS_FAILURES = True


def build(memory: Memories, **options: Any) -> Run:
    script = Script()

    def model(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        parts = [f"{part.part_kind}: {part.content}" for message in messages for part in message.parts]
        return ModelResponse(parts=[TextPart(script.answer([f"system: {info.instructions}", *parts]))])

    capabilities = [] if memory is None else [EngramiaCapability(memory=memory, **options)]
    agent = Agent(FunctionModel(model), instructions=SYSTEM, capabilities=capabilities)

    def run(play: Play) -> Heard:
        script.begin(play)
        asyncio.run(agent.run(play.task))
        return script.heard()

    return run
