"""What single adapters do beyond the contract of all; each test runs where its framework is installed."""

import asyncio
import gc
from contextlib import suppress
from typing import Any

import pytest

from engramia import Memory
from tests.sdk.adapters.conftest import WARNED_OF, installed
from tests.sdk.adapters.hosts import ModelDownError, Play, Script

TASK = "Read prices.csv and print the median of the column price."
PLAY = Play(TASK, "median()")


def needs(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not installed(package), reason=f"`make test-adapters` has an environment for {package}"
    )


def needs_crewai(test: Any) -> Any:
    """As `needs`, and CrewAI warns of itself while it is imported and used."""
    for line in WARNED_OF["crewai"]:
        test = pytest.mark.filterwarnings(line)(test)
    return needs("crewai")(test)


def learned(memory: Memory) -> list[tuple[str, str]]:
    return sorted((each.task, each.code) for each in memory.list_patterns().items)


@needs("agents")
def test_openai_agents_without_an_event_loop(memory: Memory) -> None:
    from agents import Agent, RunConfig
    from agents.testing import ScriptedModel, assistant_message

    from engramia.sdk.openai_agents import EngramiaRunner

    model = ScriptedModel([[assistant_message("median()")], [assistant_message("again()")]])
    agent = Agent(name="programmer", instructions="Be brief.", model=model)
    runner = EngramiaRunner(memory=memory)
    with asyncio.Runner() as loop:
        asyncio.set_event_loop(loop.get_loop())
        for _ in range(2):
            runner.run_sync(
                agent, [{"role": "user", "content": TASK}], run_config=RunConfig(tracing_disabled=True)
            )
    assert "| median()" in (model.last_call.system_instructions or "" if model.last_call else "")
    assert learned(memory) == [(TASK, "median()")]


@needs("agents")
def test_openai_agents_streamed_are_learned_when_the_stream_is_read(memory: Memory) -> None:
    from agents import Agent, RunConfig
    from agents.run_config import CallModelData, ModelInputData
    from agents.testing import ScriptedModel, assistant_message

    from engramia.sdk.openai_agents import EngramiaRunner

    memory.learn(task=TASK, code="known()", eval_score=8)
    model = ScriptedModel([[assistant_message("median()")]])
    agent = Agent(name="programmer", instructions="Be brief.", model=model)

    def own(data: CallModelData[Any]) -> ModelInputData:
        return ModelInputData(input=data.model_data.input, instructions="Be very brief.")

    async def streamed() -> int:
        config = RunConfig(tracing_disabled=True, call_model_input_filter=own)
        result = await EngramiaRunner(memory=memory, score=9.0).run_streamed(agent, TASK, run_config=config)
        assert learned(memory) == [(TASK, "known()")]
        return len([event async for event in result.stream_events()])

    assert asyncio.run(streamed()) > 0
    assert learned(memory) == [(TASK, "median()")]
    asked = model.last_call.system_instructions or "" if model.last_call else ""
    assert asked.startswith("Be very brief.\n\nEngramia memory")


@needs("agents")
def test_openai_agents_blocked_by_a_guardrail_are_not_learned(memory: Memory) -> None:
    from agents import (
        Agent,
        GuardrailFunctionOutput,
        OutputGuardrailTripwireTriggered,
        RunConfig,
        output_guardrail,
    )
    from agents.testing import ScriptedModel, assistant_message

    from engramia.sdk.openai_agents import EngramiaRunner

    @output_guardrail
    async def never(*_args: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)

    model = ScriptedModel([[assistant_message("median()")]] * 2)
    agent = Agent(name="programmer", model=model, output_guardrails=[never])
    runner = EngramiaRunner(memory=memory)
    config = RunConfig(tracing_disabled=True)
    with pytest.raises(OutputGuardrailTripwireTriggered):
        asyncio.run(runner.run(agent, TASK, run_config=config))

    async def streamed() -> None:
        result = await runner.run_streamed(agent, TASK, run_config=config)
        async for _event in result.stream_events():
            pass

    with pytest.raises(OutputGuardrailTripwireTriggered):
        asyncio.run(streamed())
    assert learned(memory) == []


@needs("pydantic_ai")
def test_pydantic_ai_runs_at_once_are_kept_apart(memory: Memory) -> None:
    from pydantic_ai import Agent
    from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart
    from pydantic_ai.models.function import AgentInfo, FunctionModel

    from engramia.sdk.pydantic_ai import EngramiaCapability

    for letter in "ab":
        memory.learn(task=f"Draw the letter {letter * 3}.", code=f"code_{letter}()", eval_score=8)

    async def model(_messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        await asyncio.sleep(0)
        best = (info.instructions or "").partition("| code_")[2]
        return ModelResponse(parts=[TextPart(best[:1])])

    agent = Agent(FunctionModel(model), capabilities=[EngramiaCapability(memory=memory, limit=1)])

    async def many() -> list[str]:
        runs = await asyncio.gather(*(agent.run(f"Draw the letter {letter * 3}.") for letter in "abab"))
        return [run.output for run in runs]

    assert asyncio.run(many()) == ["a", "b", "a", "b"]


@needs("pydantic_ai")
def test_pydantic_ai_takes_the_words_of_a_prompt_with_pictures(memory: Memory) -> None:
    from pydantic_ai import Agent, ImageUrl
    from pydantic_ai.models.test import TestModel

    from engramia.sdk.pydantic_ai import EngramiaCapability

    agent = Agent(TestModel(custom_output_text="x()"), capabilities=[EngramiaCapability(memory=memory)])
    first = asyncio.run(agent.run([TASK, ImageUrl(url="https://images.test/a.png")]))
    asyncio.run(agent.run(message_history=first.all_messages()[:1]))
    assert learned(memory) == [(TASK, "x()")]
    assert memory.metrics().runs == 2


@needs("smolagents")
def test_smolagents_stream_is_learned_once_it_is_read(memory: Memory) -> None:
    from smolagents import CodeAgent, LogLevel

    from engramia.sdk.smolagents import EngramiaAgent
    from tests.sdk.adapters.hosts.smolagents import ScriptedModel

    script = Script()
    script.begin(PLAY)
    own = CodeAgent(tools=[], model=ScriptedModel(script), verbosity_level=LogLevel.OFF)
    agent = EngramiaAgent(own, memory=memory)
    steps = agent.run(TASK, stream=True)
    assert memory.metrics().runs == 0
    assert list(steps)
    assert learned(memory) == [(TASK, "final_answer('median()')")]
    result = agent.run(TASK, return_full_result=True)
    assert result.output == "median()"
    assert "| final_answer('median()')" in script.heard()[-1][0]
    assert own.instructions is None


@needs("smolagents")
def test_smolagents_that_used_up_their_steps_have_failed(memory: Memory) -> None:
    from smolagents import ChatMessage, CodeAgent, LogLevel, MessageRole, Model

    from engramia.sdk.smolagents import EngramiaAgent

    class Endless(Model):
        def generate(self, _messages: Any, **_more: Any) -> ChatMessage:
            return ChatMessage(role=MessageRole.ASSISTANT, content="<code>\nx = 1\n</code>")

    own = CodeAgent(tools=[], model=Endless(), max_steps=2, verbosity_level=LogLevel.OFF)
    EngramiaAgent(own, memory=memory).run(TASK)
    assert learned(memory) == []
    EngramiaAgent(own, memory=memory, learn_failures=True).run(TASK)
    assert learned(memory) == [(TASK, "x = 1\n\nx = 1")]
    assert memory.list_patterns().items[0].success_score == 2.0


@needs("llama_index.core")
@pytest.mark.filterwarnings(
    "ignore:The `__fields:DeprecationWarning", "ignore:Accessing the 'model_:DeprecationWarning"
)
def test_llama_index_keeps_the_turns_of_one_context_apart(memory: Memory) -> None:
    from llama_index.core.workflow import Context

    from engramia.sdk.llama_index import EngramiaFunctionAgent
    from tests.sdk.adapters.hosts.llama_index import ScriptedLLM

    script = Script()
    agent = EngramiaFunctionAgent(llm=ScriptedLLM(script), streaming=False).remember(memory)
    silent = EngramiaFunctionAgent(llm=ScriptedLLM(script), streaming=False)

    async def turns() -> None:
        context = Context(agent)
        for task, answer in (("Draw a red circle.", None), (TASK, "median()"), (TASK, "again()")):
            script.begin(Play(task, answer))
            with suppress(ModelDownError):
                await agent.run(task, ctx=context)
        told = script.heard()[0]
        assert told[0].startswith("system: Engramia memory")
        assert "| median()" in told[0]
        script.begin(PLAY)
        await silent.run(TASK)

    asyncio.run(turns())
    assert learned(memory) == [(TASK, "median()")]
    assert script.heard() == [[f"user: {TASK}"]], "an agent that was given no memory has none"


@needs("dspy")
def test_dspy_tells_every_predictor_of_a_program_and_leaves_it_as_it_is(memory: Memory) -> None:
    import dspy

    from engramia.sdk.dspy import EngramiaModule
    from tests.sdk.adapters.hosts.dspy import ScriptedLM

    script = Script()

    class TwoSteps(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.plan = dspy.Predict("task -> code")
            self.write = dspy.Predict("task, plan -> code")
            self.set_lm(ScriptedLM(script))

        async def aforward(self, task: str) -> dspy.Prediction:
            plan = await self.plan.acall(task=task)
            return await self.write.acall(task=task, plan=plan.code)

        def forward(self, task: str) -> dspy.Prediction:
            return self.write(task=task, plan=self.plan(task=task).code)

    own = TwoSteps()
    program = EngramiaModule(own, memory=memory)
    script.begin(PLAY)
    program(task=TASK)
    assert learned(memory) == [(TASK, "median()")]
    script.begin(PLAY)
    program(task=TASK)
    assert ["| median()" in call[0] for call in script.heard()] == [True, True]
    assert "Engramia" not in own.plan.signature.instructions


@needs("dspy")
def test_dspy_under_asyncio(memory: Memory) -> None:
    import dspy
    from dspy.utils import DummyLM

    from engramia.sdk.dspy import EngramiaModule

    lm = DummyLM([{"code": "median()"}] * 3)
    program = EngramiaModule(dspy.Predict("task, language -> code"), memory=memory)
    with dspy.context(lm=lm):
        for _ in range(2):
            asyncio.run(program.acall(task=TASK, language="Python"))
    assert learned(memory) == [(f"task: {TASK}\nlanguage: Python", "median()")]
    assert "| median()" in str(lm.history[-1]["messages"])


@needs_crewai
def test_a_crew_without_the_callback_is_not_touched(memory: Memory) -> None:
    from crewai import Agent, Crew, Task
    from crewai.events import crewai_event_bus

    from engramia.sdk.crewai import EngramiaCrewCallback
    from tests.sdk.adapters.hosts.crewai import ScriptedLLM

    script = Script()
    script.begin(PLAY)

    def crew(*callbacks: Any) -> Crew:
        agent = Agent(role="programmer", goal="g", backstory="b", llm=ScriptedLLM(script))
        task = Task(description="{task}", expected_output="e", agent=agent)
        return Crew(agents=[agent], tasks=[task], callbacks=list(callbacks))

    callback = EngramiaCrewCallback(memory=memory)
    ours, other = crew(callback), crew()
    other.kickoff(inputs={"task": TASK})
    crewai_event_bus.flush()
    assert learned(memory) == []
    ours.kickoff_for_each(inputs=[{"task": TASK}])
    crewai_event_bus.flush()
    assert learned(memory) == [(TASK, "median()")], "a copy of the crew keeps the callback"
    callback.attach(other)
    script.begin(PLAY)
    other.kickoff(inputs={"task": TASK})
    assert "| median()" in "".join(script.heard()[0])
    callback.close()
    script.begin(PLAY)
    ours.kickoff(inputs={"task": TASK})
    assert "Engramia" not in "".join(script.heard()[0])


@needs_crewai
def test_the_hook_goes_with_the_last_crew(memory: Memory) -> None:
    from crewai import Agent, Crew, Task
    from crewai.hooks import get_before_llm_call_hooks

    from engramia.sdk.crewai import EngramiaCrewCallback
    from tests.sdk.adapters.hosts.crewai import ScriptedLLM

    before = len(get_before_llm_call_hooks())
    agent = Agent(role="programmer", goal="g", backstory="b", llm=ScriptedLLM(Script()))
    task = Task(description=TASK, expected_output="e", agent=agent)
    callback = EngramiaCrewCallback(memory=memory)
    crew = Crew(agents=[agent], tasks=[task], callbacks=[callback])
    assert len(get_before_llm_call_hooks()) == before + 1
    del crew, agent, task
    gc.collect()
    assert len(get_before_llm_call_hooks()) == before


@needs("claude_agent_sdk")
def test_claude_hooks_stand_beside_those_of_the_user(memory: Memory) -> None:
    from claude_agent_sdk import ClaudeAgentOptions, HookMatcher

    from engramia.sdk.claude_agent import EngramiaHooks

    own = HookMatcher(hooks=[])
    options = ClaudeAgentOptions(hooks={"Stop": [own]}, model="scripted")
    added = EngramiaHooks(memory=memory).added_to(options)
    assert added.model == "scripted"
    assert added.hooks is not None
    assert added.hooks["Stop"][0] is own
    assert [len(matchers) for matchers in added.hooks.values()] == [2, 1]
    assert options.hooks == {"Stop": [own]}
