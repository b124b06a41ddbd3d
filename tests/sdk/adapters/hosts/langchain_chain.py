"""A chain of LangChain with the callback, whose notes stand behind the prompt."""

from typing import Any

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough

from engramia.sdk.langchain import EngramiaCallback
from tests.sdk.adapters.hosts import SYSTEM, Heard, Memories, Play, Run, Script
from tests.sdk.adapters.hosts.langchain_agent import ScriptedModel

LEARNS_FAILURES = True


def _no_notes(_input: object) -> str:
    return ""


def build(memory: Memories, **options: Any) -> Run:
    script = Script()
    prompt = ChatPromptTemplate([("system", SYSTEM + "{notes}"), ("user", "{input}")])
    callbacks = [] if memory is None else [EngramiaCallback(memory=memory, **options)]
    notes: Any = callbacks[0].context if callbacks else _no_notes
    chain = (
        RunnablePassthrough.assign(notes=notes) | prompt | ScriptedModel(script=script) | StrOutputParser()
    )

    def run(play: Play) -> Heard:
        script.begin(play)
        chain.invoke({"input": play.task}, config={"callbacks": callbacks})
        return script.heard()

    return run
