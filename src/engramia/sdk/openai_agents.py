"""OpenAI Agents SDK: a runner that recalls before a run and learns after it."""

import inspect
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Unpack

from engramia.sdk.extra import extra_installed
from engramia.sdk.message_text import last_of
from engramia.sdk.options import Options
from engramia.sdk.recollection import AnyMemory
from engramia.sdk.session import Run, Session, quietly, session_of

with extra_installed("The OpenAI Agents SDK", "openai-agents"):
    from agents import Agent, RunConfig, Runner, RunResult, RunResultStreaming, StreamEvent
    from agents.run_config import CallModelData, ModelInputData


class EngramiaRunner:
    """Runs agents as `agents.Runner` does, with notes on earlier runs behind their instructions.

        runner = EngramiaRunner(memory=Memory())
        result = await runner.run(agent, "Read prices.csv and print the median.")

    The task is the input, or its last message of the user; the solution is the final output. A run that is
    interrupted or blocked by a guardrail is not learned, nor one that goes on from a `RunState`.
    """

    def __init__(self, memory: AnyMemory | Session, **options: Unpack[Options]) -> None:
        self.session = session_of(memory, options)

    async def run(
        self, starting_agent: Agent[Any], input: Any, *, run_config: RunConfig | None = None, **more: Any
    ) -> RunResult:
        """Run an agent; everything else is handed on to `Runner.run`."""
        run = await self.session.abegin(_task(input))
        try:
            result = await Runner.run(starting_agent, input, run_config=_told(run_config, run), **more)
        except Exception as error:
            await run.afail(error)
            raise
        await run.afinish(_output(result), result=result)
        return result

    def run_sync(
        self, starting_agent: Agent[Any], input: Any, *, run_config: RunConfig | None = None, **more: Any
    ) -> RunResult:
        """Run an agent where no event loop runs; everything else is handed on to `Runner.run_sync`."""
        run = self.session.begin(_task(input))
        try:
            result = Runner.run_sync(starting_agent, input, run_config=_told(run_config, run), **more)
        except Exception as error:
            run.fail(error)
            raise
        run.finish(_output(result), result=result)
        return result

    async def run_streamed(
        self, starting_agent: Agent[Any], input: Any, *, run_config: RunConfig | None = None, **more: Any
    ) -> RunResultStreaming:
        """Begin a run whose events are streamed; it is learned when they have been read to the end.

        To be awaited, unlike `Runner.run_streamed`: recalling takes its time.
        """
        run = await self.session.abegin(_task(input))
        result = Runner.run_streamed(starting_agent, input, run_config=_told(run_config, run), **more)
        events = result.stream_events

        async def learned_events() -> AsyncIterator[StreamEvent]:
            try:
                async for event in events():
                    yield event
            except Exception as error:
                await run.afail(error)
                raise
            await run.afinish(_output(result), result=result)

        # Only here does the end of a stream show, after the guardrails that may still refuse the output.
        result.stream_events = learned_events  # type: ignore[method-assign]  # as said above
        return result


def _task(input: Any) -> str:
    if isinstance(input, list):
        return quietly(lambda: last_of(input, "user"), "")
    return input if isinstance(input, str) else ""


def _output(result: RunResult | RunResultStreaming) -> object:
    """Return the final output; None for a run that waits for somebody's approval."""
    return None if result.interruptions else result.final_output


def _told(config: RunConfig | None, run: Run) -> RunConfig:
    """Return the run's configuration, with the notes put in before each call of a model."""
    config = config or RunConfig()
    if not run.context:
        return config
    before = config.call_model_input_filter

    async def tell(data: CallModelData[Any]) -> ModelInputData:
        asked = data.model_data
        if before is not None:
            filtered = before(data)
            asked = await filtered if inspect.isawaitable(filtered) else filtered
        return ModelInputData(input=asked.input, instructions=run.context_after(asked.instructions))

    return replace(config, call_model_input_filter=tell)
