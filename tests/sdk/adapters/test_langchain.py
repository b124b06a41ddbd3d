"""What LangChain's callback and middleware do beyond the contract of all adapters."""

import asyncio
import threading
import uuid
from typing import Any

import pytest

pytest.importorskip("langchain", reason="`make test-adapters` has an environment for LangChain")

from langchain.agents import create_agent
from langchain_core.language_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from engramia import Memory
from engramia.sdk.langchain import EngramiaCallback, EngramiaMiddleware
from tests.sdk.adapters.hosts import Play, Script
from tests.sdk.adapters.hosts.langchain_agent import ScriptedModel

TASK = "Read prices.csv and print the median of the column price."


def learned(memory: Memory) -> list[tuple[str, str]]:
    return sorted((each.task, each.code) for each in memory.list_patterns().items)


def test_the_user_guide_s_line(memory: Memory) -> None:
    callback = EngramiaCallback(memory=memory)
    chain = RunnableLambda(lambda given: f"Done: {given['input']}")
    assert chain.invoke({"input": TASK}, config={"callbacks": [callback]}) == f"Done: {TASK}"
    assert learned(memory) == [(TASK, f"Done: {TASK}")]
    chain.invoke({"input": TASK}, config={"callbacks": [callback]})
    assert memory.metrics().reuse_rate == 0.5, "it recalls before the chain starts"


@pytest.mark.parametrize(
    ("given", "answer", "pair"),
    [
        (TASK, "x()", (TASK, "x()")),
        ({"question": TASK}, {"answer": "x()"}, (TASK, "x()")),
        ({"topic": TASK}, {"joke": "x()"}, (TASK, "x()")),
        ([HumanMessage(TASK)], AIMessage("x()"), (TASK, "x()")),
        ({"messages": [("user", TASK)]}, {"messages": [HumanMessage(TASK), AIMessage("x()")]}, (TASK, "x()")),
        ({"a": 1, "b": 2}, [1], ('{"a": 1, "b": 2}', "[1]")),
    ],
)
def test_what_chains_take_and_give(memory: Memory, given: Any, answer: Any, pair: tuple[str, str]) -> None:
    callback = EngramiaCallback(memory=memory)
    RunnableLambda(lambda _given: answer).invoke(given, config={"callbacks": [callback]})
    assert learned(memory) == [pair]


def test_the_steps_of_a_chain_are_no_runs(memory: Memory) -> None:
    callback = EngramiaCallback(memory=memory)
    chain = RunnableLambda(lambda text: text + "!") | RunnableLambda(lambda text: text + "?")
    chain = chain.with_config(callbacks=[callback])
    chain.invoke(TASK, config={"callbacks": [callback]})
    assert learned(memory) == [(TASK, f"{TASK}!?")]
    assert memory.metrics().runs == 1


def test_a_callback_under_asyncio_leaves_the_loop_free(memory: Memory) -> None:
    callback = EngramiaCallback(memory=memory)
    threads: set[str] = set()

    async def step(text: str) -> str:
        threads.add(threading.current_thread().name)
        return text + "!"

    async def many() -> None:
        chain = RunnableLambda(step)
        await asyncio.gather(
            *(chain.ainvoke(f"Task number {n}", config={"callbacks": [callback]}) for n in range(10))
        )

    asyncio.run(many())
    assert threads == {threading.main_thread().name}
    assert memory.metrics().runs == 10


def test_an_agent_with_tools_recalls_and_learns_once(memory: Memory) -> None:
    @tool
    def median(column: str) -> str:
        """Return the median of a column."""
        return f"The median of {column} is 42."

    call = {"name": "median", "args": {"column": "price"}, "id": "1"}
    answers = [AIMessage("", tool_calls=[call]), AIMessage("It is 42.")]

    class Model(FakeMessagesListChatModel):
        def bind_tools(self, _tools: Any, **_more: Any) -> Any:
            return self

    middleware = EngramiaMiddleware(memory=memory)
    agent = create_agent(Model(responses=answers), [median], middleware=[middleware])
    agent.invoke({"messages": [("user", TASK)]})
    assert learned(memory) == [(TASK, "It is 42.")]
    assert memory.metrics().runs == 1
    assert memory.metrics().reuse_rate == 0.0


def test_each_turn_of_a_conversation_is_a_run(memory: Memory) -> None:
    script = Script()
    agent = create_agent(
        ScriptedModel(script=script),
        middleware=[EngramiaMiddleware(memory=memory)],
        checkpointer=InMemorySaver(),
    )
    config: Any = {"configurable": {"thread_id": "t"}}
    for task, answer in ((TASK, "median()"), ("Now draw a red circle.", "circle()"), (TASK, "again()")):
        script.begin(Play(task, answer))
        agent.invoke({"messages": [("user", task)]}, config)
    assert "| median()" in script.heard()[0][0]
    assert not any("Engramia" in message for message in script.heard()[0][1:]), "the history holds no notes"
    assert learned(memory) == [("Now draw a red circle.", "circle()"), (TASK, "median()")]


def test_one_message_object_may_begin_two_runs(memory: Memory) -> None:
    script = Script()
    agent = create_agent(ScriptedModel(script=script), middleware=[EngramiaMiddleware(memory=memory)])
    message = HumanMessage(TASK, id=str(uuid.uuid4()))
    for _ in range(2):
        script.begin(Play(TASK, "median()"))
        agent.invoke({"messages": [message]})
    assert memory.metrics().runs == 2
    assert "| median()" in script.heard()[0][0]


def test_a_system_prompt_in_parts_stays_in_parts(memory: Memory) -> None:
    memory.learn(task=TASK, code="median()", eval_score=8)
    seen: list[Any] = []

    class Model(FakeMessagesListChatModel):
        def _generate(self, messages: Any, *args: Any, **more: Any) -> Any:
            seen.append(messages[0])
            return super()._generate(messages, *args, **more)

    own = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    agent = create_agent(
        Model(responses=[AIMessage("x")]),
        system_prompt=SystemMessage(content=own),
        middleware=[EngramiaMiddleware(memory=memory)],
    )
    agent.invoke({"messages": [("user", TASK)]})
    assert seen[0].content[0] == own[0]
    assert "| median()" in seen[0].content[1]["text"]


def test_without_a_message_of_the_user_nothing_is_done(memory: Memory) -> None:
    script = Script()
    script.begin(Play("", "x"))
    agent = create_agent(ScriptedModel(script=script), middleware=[EngramiaMiddleware(memory=memory)])
    agent.invoke({"messages": [("ai", "Hello.")]})
    assert memory.metrics().runs == 0
