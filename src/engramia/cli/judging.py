"""The command `evaluate`: judges on one piece of work."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engramia.cli.asking import asking
from engramia.cli.command import command
from engramia.cli.juries import read_weights
from engramia.cli.patterns import full_key
from engramia.cli.reading import given_at_most_once, given_once
from engramia.cli.session import Session
from engramia.cli.terminal import counted
from engramia.core import documents, limits
from engramia.errors import ValidationError

if TYPE_CHECKING:
    from engramia.memory.jury import Jury


def evaluate(
    session: Session,
    *,
    task: Annotated[str, typer.Option("--task", "-t", help="What the code is for.")],
    stdin: Annotated[
        str | None, typer.Argument(metavar="-", help="'-' reads the code from standard input.")
    ] = None,
    code: Annotated[str | None, typer.Option("--code", help="The code to judge.")] = None,
    code_file: Annotated[Path | None, typer.Option("--code-file", help="File with the code (UTF-8).")] = None,
    output: Annotated[str | None, typer.Option("--output", help="What the code printed or returned.")] = None,
    output_file: Annotated[Path | None, typer.Option("--output-file", help="File with the output.")] = None,
    num_evals: Annotated[
        int | None,
        typer.Option("--num-evals", "-n", help="Judges to ask at once, 1 to 10 (default: 3)."),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option("--pattern", metavar="KEY", help="Add the median to this pattern's observations."),
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option("--judge", metavar="MODEL", help="Ask this model of the vendor's; may be repeated."),
    ] = None,
    jury: Annotated[
        Path | None,
        typer.Option("--jury", metavar="WEIGHTS", help="Ask the models that this file names, and weigh."),
    ] = None,
    min_confidence: Annotated[
        float, typer.Option("--min-confidence", help="Below this chance, 0 to 1, the jury abstains.")
    ] = 0.0,
) -> None:
    """Let language models judge code for a task.

    Each judge scores four dimensions and the whole, 0 to 10. Shows the median, how far they disagree, the
    harshest judge's feedback, and whether the output is hard-coded (found by reading the code, without
    a model). The feedback is counted: see `feedback` and `evolve`.

    --judge asks models by name; their scores under "jury" in --json are what `jury calibrate` learns
    from. --jury asks those of its weights file, and says how likely their weighed score is to be within
    one point of the truth.
    """
    content = given_once(code, code_file, stdin, field="code", max_chars=limits.CODE_MAX_CHARS)
    result = given_at_most_once(output, output_file, field="output", max_chars=limits.OUTPUT_MAX_CHARS)
    chosen = _jury(session, judge or (), jury, num_evals, min_confidence)
    count = len(chosen.judges) if chosen else num_evals or limits.EVALS_DEFAULT
    whom = f"{count} judges" if chosen else None
    with asking(session, "evaluate", whom=whom) as memory:
        found = memory.evaluate(
            task,
            content,
            result,
            num_evals=limits.EVALS_DEFAULT if num_evals is None else num_evals,
            pattern_key=pattern and full_key(pattern),
            jury=chosen,
        )
    session.terminal.answer(documents.evaluation_document(found))
    if session.json:
        return
    from engramia.cli.answers import evaluation_view

    session.terminal.out.print(evaluation_view(found, asked=count))
    if len(found.scores) < count:
        session.terminal.note(f"Notice: {counted(count - len(found.scores), 'judge')} gave no valid answer.")
    if pattern:
        session.terminal.say(f"Noted {found.median_score:g} for {full_key(pattern)}.")


def register(app: typer.Typer) -> None:
    """Add this command to `app`."""
    command(
        app,
        "evaluate",
        examples=(
            'engramia evaluate --task "Merge two CSV files by id" --code-file merge.py',
            'engramia evaluate -t "Print the mean" --code-file mean.py --output "mean=42.3" -n 5',
            'engramia evaluate -t "Merge two CSV files" --pattern 01k… - < merge.py',
            'engramia evaluate -t "Merge two CSV files" --code-file merge.py --jury weights.json --json',
        ),
    )(evaluate)


def _jury(
    session: Session,
    models: Sequence[str],
    weights_file: Path | None,
    num_evals: int | None,
    min_confidence: float,
) -> "Jury | None":
    """Return the judges that are told apart by name, or None for `num_evals` alike ones."""
    if sum((bool(models), weights_file is not None, num_evals is not None)) > 1:
        raise ValidationError(
            "Say once who judges: --num-evals N, --judge MODEL … or --jury WEIGHTS.", field="jury"
        )
    if min_confidence and weights_file is None:
        raise ValidationError("--min-confidence goes with --jury WEIGHTS.", field="min_confidence")
    if not models and weights_file is None:
        return None
    from engramia.bootstrap import llm_from
    from engramia.memory.jury import Judge, Jury

    weights = None if weights_file is None else read_weights(weights_file)
    judges = tuple(
        Judge(name, llm_from(session.settings.model_copy(update={"llm_model": name})))
        for name in (weights.judges if weights else models)
    )
    return Jury(judges, weights, min_confidence=min_confidence)
