"""Evolving: recurring feedback in, an accepted prompt or a reason out."""

from typing import Any

import pytest

from engramia import Memory, ValidationError
from engramia.core.fence import MARKER
from engramia.errors import ProviderNotConfiguredError, ProviderOutputError, ProviderTimeoutError
from engramia.testing import Said, ScriptedLLM
from tests.memory.conftest import AskingMemory

PROMPT = (
    "You are a Python coding agent. Write clean, efficient code. Never delete files outside the workspace."
)
HANDLING = "Missing error handling in file operations"
INPUT = "No validation of input"
TASK = "Merge the invoices of all branches into one ledger"
ADDED = "Always add error handling around file operations."


def answer(
    improved: str, *issues: str, changes: tuple[str, ...] = ("Added error handling",)
) -> dict[str, Any]:
    return {"improved_prompt": improved, "changes": list(changes), "issues_addressed": list(issues)}


def complained(memory: Memory, *texts: str, times: int = 2) -> None:
    key = memory.learn(task=TASK, code="x", eval_score=5).pattern_key
    for text in texts:
        for _ in range(times):
            memory.refine_pattern(key, 3, text)


def test_a_good_candidate_is_accepted(asking: AskingMemory) -> None:
    memory = asking(ScriptedLLM([answer(f"{PROMPT} {ADDED}", HANDLING.lower())]))
    complained(memory, HANDLING, INPUT)
    found = memory.evolve_prompt("coder", PROMPT)
    assert found.accepted
    assert found.improved_prompt == f"{PROMPT} {ADDED}"
    assert found.changes == ("Added error handling",)
    assert found.issues_addressed == (HANDLING,)
    assert found.reason == "It addresses 1 of 2 recurring issues and keeps every instruction."


def test_without_recurring_issues_nobody_is_asked(asking: AskingMemory) -> None:
    llm = ScriptedLLM([])
    memory = asking(llm)
    complained(memory, HANDLING, times=1)
    found = memory.evolve_prompt("coder", PROMPT)
    assert (found.accepted, found.reason, found.improved_prompt) == (False, "no_issues", PROMPT)
    assert (found.changes, found.issues_addressed) == ((), ())
    assert llm.questions == []


@pytest.mark.parametrize(
    ("improved", "issue", "told"),
    [
        (PROMPT.replace("Never delete", "Delete") + ADDED, HANDLING, "drops or changes the instruction"),
        (f"{PROMPT} {ADDED} " + "Be careful. " * 20, HANDLING, "2 times the original"),
        (f"{PROMPT} {ADDED}", "Slow imports", "not given"),
        (f"{PROMPT} {ADDED}", INPUT, "Nothing that it adds"),
        (f"{PROMPT} {ADDED} Never call open('x.csv').read().", HANDLING, "copies code"),
        (f"{PROMPT} {ADDED} Merge the invoices of all branches.", HANDLING, "text of a task"),
        (f"{PROMPT} {ADDED} Ask jane.roe@bigcorp-mail.com.", HANDLING, "secret"),
        (f"{PROMPT} {ADDED} Ask [REDACTED:email].", HANDLING, "redacted"),
        (PROMPT, HANDLING, "adds nothing"),
    ],
)
def test_a_refused_candidate_leaves_the_prompt_and_says_why(
    asking: AskingMemory, improved: str, issue: str, told: str
) -> None:
    memory = asking(ScriptedLLM([answer(improved, issue)]))
    complained(memory, HANDLING, "missing error handling: open('x.csv').read() in file operations", INPUT)
    found = memory.evolve_prompt("coder", PROMPT)
    assert (found.accepted, found.improved_prompt) == (False, PROMPT)
    assert (found.changes, found.issues_addressed) == ((), ())
    assert told in found.reason
    assert "jane" not in found.reason


def test_the_most_pressing_issues_are_shown_behind_the_fence(asking: AskingMemory) -> None:
    llm = ScriptedLLM([answer(f"{PROMPT} {ADDED}", HANDLING)] * 2)
    memory = asking(llm)
    complained(memory, HANDLING, times=3)
    complained(memory, INPUT)
    memory.evolve_prompt("coder", PROMPT, num_issues=1)
    memory.evolve_prompt("coder", PROMPT)
    first, second = (question.material for question in llm.questions)
    assert INPUT not in first
    for text in ("coder", PROMPT, HANDLING, INPUT):
        assert f"| {text}" in second
    assert second.startswith(f"{MARKER} begin role ")


def test_secrets_of_the_prompt_are_not_sent_and_not_lost_when_nothing_changes(asking: AskingMemory) -> None:
    secret = f"{PROMPT} Report to jane.roe@bigcorp-mail.com."
    llm = ScriptedLLM([answer(PROMPT, HANDLING)])
    memory = asking(llm)
    complained(memory, HANDLING)
    found = memory.evolve_prompt("coder of john.doe@bigcorp-mail.com", secret)
    assert "john" not in llm.questions[0].material
    assert "jane" not in llm.questions[0].material
    assert found.improved_prompt == secret


def test_changes_are_cleaned_and_cut(asking: AskingMemory) -> None:
    changes = ("Told jane.roe@bigcorp-mail.com", "c" * 600)
    memory = asking(ScriptedLLM([answer(f"{PROMPT} {ADDED}", HANDLING, changes=changes)]))
    complained(memory, HANDLING)
    told, cut = memory.evolve_prompt("coder", PROMPT).changes
    assert "jane" not in told
    assert cut == "c" * 500


@pytest.mark.parametrize(
    "said",
    [
        None,
        "You are kind.",
        [],
        {},
        {"improved_prompt": PROMPT},
        answer(" "),
        answer("x" * 100_001),
        answer("nul \0"),
        Said("<html>"),
        Said("[" * 100_000),
        ProviderOutputError("cut off"),
    ],
)
def test_an_answer_without_a_candidate_is_bad_output(asking: AskingMemory, said: object) -> None:
    memory = asking(ScriptedLLM([said]))
    complained(memory, HANDLING)
    with pytest.raises(ProviderOutputError):
        memory.evolve_prompt("coder", PROMPT)


def test_other_errors_of_the_model_are_raised(asking: AskingMemory) -> None:
    memory = asking(ScriptedLLM([ProviderTimeoutError("late")]))
    complained(memory, HANDLING)
    with pytest.raises(ProviderTimeoutError):
        memory.evolve_prompt("coder", PROMPT)


def test_without_a_language_model_the_settings_are_named_even_if_nothing_recurs(asking: AskingMemory) -> None:
    with pytest.raises(ProviderNotConfiguredError, match="ENGRAMIA_LLM_PROVIDER"):
        asking(None).evolve_prompt("coder", PROMPT)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("role", " "),
        ("role", "r" * 201),
        ("role", None),
        ("current_prompt", ""),
        ("current_prompt", "p" * 50_001),
        ("current_prompt", "nul \0"),
        ("num_issues", 0),
        ("num_issues", 21),
        ("num_issues", "5"),
    ],
)
def test_bad_input_is_refused_by_name(asking: AskingMemory, field: str, value: object) -> None:
    given: dict[str, Any] = {"role": "coder", "current_prompt": PROMPT} | {field: value}
    with pytest.raises(ValidationError, match=field) as caught:
        asking(ScriptedLLM([])).evolve_prompt(**given)
    assert caught.value.field == field
