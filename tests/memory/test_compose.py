"""Composing: stages, what the memory has for them, and what happens to answers that cannot be used."""

from typing import Any

import pytest

from engramia import ReuseTier, ValidationError
from engramia.core.fence import MARKER
from engramia.errors import (
    ProviderBusyError,
    ProviderNotConfiguredError,
    ProviderOutputError,
    ProviderTimeoutError,
)
from engramia.testing import Said, ScriptedLLM
from tests.memory.conftest import AskingMemory

TASK = "Fetch the river levels, find the floods and write a report"
FETCH = "Fetch river levels from the gauge service"
FIND = "Find the days on which a level is above its mark"


def plan(*stages: tuple[str, str, str, str], inputs: str = "") -> dict[str, Any]:
    fields = ("name", "task", "reads", "writes")
    return {
        "initial_inputs": inputs.split(),
        "stages": [
            dict(zip(fields, (name, task, reads.split(), writes.split()), strict=True))
            for name, task, reads, writes in stages
        ],
    }


GOOD = plan(("fetch", FETCH, "", "levels"), ("find", FIND, "levels", "floods"))


def test_each_stage_gets_the_best_pattern_and_the_rest_is_fresh(asking: AskingMemory) -> None:
    memory = asking(ScriptedLLM([GOOD]))
    key = memory.learn(task=FETCH, code="fetch()", eval_score=8).pattern_key
    found = memory.compose(TASK)
    assert (found.task, found.valid, found.contract_errors, found.fallback) == (TASK, True, (), None)
    fetch, find = found.stages
    assert (fetch.name, fetch.task, fetch.reads, fetch.writes) == ("fetch", FETCH, (), ("levels",))
    assert (fetch.reuse_tier, fetch.code, fetch.pattern_key) == (ReuseTier.DUPLICATE, "fetch()", key)
    assert fetch.similarity == pytest.approx(1.0)
    assert (find.reuse_tier, find.similarity, find.code, find.pattern_key) == (
        ReuseTier.FRESH,
        0.0,
        None,
        None,
    )


def test_a_pattern_that_is_only_context_leaves_a_stage_fresh(asking: AskingMemory) -> None:
    memory = asking(ScriptedLLM([GOOD]))
    memory.learn(
        task="Fetch river levels and mail a summary of them to the mayor", code="mail()", eval_score=8
    )
    (match,) = memory.recall(FETCH, readonly=True)
    assert match.reuse_tier is ReuseTier.FRESH
    assert match.similarity > 0
    fetch = memory.compose(TASK).stages[0]
    assert (fetch.reuse_tier, fetch.similarity, fetch.code) == (ReuseTier.FRESH, 0.0, None)


def test_composing_changes_nothing_in_the_memory(asking: AskingMemory) -> None:
    memory = asking(ScriptedLLM([GOOD]))
    keys = [memory.learn(task=task, code="fetch()", eval_score=8).pattern_key for task in (FETCH, TASK)]
    before = memory.metrics()
    memory.compose(TASK)
    assert memory.metrics() == before
    assert [memory.get_pattern(key).pattern.reuse_count for key in keys] == [0, 0]


def test_a_broken_contract_is_told_and_is_no_error(asking: AskingMemory) -> None:
    broken = plan(("fetch", FETCH, "stations", "levels"), ("find", FIND, "levels", "levels"))
    found = asking(ScriptedLLM([broken])).compose(TASK)
    assert not found.valid
    assert len(found.stages) == 2
    assert found.contract_errors == (
        "Stage 'fetch' reads 'stations', which is no initial input and which no stage writes.",
        "Stage 'find' reads 'levels', which it writes itself.",
        "'levels' is written by more than one stage: 'fetch', 'find'.",
    )


def test_initial_inputs_are_there_to_be_read(asking: AskingMemory) -> None:
    given = plan(("fetch", FETCH, "stations", "levels"), ("find", FIND, "levels", ""), inputs="stations")
    found = asking(ScriptedLLM([given])).compose(TASK)
    assert (found.valid, found.initial_inputs) == (True, ("stations",))


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "first fetch, then find",
        [],
        {},
        {"stages": []},
        plan(("only", FETCH, "", "")),
        plan(*[(f"s{n}", FETCH, "", "") for n in range(5)]),
        GOOD | {"stages": [*GOOD["stages"], None]},
        ProviderOutputError("cut off"),
        Said("Here is the plan: fetch, then find."),
        Said("[" * 100_000),
        Said('{"stages": ' + "x" * 10_000_000),
    ],
)
def test_an_answer_that_cannot_be_used_leaves_one_stage_for_the_whole_task(
    asking: AskingMemory, answer: object
) -> None:
    memory = asking(ScriptedLLM([answer]))
    memory.learn(task=TASK, code="all()", eval_score=8)
    found = memory.compose(TASK)
    (stage,) = found.stages
    assert (stage.name, stage.task, stage.reads, stage.writes) == ("solve", TASK, (), ("result",))
    assert (stage.reuse_tier, stage.code) == (ReuseTier.DUPLICATE, "all()")
    assert (found.valid, found.contract_errors) == (True, ())
    assert found.fallback


@pytest.mark.parametrize("error", [ProviderBusyError("busy"), ProviderTimeoutError("late")])
def test_other_errors_of_the_model_are_raised(asking: AskingMemory, error: Exception) -> None:
    with pytest.raises(type(error)):
        asking(ScriptedLLM([error])).compose(TASK)


def test_the_model_is_told_of_tasks_that_have_a_solution_behind_the_fence(asking: AskingMemory) -> None:
    llm = ScriptedLLM([GOOD, GOOD])
    memory = asking(llm)
    memory.compose(TASK)
    memory.learn(task=FETCH, code="fetch()", eval_score=8)
    memory.compose(TASK)
    first, second = llm.questions
    assert f"{MARKER} begin task" in first.material
    assert f"| {TASK}" in first.material
    assert "known_tasks" not in first.material
    assert f"| {FETCH}" in second.material


def test_secrets_are_not_sent(asking: AskingMemory) -> None:
    llm = ScriptedLLM([GOOD])
    found = asking(llm).compose("Mail the report to jane.roe@bigcorp-mail.com")
    assert "jane" not in llm.questions[0].material
    assert "jane" not in found.task


def test_without_a_language_model_the_settings_are_named(asking: AskingMemory) -> None:
    with pytest.raises(ProviderNotConfiguredError, match="ENGRAMIA_LLM_PROVIDER"):
        asking(None).compose(TASK)


@pytest.mark.parametrize("task", ["", " ", "t" * 10_001, None, "nul \0", "half \ud800"])
def test_a_bad_task_is_refused(asking: AskingMemory, task: Any) -> None:
    with pytest.raises(ValidationError, match="task"):
        asking(ScriptedLLM([])).compose(task)
