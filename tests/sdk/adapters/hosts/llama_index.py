"""A function agent of LlamaIndex that remembers."""

import asyncio
from typing import Any

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, LLMMetadata, MessageRole
from llama_index.core.llms.function_calling import FunctionCallingLLM
from pydantic import PrivateAttr

from engramia.sdk.llama_index import EngramiaFunctionAgent
from tests.sdk.adapters.hosts import SYSTEM, Heard, Memories, Play, Run, Script

LEARNS_FAILURES = False


class ScriptedLLM(FunctionCallingLLM):
    _script: Script = PrivateAttr()

    def __init__(self, script: Script) -> None:
        super().__init__()
        self._script = script

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(is_function_calling_model=True)

    async def achat_with_tools(self, _tools: Any = (), **more: Any) -> ChatResponse:
        messages = more["chat_history"]
        answer = self._script.answer(f"{each.role.value}: {each.content}" for each in messages)
        return ChatResponse(message=ChatMessage(role=MessageRole.ASSISTANT, content=answer))

    def get_tool_calls_from_response(self, *_args: Any, **_more: Any) -> list[Any]:
        return []

    def _prepare_chat_with_tools(self, *_args: Any, **_more: Any) -> dict[str, Any]:
        raise NotImplementedError

    chat = complete = stream_chat = stream_complete = _prepare_chat_with_tools
    achat = acomplete = astream_chat = astream_complete = _prepare_chat_with_tools


def build(memory: Memories, **options: Any) -> Run:
    script = Script()
    given: dict[str, Any] = {"llm": ScriptedLLM(script), "system_prompt": SYSTEM, "streaming": False}
    agent = (
        FunctionAgent(**given)
        if memory is None
        else EngramiaFunctionAgent(**given).remember(memory, **options)
    )

    async def asked(task: str) -> None:
        await agent.run(task)

    def run(play: Play) -> Heard:
        script.begin(play)
        asyncio.run(asked(play.task))
        return script.heard()

    return run
