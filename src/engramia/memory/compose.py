"""Compose: split a task into stages, and find what the memory has for each."""

import logging

from engramia.core import limits, validation
from engramia.core.llm import LLM
from engramia.core.model import ReuseTier
from engramia.core.pipeline import MatchedStage, Pipeline, Plan, Stage, contract_errors, parse_plan, whole
from engramia.errors import ProviderOutputError
from engramia.memory import prompts
from engramia.memory.asking import configured, new_fence
from engramia.memory.engine import Engine
from engramia.memory.recall import Query, recall

_log = logging.getLogger("engramia.memory")


def check_task(engine: Engine, task: object) -> str:
    """Return `task`, validated first and redacted then."""
    return engine.clean(validation.text(task, field="task", max_chars=limits.TASK_MAX_CHARS))


def compose(engine: Engine, task: str) -> Pipeline:
    """Return `task` as a pipeline; as one stage if what the model answers cannot be used."""
    plan, fallback = _plan(engine, configured(engine.llm, "compose"), task)
    errors = contract_errors(plan)
    return Pipeline(
        task=task,
        stages=tuple(_matched(engine, stage) for stage in plan.stages),
        valid=not errors,
        contract_errors=errors,
        initial_inputs=plan.initial_inputs,
        fallback=fallback,
    )


def _plan(engine: Engine, llm: LLM, task: str) -> tuple[Plan, str | None]:
    known = recall(engine, Query(task, limit=limits.KNOWN_TASKS_SHOWN, readonly=True))
    question = prompts.plan(new_fence(), task, [match.pattern.task for match in known])
    try:
        return parse_plan(llm.ask(question)), None
    except ProviderOutputError as error:
        _log.warning("The task is left whole: %s", error)
        return whole(task), str(error)


def _matched(engine: Engine, stage: Stage) -> MatchedStage:
    found = recall(engine, Query(stage.task, limit=1, readonly=True))
    usable = found[0] if found and found[0].reuse_tier is not ReuseTier.FRESH else None
    return MatchedStage(
        name=stage.name,
        task=stage.task,
        reads=stage.reads,
        writes=stage.writes,
        reuse_tier=usable.reuse_tier if usable else ReuseTier.FRESH,
        similarity=usable.similarity if usable else 0.0,
        code=usable.pattern.code if usable else None,
        pattern_key=usable.pattern_key if usable else None,
    )
