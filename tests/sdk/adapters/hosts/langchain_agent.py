"""An agent of LangChain with the middleware."""

from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import ConfigDict

from engramia.sdk.langchain import EngramiaMiddleware
from tests.sdk.adapters.hosts import SYSTEM, Heard, Memories, Play, Run, Script

LEARNS_FAILURES = False


class ScriptedModel(BaseChatModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    script: Script

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: list[BaseMessage], *_args: object, **_more: object) -> ChatResult:
        answer = self.script.answer(f"{message.type}: {message.text}" for message in messages)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=answer))])


def agent(memory: Memories, script: Script, options: dict[str, Any]) -> Any:
    middleware = [] if memory is None else [EngramiaMiddleware(memory=memory, **options)]
    return create_agent(ScriptedModel(script=script), [], system_prompt=SYSTEM, middleware=middleware)


def build(memory: Memories, **options: Any) -> Run:
    script = Script()
    made = agent(memory, script, options)

    def run(play: Play) -> Heard:
        script.begin(play)
        made.invoke({"messages": [("user", play.task)]})
        return script.heard()

    return run
