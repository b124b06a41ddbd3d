"""Reading runs and queries from JSON Lines files: one JSON object a line, UTF-8, blank lines allowed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib.resources import files
from pathlib import Path

from engramia.core import validation
from engramia.core.limits import (
    CODE_MAX_CHARS,
    FEEDBACK_MAX_CHARS,
    ID_MAX_CHARS,
    OUTPUT_MAX_CHARS,
    TASK_MAX_CHARS,
)
from engramia.core.model import ReuseTier
from engramia.demo.lines import Line, lines_of
from engramia.errors import ValidationError


@dataclass(frozen=True, slots=True)
class DemoRun:
    """One agent run: what was asked, the code, what running it printed, and its score, 0 to 10."""

    id: str
    task: str
    code: str
    eval_score: float
    language: str | None = None
    output: str | None = None
    feedback: str | None = None
    """What was wrong with it; None for a good run."""
    skills: tuple[str, ...] = ()
    recorded_at: datetime | None = None
    tools: Mapping[str, str] = field(default_factory=dict[str, str])
    """The version of what ran it, by language."""


@dataclass(frozen=True, slots=True)
class DemoQuery:
    """A task to recall for. `expected` is the tier that a person would choose, None where nobody said."""

    task: str
    expected: ReuseTier | None = None
    expected_id: str | None = None
    """The id of the run that should come first; None where nothing stored fits."""
    why: str | None = None


def load_runs() -> list[DemoRun]:
    """Return the runs shipped with the package, in the order in which they were recorded."""
    return _runs(_shipped("runs.jsonl"), "runs.jsonl")


def load_queries() -> list[DemoQuery]:
    """Return the tasks to recall for that are shipped with the package."""
    return _queries(_shipped("queries.jsonl"), "queries.jsonl")


def read_runs(path: Path) -> list[DemoRun]:
    """Read runs from a file: `task`, `code` and `eval_score` are needed, unknown fields are ignored.

    A run without `id` gets `line-<number>`. Raises `ValidationError` naming file, line and field, for an
    id that stands twice too; for a file that cannot be read its field is `path`.
    """
    return _runs(_content(path), path.name)


def read_queries(path: Path) -> list[DemoQuery]:
    """Read queries from a file: only `task` is needed. Raises `ValidationError` as `read_runs` does."""
    return _queries(_content(path), path.name)


def _shipped(name: str) -> str:
    return files("engramia.demo").joinpath(name).read_text(encoding="utf-8")


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValidationError(f"{path} cannot be read: {error.strerror}.", field="path") from error
    except UnicodeDecodeError as error:
        raise ValidationError(f"{path} is not UTF-8 (byte {error.start}).", field="path") from error


def _runs(content: str, name: str) -> list[DemoRun]:
    seen: dict[str, int] = {}
    return [_run(line, seen) for line in lines_of(content, name)]


def _queries(content: str, name: str) -> list[DemoQuery]:
    return [_query(line) for line in lines_of(content, name)]


def _run(line: Line, seen: dict[str, int]) -> DemoRun:
    run = DemoRun(
        id=line.optional_text("id", ID_MAX_CHARS) or f"line-{line.number}",
        task=line.text("task", TASK_MAX_CHARS),
        code=line.text("code", CODE_MAX_CHARS),
        eval_score=line.required("eval_score", lambda value: validation.score(value, field="eval_score")),
        language=line.optional_text("language", ID_MAX_CHARS),
        output=line.optional_text("output", OUTPUT_MAX_CHARS),
        feedback=line.optional_text("feedback", FEEDBACK_MAX_CHARS),
        skills=line.optional("skills", validation.skills) or (),
        recorded_at=line.moment("recorded_at"),
        tools=line.text_by_name("tools"),
    )
    if (first := seen.setdefault(run.id, line.number)) != line.number:
        raise line.error("id", f"id {run.id!r} stands on line {first} already.")
    return run


def _query(line: Line) -> DemoQuery:
    return DemoQuery(
        task=line.text("task", TASK_MAX_CHARS),
        expected=line.optional(
            "expected", lambda value: validation.choice(value, ReuseTier, field="expected")
        ),
        expected_id=line.optional_text("expected_id", ID_MAX_CHARS),
        why=line.optional_text("why", FEEDBACK_MAX_CHARS),
    )
