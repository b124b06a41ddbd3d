"""The commands `jury calibrate` and `jury show`: what judges who are told apart are worth."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from engramia.cli.command import command, fail
from engramia.cli.exit_codes import ExitCode
from engramia.cli.reading import text_from
from engramia.cli.session import Session
from engramia.cli.terminal import counted
from engramia.cli.transfer import free_target, whole_file
from engramia.errors import ValidationError

if TYPE_CHECKING:
    from engramia.core.jury import JuryWeights, PairWeights, Recordings, ScoreWeights

ANCHORS_MAX_CHARS = 50_000_000
WEIGHTS_MAX_CHARS = 1_000_000
PROBLEMS_SHOWN = 20

_STEADY_NOT_RIGHT = (
    "No labels: these weights trust whoever answers alike in both orders. Judges that are fooled in the same "
    "way are steady, too, and then the weights are wrong and confident. A label on as few as 20 of the pairs "
    "guards against that."
)
_PAIRS_ONLY = "Made from pairs alone: `engramia evaluate --jury` needs weights made from scores."
_STEP = 0.01
"""Points by which a judge's score is moved to see what it is worth: too little to run into 0 or 10."""


def calibrate(
    session: Session,
    *,
    anchors: Annotated[
        Path, typer.Argument(metavar="ANCHORS", help="Recorded verdicts, one JSON object a line; - is stdin.")
    ],
    to: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Keep the weights in this file.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
) -> ExitCode:
    """Weigh judges by recorded verdicts.

    Anchors are items whose true score is known, each with the score of every judge, all 0 to 10; or
    pairs, asked in both orders ("gold" may be null), of which A or B is better. At least five must be
    labelled; pairs without labels are weighed by how steady the judges are, which is a guess. No model
    is asked. A bad line is reported and the rest is used: exit code 6.
    """
    from engramia.core.jury import calibrate as weigh
    from engramia.core.jury import read_recordings

    target = to and free_target(to, force=force)
    text = text_from(anchors, field="anchors", max_chars=ANCHORS_MAX_CHARS)
    # Not `splitlines`, which also splits at characters that JSON lets stand within a text.
    recordings = read_recordings(text.split("\n"))
    problems = [{"line": each.line, "reason": each.message} for each in recordings.problems]
    try:
        weights = weigh(recordings)
    except ValidationError as error:
        _show_problems(session, problems)
        return fail(session, error, skipped=len(problems), problems=problems)
    if target is not None:
        with whole_file(target) as file:
            file.write(f"{weights.to_json()}\n".encode())
    _report(session, weights, recordings, problems, target)
    return ExitCode.PARTLY if problems else ExitCode.OK


def show(
    session: Session,
    *,
    weights: Annotated[Path, typer.Argument(metavar="WEIGHTS", help="A file of `jury calibrate`.")],
) -> None:
    """Show what a file of weights says of its judges."""
    _show(session, weights_document(read_weights(weights)))


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    jury = typer.Typer(rich_markup_mode=None, help="Weigh judges by how they did before.")
    command(
        jury,
        "calibrate",
        examples=(
            "engramia jury calibrate anchors.jsonl -o weights.json",
            """echo '{"id": "s1", "gold": 7.5, "scores": {"gpt-4.1": 8, "o4-mini": 9}}' >> anchors.jsonl""",
            """echo '{"id": "p1", "gold": "A", "verdicts": {"a": ["A", "A"], "b": ["A", "B"]}}' >> p.jsonl""",
        ),
    )(calibrate)
    command(
        jury, "show", examples=("engramia jury show weights.json", "engramia jury show weights.json --json")
    )(show)
    app.add_typer(jury, name="jury")


def read_weights(path: Path) -> "JuryWeights":
    """Return the weights in a file of `jury calibrate`; `ValidationError` if it is none."""
    from engramia.core.jury import JuryWeights

    return JuryWeights.from_json(text_from(path, field="weights", max_chars=WEIGHTS_MAX_CHARS))


def weights_document(weights: "JuryWeights", recordings: "Recordings | None" = None) -> dict[str, Any]:
    """Return what the weights are, with the judges' profiles on the recordings if there are any."""
    pairs = weights.pairs and _pairs(weights, weights.pairs, recordings)
    scores = weights.scores and {"items": weights.scores.items, "judges": _scores(weights, weights.scores)}
    warnings = []
    if pairs and pairs["method"] == "consistency":
        warnings.append(_STEADY_NOT_RIGHT)
    if scores is None:
        warnings.append(_PAIRS_ONLY)
    return {"judges": list(weights.judges), "pairs": pairs, "scores": scores, "warnings": warnings}


def _pairs(weights: "JuryWeights", pairs: "PairWeights", recordings: "Recordings | None") -> dict[str, Any]:
    from engramia.core.jury import profiles

    rows: list[dict[str, Any]] = [
        {"judge": judge, "weight": weight}
        for judge, weight in zip(weights.judges, pairs.weights, strict=True)
    ]
    for row, profile in zip(rows, profiles(recordings) if recordings else (), strict=False):
        row |= {
            "answered": profile.answered,
            "accuracy": profile.accuracy,
            "consistency": profile.consistency,
            "first_shown": profile.first_shown,
        }
    return {"method": pairs.method.value, "items": pairs.items, "judges": rows}


def _scores(weights: "JuryWeights", scores: "ScoreWeights") -> list[dict[str, Any]]:
    """Return for each judge how lenient it is and how far off, in points, and what a point of it is worth."""
    gram, items = scores.gram, scores.items
    sums, gold = gram[-2], len(gram) - 1
    means = {judge: 5 + sums[place] / items for place, judge in enumerate(weights.judges)}
    return [
        {
            "judge": judge,
            "weight": _worth(weights, means, judge),
            "leniency": (sums[place] - sums[gold]) / items,
            "error": math.sqrt(
                max(0.0, gram[place][place] - 2 * gram[place][gold] + gram[gold][gold]) / items
            ),
        }
        for place, judge in enumerate(weights.judges)
    ]


def _worth(weights: "JuryWeights", means: Mapping[str, float], judge: str) -> float:
    """Return by how much the jury's score moves for each point that this judge's does."""
    step = _STEP if means[judge] < 5 else -_STEP
    moved = weights.rule_score({**means, judge: means[judge] + step}).estimate
    return (moved - weights.rule_score(means).estimate) / step


def _report(
    session: Session,
    weights: "JuryWeights",
    recordings: "Recordings",
    problems: list[dict[str, Any]],
    target: Path | None,
) -> None:
    document = weights_document(weights, recordings)
    more = {
        "path": None if target is None else str(target),
        "weights": orjson.loads(weights.to_json()),
        "skipped": len(problems),
        "problems": problems,
    }
    _show(session, document, more)
    _show_problems(session, problems)
    session.terminal.say(f"Weights in {target}." if target else "Not kept: -o FILE keeps the weights.")


def _show(session: Session, document: dict[str, Any], more: Mapping[str, Any] | None = None) -> None:
    session.terminal.answer({**document, **(more or {})})
    if session.json:
        return
    from engramia.cli.answers import jury_view

    session.terminal.out.print(jury_view(document))
    for warning in document["warnings"]:
        session.terminal.note(f"Notice: {warning}")


def _show_problems(session: Session, problems: list[dict[str, Any]]) -> None:
    if session.json or not problems:
        return
    from engramia.cli.answers import problems_table

    session.terminal.out.print(problems_table(problems[:PROBLEMS_SHOWN]))
    hidden = len(problems) - PROBLEMS_SHOWN
    if hidden > 0:
        session.terminal.say(f"… and {hidden:,} more; --json lists all.")
    session.terminal.say(f"Skipped {counted(len(problems), 'line')}.")
