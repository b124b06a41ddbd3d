"""An agent of LangChain with the middleware, under asyncio."""

import asyncio
from typing import Any

from tests.sdk.adapters.hosts import Heard, Memories, Play, Run, Script
from tests.sdk.adapters.hosts.langchain_agent import agent

LEARNS_FAILURES = False


def build(memory: Memories, **options: Any) -> Run:
    script = Script()
    made = agent(memory, script, options)

    def run(play: Play) -> Heard:
        script.begin(play)
        asyncio.run(made.ainvoke({"messages": [("user", play.task)]}))
        return script.heard()

    return run
