"""smolagents: a wrapper around an agent that recalls before a run and learns after it."""

from collections.abc import Iterator
from itertools import takewhile
from threading import RLock
from typing import Any, Unpack

from engramia.sdk.extra import extra_installed
from engramia.sdk.options import Options
from engramia.sdk.recollection import AnyMemory
from engramia.sdk.session import Run, Session, quietly, session_of

with extra_installed("smolagents", "smolagents"):
    from smolagents import (
        ActionStep,
        AgentMaxStepsError,
        FinalAnswerStep,
        MultiStepAgent,
        RunResult,
        TaskStep,
    )


class EngramiaAgent:
    """Runs an agent with notes on earlier runs behind its own instructions.

        agent = EngramiaAgent(CodeAgent(tools=[], model=model), memory=Memory())
        agent.run("Read prices.csv and print the median.")

    The solution is the code that a `CodeAgent` ran, else the final answer. A run that used up its steps
    counts as failed. The agent's prompt template has to show its `instructions`, as those of smolagents do.
    """

    def __init__(
        self, agent: MultiStepAgent, memory: AnyMemory | Session, **options: Unpack[Options]
    ) -> None:
        self.agent = agent
        self.session = session_of(memory, options)
        self._running = RLock()

    def run(self, task: str, **more: Any) -> Any:
        """Run the agent; everything else is handed on to its `run`. A stream is learned once it is read."""
        run = self.session.begin(task)
        try:
            answer = self._begun(run, task, more)
        except Exception as error:
            run.fail(error, code=_code(self.agent))
            raise
        if isinstance(answer, Iterator):
            return self._learned_stream(answer, run)
        self._learn(run, answer.output if isinstance(answer, RunResult) else answer, answer)
        return answer

    __call__ = run

    def _begun(self, run: Run, task: str, more: dict[str, Any]) -> Any:
        if not run.context:
            return self.agent.run(task, **more)
        # The system prompt is made when a run begins, out of what the instructions are at that moment.
        with self._running:
            own = self.agent.instructions
            self.agent.instructions = run.context_after(own)
            try:
                return self.agent.run(task, **more)
            finally:
                self.agent.instructions = own

    def _learned_stream(self, steps: Iterator[Any], run: Run) -> Iterator[Any]:
        try:
            for step in steps:
                if isinstance(step, FinalAnswerStep):
                    self._learn(run, step.output, step)
                yield step
        except Exception as error:
            run.fail(error, code=_code(self.agent))
            raise

    def _learn(self, run: Run, answer: object, result: object) -> None:
        last = self.agent.memory.steps[-1]
        if isinstance(error := getattr(last, "error", None), AgentMaxStepsError):
            run.fail(error, code=_code(self.agent))
        else:
            run.finish(answer, code=_code(self.agent), result=result)


def _code(agent: MultiStepAgent) -> str | None:
    """Return the code that was run since the last task was set, None if there was none."""

    def code() -> str | None:
        steps = list(takewhile(lambda step: not isinstance(step, TaskStep), reversed(agent.memory.steps)))
        actions = [step.code_action for step in reversed(steps) if isinstance(step, ActionStep)]
        return "\n\n".join(action for action in actions if action) or None

    return quietly(code, None)
