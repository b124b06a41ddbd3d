"""What people see of what language models answered: judgements, pipelines, prompts, juries."""

from collections.abc import Mapping, Sequence
from difflib import unified_diff
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from engramia.cli.tables import code_view, facts, shortened, table, tier_text
from engramia.cli.terminal import counted, plain
from engramia.core.evolution import NO_ISSUES, Evolution
from engramia.core.pipeline import MatchedStage, Pipeline
from engramia.core.scoring import HIGH_VARIANCE, Evaluation, JuryScore

_DIMENSIONS = {
    "task_alignment": "Task",
    "code_quality": "Code",
    "workspace_usage": "Workspace",
    "robustness": "Robustness",
    "overall": "Overall",
}
_COLUMNS = {
    "scores": {
        "weight": ("Weight", "{:+.2f}"),
        "leniency": ("Too lenient by", "{:+.2f}"),
        "error": ("Off by", "{:.2f}"),
    },
    "pairs": {
        "weight": ("Weight", "{:+.2f}"),
        "accuracy": ("Right", "{:.0%}"),
        "consistency": ("Steady", "{:.0%}"),
        "first_shown": ("Flips to the first", "{:.0%}"),
        "answered": ("Answered", "{:,}"),
    },
}
"""Of each judge: what is shown, under which heading, and how."""
_ITEMS = {"scores": "scored item", "pairs": "pair"}
_METHODS = {"anchors": "with known answers", "consistency": "without labels, by steadiness"}
_FAKED = "yes: what is shown as output stands in the code, and nothing computes it"


def evaluation_view(evaluation: Evaluation, *, asked: int) -> RenderableType:
    """Return the scores of the judges, of which `asked` were asked, and what they come to."""
    rows: list[tuple[str, object]] = [
        ("Median", f"{evaluation.median_score:.2f} of 10"),
        ("Variance", _variance(evaluation, asked)),
        ("Hard-coded output", _FAKED if evaluation.adversarial_detected else "not found"),
        ("Feedback", evaluation.feedback.strip() or "none"),
    ]
    if evaluation.jury and evaluation.jury.confidence is not None:
        rows.insert(1, ("Jury", _ruling(evaluation.jury, evaluation.jury.confidence)))
    return Group(_judgements(evaluation), facts(rows))


def pipeline_view(pipeline: Pipeline, *, code: bool) -> RenderableType:
    """Return the stages in their order and what breaks their contract; with `code`, what was found."""
    parts: list[RenderableType] = [_stages(pipeline)]
    if pipeline.initial_inputs:
        parts.append(Text(plain(f"Needs from the start: {', '.join(pipeline.initial_inputs)}.")))
    if pipeline.valid:
        parts.append(Text("The contract holds: whatever is read is there by then.", style="green"))
    else:
        parts.append(Text("The contract is broken:", style="bold red"))
        parts += [Text(plain(f"  {error}"), style="red") for error in pipeline.contract_errors]
    if code:
        parts += [part for stage in pipeline.stages for part in _stage_code(stage)]
    return Group(*parts)


def prompt_diff(current: str, improved: str) -> Text:
    """Return how `improved` differs from `current`, line by line."""
    colours = {"+": "green", "-": "red", "@": "cyan"}
    old, new = (text.splitlines() for text in (current, improved))
    lines = unified_diff(old, new, "current prompt", "improved prompt", lineterm="")
    drawn = [Text(plain(line), style=colours.get(line[:1], "")) for line in lines]
    return Text("\n").join(drawn)


def evolution_view(evolution: Evolution) -> RenderableType:
    """Return whether a prompt was accepted, and why."""
    if evolution.reason == NO_ISSUES:
        return Text("Nothing to improve: no issue was said twice yet. `engramia feedback` shows those.")
    rows: list[tuple[str, object]] = [
        ("Accepted", "yes" if evolution.accepted else "no, the prompt stays as it is"),
        ("Reason", evolution.reason),
        *(("Change", change) for change in evolution.changes),
        *(("Addresses", issue) for issue in evolution.issues_addressed),
    ]
    return facts(rows)


def jury_view(document: Mapping[str, Any]) -> RenderableType:
    """Return what a jury's weights say of its judges, from the document that programs get."""
    parts = [_jury_table(kind, document[kind]) for kind in ("scores", "pairs") if document[kind]]
    return Group(*parts)


def problems_table(problems: Sequence[Mapping[str, Any]]) -> Table:
    """Return the lines that were left out, and why."""
    drawn = table("Line", "Why it was skipped", right=("Line",))
    for problem in problems:
        drawn.add_row(str(problem["line"]), Text(plain(problem["reason"])))
    return drawn


def _judgements(evaluation: Evaluation) -> Table:
    drawn = table("Judge", *_DIMENSIONS.values(), right=tuple(_DIMENSIONS.values()))
    names: list[str] = [str(place) for place in range(1, len(evaluation.scores) + 1)]
    if evaluation.jury:
        names = [name for name, score in evaluation.jury.judges.items() if score is not None]
    for name, judgement in zip(names, evaluation.scores, strict=True):
        scores = (f"{getattr(judgement, dimension):.1f}" for dimension in _DIMENSIONS)
        drawn.add_row(Text(plain(name)), *scores)
    return drawn


def _variance(evaluation: Evaluation, asked: int) -> str:
    if asked == 1:
        return "unknown: one judge was asked"
    shown = f"{evaluation.variance:.2f}"
    if evaluation.high_variance:
        return f"{shown}, over {HIGH_VARIANCE:g}: the judges disagree, so look for yourself"
    return shown


def _ruling(jury: JuryScore, confidence: float) -> str:
    sure = f"{confidence:.0%} sure to be within a point"
    return f"abstains, {sure}" if jury.score is None else f"{jury.score:.2f} of 10, {sure}"


def _stages(pipeline: Pipeline) -> Table:
    drawn = table("", "Stage", "Tier", "Similarity", "Task", "Reads", "Writes", right=("", "Similarity"))
    for place, stage in enumerate(pipeline.stages, start=1):
        task = Text(plain(shortened(stage.task)))
        if stage.pattern_key:
            task.append(f"\n{stage.pattern_key}", style="dim")
        reads, writes = (Text(plain("\n".join(names)) or "-") for names in (stage.reads, stage.writes))
        drawn.add_row(
            str(place),
            Text(plain(stage.name)),
            tier_text(stage.reuse_tier),
            f"{stage.similarity:.3f}",
            task,
            reads,
            writes,
        )
    return drawn


def _stage_code(stage: MatchedStage) -> tuple[RenderableType, RenderableType]:
    title = Text(plain(f"\n{stage.name}"), style="bold")
    return title, code_view(stage.code) if stage.code else Text("no code: write it new", style="dim")


def _jury_table(kind: str, part: Mapping[str, Any]) -> RenderableType:
    columns = {name: column for name, column in _COLUMNS[kind].items() if name in part["judges"][0]}
    labels = tuple(label for label, _ in columns.values())
    how = _METHODS[part.get("method", "anchors")]
    drawn = table("Judge", *labels, right=labels, title=f"From {counted(part['items'], _ITEMS[kind])} {how}")
    for row in part["judges"]:
        shown = ("-" if row[name] is None else form.format(row[name]) for name, (_, form) in columns.items())
        drawn.add_row(Text(plain(row["judge"])), *shown)
    if all(row["weight"] >= 0 for row in part["judges"]):
        return drawn
    return Group(drawn, Text("A judge of negative weight is counted the other way round.", style="dim"))
