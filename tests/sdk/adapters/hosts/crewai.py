"""A crew of CrewAI, written as the user guide says."""

from typing import Any

from crewai import Agent, BaseLLM, Crew, Task
from crewai.events import crewai_event_bus
from pydantic import PrivateAttr

from engramia.sdk.crewai import EngramiaCrewCallback
from tests.sdk.adapters.hosts import SYSTEM, Heard, Memories, Play, Run, Script

LEARNS_FAILURES = True


class ScriptedLLM(BaseLLM):
    _script: Script = PrivateAttr()

    def __init__(self, script: Script) -> None:
        super().__init__(model="scripted")
        self._script = script

    def call(self, messages: Any, *_args: Any, **_more: Any) -> str:
        answer = self._script.answer(f"{each['role']}: {each['content']}" for each in messages)
        return f"Thought: I now can give a great answer\nFinal Answer: {answer}"


def build(memory: Memories, **options: Any) -> Run:
    script = Script()
    callbacks = [] if memory is None else [EngramiaCrewCallback(memory=memory, **options)]
    agent = Agent(
        role="programmer", goal=SYSTEM, backstory="Long.", llm=ScriptedLLM(script), max_retry_limit=0
    )
    task = Task(description="{task}", expected_output="A program.", agent=agent)
    crew = Crew(agents=[agent], tasks=[task], callbacks=callbacks)

    def run(play: Play) -> Heard:
        script.begin(play)
        try:
            crew.kickoff(inputs={"task": play.task})
        finally:
            # A crew that fails does not wait for those who listen to it.
            crewai_event_bus.flush()
        return script.heard()

    return run
