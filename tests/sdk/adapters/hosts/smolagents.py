"""A code agent of smolagents in our wrapper."""

from typing import Any

from smolagents import ChatMessage, CodeAgent, LogLevel, MessageRole, Model

from engramia.sdk.smolagents import EngramiaAgent
from tests.sdk.adapters.hosts import SYSTEM, Heard, Memories, Play, Run, Script

LEARNS_FAILURES = True


class ScriptedModel(Model):
    def __init__(self, script: Script) -> None:
        super().__init__(model_id="scripted")
        self.script = script

    def generate(self, messages: list[Any], **_more: Any) -> ChatMessage:
        asked = [f"{each.role}: {each.content[0]['text']}" for each in messages]
        # It answers as code agents do, with code that gives the final answer.
        code = f"<code>\nfinal_answer({self.script.answer(asked)!r})\n</code>"
        return ChatMessage(role=MessageRole.ASSISTANT, content=f"Thought: I know this.\n{code}")


def build(memory: Memories, **options: Any) -> Run:
    script = Script()
    own = CodeAgent(tools=[], model=ScriptedModel(script), instructions=SYSTEM, verbosity_level=LogLevel.OFF)
    agent = own if memory is None else EngramiaAgent(own, memory=memory, **options)

    def run(play: Play) -> Heard:
        script.begin(play)
        agent.run(play.task)
        return script.heard()

    return run
