"""Reading the demo's task files: what was asked, the solution, and the checks that judge it."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DEADLINE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Route:
    """One answer of the local server; several for one path are given in turn, the last one for good."""

    path: str
    status: int
    body: str


@dataclass(frozen=True, slots=True)
class Check:
    """One execution and what it must print. `files` are put in an empty folder first, `setup` runs in it."""

    args: tuple[str, ...]
    files: Mapping[str, str]
    expect: str
    stdin: str
    setup: str
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """One agent run to record. The first check is the example; `outcome` is what its author knows of it."""

    id: str
    language: str
    skills: tuple[str, ...]
    task: str
    code: str
    checks: tuple[Check, ...]
    outcome: str
    feedback: str
    deadline: float


def load_tasks() -> list[Task]:
    """Return all tasks in the order of the files' names and of the runs inside them; ids are unique."""
    tasks = [
        _task(entry)
        for path in sorted(HERE.glob("*.toml"))
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["run"]
    ]
    repeated = {task.id for task in tasks if sum(other.id == task.id for other in tasks) > 1}
    if repeated:
        raise ValueError(f"these ids stand more than once: {sorted(repeated)}")
    return tasks


def _task(entry: Mapping[str, Any]) -> Task:
    return Task(
        id=entry["id"],
        language=entry["language"],
        skills=tuple(entry["skills"]),
        task=entry["task"].strip(),
        code=entry["code"],
        checks=tuple(_check(check, entry) for check in entry["check"]),
        outcome=entry.get("outcome", "passed"),
        feedback=entry.get("feedback", ""),
        deadline=entry.get("deadline", DEADLINE_SECONDS),
    )


def _check(check: Mapping[str, Any], entry: Mapping[str, Any]) -> Check:
    return Check(
        args=tuple(check.get("args", entry.get("args", ()))),
        files=check.get("files", entry.get("files", {})),
        expect=check["expect"],
        stdin=check.get("stdin", ""),
        setup=check.get("setup", entry.get("setup", "")),
        routes=tuple(Route(**route) for route in check.get("routes", ())),
    )
