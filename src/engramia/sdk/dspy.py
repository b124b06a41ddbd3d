"""DSPy: a module around a program that recalls before a run and learns after it."""

from typing import Any, Unpack

from engramia.sdk.extra import extra_installed
from engramia.sdk.message_text import as_text
from engramia.sdk.options import Options
from engramia.sdk.recollection import AnyMemory
from engramia.sdk.session import Run, Session, quietly, session_of

with extra_installed("DSPy", "dspy"):
    import dspy


class EngramiaModule(dspy.Module):
    """Runs a program with notes on earlier runs behind the instructions of each of its predictors.

        program = EngramiaModule(dspy.ChainOfThought("question -> answer"), memory=Memory())
        program(question="What is the capital of France?")

    The task is what goes into the program, the solution what comes out of it. Where there is something to
    tell, a copy of the program runs: what it changes in itself during the call is lost.
    """

    def __init__(self, program: dspy.Module, memory: AnyMemory | Session, **options: Unpack[Options]) -> None:
        super().__init__()
        self.program = program
        self.session = session_of(memory, options)

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """Recall, run, and learn."""
        run = self.session.begin(_task(inputs))
        try:
            prediction = _told(self.program, run)(**inputs)
        except Exception as error:
            run.fail(error)
            raise
        run.finish(_solution(prediction), result=prediction)
        return prediction

    async def aforward(self, **inputs: Any) -> dspy.Prediction:
        """Recall, run, and learn, without blocking the event loop."""
        run = await self.session.abegin(_task(inputs))
        try:
            prediction = await _told(self.program, run).acall(**inputs)
        except Exception as error:
            await run.afail(error)
            raise
        await run.afinish(_solution(prediction), result=prediction)
        return prediction


def _told(program: dspy.Module, run: Run) -> dspy.Module:
    """Return the program, or a copy of it that is told; the program itself if it cannot be copied."""
    if not run.context:
        return program

    def told(predictor: dspy.Predict) -> dspy.Predict:
        predictor.signature = predictor.signature.append_instructions(run.context)
        return predictor

    def copied() -> dspy.Module:
        other = program.deepcopy()
        return told(other) if isinstance(other, dspy.Predict) else other.map_named_predictors(told)

    return quietly(copied, program)


def _task(inputs: dict[str, Any]) -> str:
    return quietly(lambda: _words(inputs), "")


def _solution(prediction: dspy.Prediction) -> str:
    return quietly(lambda: _words({name: prediction[name] for name in prediction}), "")


def _words(fields: dict[str, Any]) -> str:
    """Return the text of a single field, or of each field behind its name."""
    if len(fields) == 1:
        return as_text(next(iter(fields.values())))
    return "\n".join(f"{name}: {as_text(value)}" for name, value in fields.items())
