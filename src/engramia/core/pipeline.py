"""Pipelines: the stages a task is split into, how they are read from an answer, and their contract."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from engramia.core import limits, validation
from engramia.core.model import ReuseTier
from engramia.errors import ProviderOutputError, ValidationError

WHOLE_TASK = "solve"
"""The name of the one stage of a task that was not split."""

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NOT_SNAKE = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a pipeline: a snake_case name, its task, and the values it reads and writes, by name."""

    name: str
    task: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Stages in the order in which they run, and the values that are there before the first."""

    stages: tuple[Stage, ...]
    initial_inputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MatchedStage:
    """A stage with the best stored pattern for its task.

    `similarity` is 0 to 1; a `fresh` stage has similarity 0, no code and no pattern.
    """

    name: str
    task: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    reuse_tier: ReuseTier
    similarity: float
    code: str | None
    pattern_key: str | None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A task as a pipeline. `valid` says that there are no `contract_errors`, each a sentence."""

    task: str
    stages: tuple[MatchedStage, ...]
    valid: bool
    contract_errors: tuple[str, ...]
    initial_inputs: tuple[str, ...] = ()
    fallback: str | None = None
    """Why the task was left whole, if the model's answer could not be used."""


def whole(task: str) -> Plan:
    """Return the plan of one stage that does all of `task`."""
    return Plan((Stage(WHOLE_TASK, task, (), ("result",)),))


def parse_plan(value: object) -> Plan:
    """Return the plan in a model's decoded JSON answer, every name brought into snake_case.

    Raises `ProviderOutputError` that says what is wrong: not 2 to 4 stages, a field that is missing or of
    another kind, a name without a Latin letter, two stages of one name, a task that is blank or too long.
    """
    answer = _object(value, "The answer")
    found = _list(answer.get("stages"), "stages")
    if not limits.STAGES_MIN <= len(found) <= limits.STAGES_MAX:
        raise ProviderOutputError(
            f"The plan has {len(found)} stages instead of {limits.STAGES_MIN} to {limits.STAGES_MAX}."
        )
    stages = tuple(_stage(each) for each in found)
    if len({stage.name for stage in stages}) < len(stages):
        raise ProviderOutputError("Two stages of the plan have the same name.")
    return Plan(stages, _values(answer.get("initial_inputs", []), "initial_inputs"))


def contract_errors(plan: Plan) -> tuple[str, ...]:
    """Return what is wrong with the flow of values, one sentence each; empty if it holds.

    Every value that is read is an initial input or written by an earlier stage; no stage reads what it
    writes itself; no value is written by two stages; no stages wait for each other.
    """
    return (*_read_errors(plan), *_write_errors(plan.stages), *_cycle_errors(plan))


def _read_errors(plan: Plan) -> list[str]:
    errors = []
    there = set(plan.initial_inputs)
    for place, stage in enumerate(plan.stages):
        for name in stage.reads:
            if name in stage.writes:
                errors.append(f"Stage {stage.name!r} reads {name!r}, which it writes itself.")
            elif name not in there:
                errors.append(_missing(stage, name, plan.stages[place + 1 :]))
        there.update(stage.writes)
    return errors


def _missing(stage: Stage, name: str, later: Sequence[Stage]) -> str:
    writer = next((each for each in later if name in each.writes), None)
    if writer is None:
        return f"Stage {stage.name!r} reads {name!r}, which is no initial input and which no stage writes."
    return f"Stage {stage.name!r} reads {name!r}, which is written only later, by stage {writer.name!r}."


def _write_errors(stages: Sequence[Stage]) -> list[str]:
    writers: dict[str, list[str]] = {}
    for stage in stages:
        for name in stage.writes:
            writers.setdefault(name, []).append(repr(stage.name))
    return [
        f"{name!r} is written by more than one stage: {', '.join(names)}."
        for name, names in writers.items()
        if len(names) > 1
    ]


def _cycle_errors(plan: Plan) -> list[str]:
    """Return one sentence about stages that wait for each other; nobody waits for an initial input."""
    waits: dict[str, set[str]] = {}
    for stage in plan.stages:
        needed = set(stage.reads) - set(plan.initial_inputs)
        others = (each for each in plan.stages if each is not stage)
        waits[stage.name] = {each.name for each in others if needed & set(each.writes)}
    try:
        TopologicalSorter(waits).prepare()
    except CycleError as error:
        return [f"Stages wait for each other: {' → '.join(map(repr, error.args[1]))}."]
    return []


def _stage(value: object) -> Stage:
    stage = _object(value, "A stage")
    return Stage(
        name=_name(stage.get("name"), "name"),
        task=_text(stage.get("task"), "task", limits.TASK_MAX_CHARS).strip(),
        reads=_values(stage.get("reads"), "reads"),
        writes=_values(stage.get("writes"), "writes"),
    )


def _values(value: object, field: str) -> tuple[str, ...]:
    names = _list(value, field)
    if len(names) > limits.STAGE_VALUES_MAX:
        raise ProviderOutputError(f"The plan's {field} has more than {limits.STAGE_VALUES_MAX} names.")
    return tuple(dict.fromkeys(_name(name, field) for name in names))


def _name(value: object, field: str) -> str:
    """Return a name in snake_case: models spell the same value in several ways."""
    humps = _HUMP.sub("_", _text(value, field, limits.ID_MAX_CHARS))
    name = _NOT_SNAKE.sub("_", humps.lower()).strip("_")[: limits.STAGE_NAME_MAX_CHARS].rstrip("_")
    if not name or name[0].isdigit():
        raise ProviderOutputError(f"The plan's {field} holds a name without a Latin letter at its beginning.")
    return name


def _object(value: object, what: str) -> Mapping[object, object]:
    if not isinstance(value, Mapping):
        raise ProviderOutputError(f"{what} is {type(value).__name__} instead of an object.")
    return value


def _list(value: object, field: str) -> Sequence[object]:
    if not isinstance(value, list):
        raise ProviderOutputError(f"The plan's {field} is {type(value).__name__} instead of a list.")
    return value


def _text(value: object, field: str, max_chars: int) -> str:
    try:
        return validation.text(value, field=field, max_chars=max_chars)
    except ValidationError as error:
        raise ProviderOutputError(f"The plan cannot be used: {error}") from None
