"""An agent of Microsoft Agent Framework with the context provider."""

import asyncio
from typing import Any

from agent_framework import Agent, BaseChatClient, ChatResponse, Message

from engramia.sdk.agent_framework import EngramiaProvider
from tests.sdk.adapters.hosts import SYSTEM, Heard, Memories, Play, Run, Script

LEARNS_FAILURES = False


class ScriptedClient(BaseChatClient[Any]):
    def __init__(self, script: Script) -> None:
        super().__init__()
        self.script = script

    def _inner_get_response(self, *, messages: Any, stream: bool, options: Any, **_more: Any) -> Any:
        async def answered() -> ChatResponse:
            asked = [f"{each.role}: {each.text}" for each in messages]
            answer = self.script.answer([f"system: {options.get('instructions')}", *asked])
            return ChatResponse(messages=[Message(role="assistant", contents=[answer])])

        assert not stream
        return answered()


def build(memory: Memories, **options: Any) -> Run:
    script = Script()
    providers = [] if memory is None else [EngramiaProvider(memory=memory, **options)]
    agent = Agent(client=ScriptedClient(script), instructions=SYSTEM, context_providers=providers)

    def run(play: Play) -> Heard:
        script.begin(play)
        asyncio.run(agent.run(play.task))
        return script.heard()

    return run
