"""The commands compose and evolve: a task as stages, a prompt made better."""

import json
import re
from typing import Any

import pytest

from engramia.cli.exit_codes import ExitCode
from engramia.errors import ProviderOutputError
from engramia.testing import ScriptedLLM
from tests.cli.asking import scripted
from tests.cli.conftest import Cli
from tests.cli.test_processes import on_a_terminal
from tests.providers.llm_server import CHAT, chat, llm_server

pytestmark = pytest.mark.slow  # real processes

TASK = "Merge the lists of members and report the totals"
MERGE = "Merge two CSV files by their id column"
PROMPT = "You write Python code. Always add type hints. Say in one line what you did."
IMPROVED = f"{PROMPT}\nHandle an empty file before anything is read."
COLOUR = re.compile(r"\x1b\[[0-9;]*3[12]m[+-]")


def plan(reads: str = "merged") -> dict[str, Any]:
    return {
        "initial_inputs": ["members"],
        "stages": [
            {"name": "merge", "task": MERGE, "reads": ["members"], "writes": ["merged"]},
            {"name": "report", "task": "Say hello to the moon", "reads": [reads], "writes": ["report"]},
        ],
    }


def candidate(prompt: str = IMPROVED) -> dict[str, Any]:
    return {
        "improved_prompt": prompt,
        "changes": ["Added what to do about empty files"],
        "issues_addressed": ["fails on an empty file"],
    }


@pytest.fixture
def issue(cli: Cli, learned: str) -> None:
    """An issue that was said twice."""
    for score in ("4", "5"):
        cli("refine", learned, score, "--feedback", "fails on an empty file")


def evolve(cli: Cli, *answers: object, options: tuple[str, ...] = ()) -> Any:
    arguments = ("evolve", "--role", "coder", "--prompt", PROMPT, *options)
    return cli(*arguments, session=scripted(ScriptedLLM(answers)))


def test_a_program_gets_stages_with_what_the_memory_has(cli: Cli, learned: str) -> None:
    ended = cli("compose", TASK, "--json", session=scripted(ScriptedLLM([plan()])))
    assert (ended.code, ended.err) == (ExitCode.OK, "")
    document = ended.document
    merge, report = document.pop("stages")
    assert document == {
        "task": TASK,
        "valid": True,
        "contract_errors": [],
        "initial_inputs": ["members"],
        "fallback": None,
    }
    assert merge == {
        "name": "merge",
        "task": MERGE,
        "reads": ["members"],
        "writes": ["merged"],
        "reuse_tier": "duplicate",
        "similarity": 1,
        "code": "merge(a, b)",
        "pattern_key": learned,
    }
    assert (report["reuse_tier"], report["similarity"], report["code"]) == ("fresh", 0, None)


@pytest.mark.usefixtures("learned")
def test_people_get_a_table_and_the_code_when_asked(cli: Cli) -> None:
    ended = cli("compose", TASK, session=scripted(ScriptedLLM([plan()])))
    assert (ended.code, ended.err) == (ExitCode.OK, "")
    for told in (MERGE, "duplicate", "fresh", "1.000", "merged", "members", "The contract holds"):
        assert told in ended.out, told
    assert "merge(a, b)" not in ended.out
    with_code = cli("compose", TASK, "--code", session=scripted(ScriptedLLM([plan()]))).out
    assert "merge(a, b)" in with_code
    assert "no code: write it new" in with_code


def test_a_broken_contract_is_said_and_is_no_failure(cli: Cli) -> None:
    ended = cli("compose", TASK, session=scripted(ScriptedLLM([plan(reads="totals")])))
    assert ended.code == ExitCode.OK
    assert "The contract is broken" in ended.out
    assert "'totals'" in ended.out
    document = cli("compose", TASK, "--json", session=scripted(ScriptedLLM([plan(reads="totals")]))).document
    assert document["valid"] is False
    assert len(document["contract_errors"]) == 1


def test_an_answer_that_cannot_be_used_leaves_the_task_whole(cli: Cli) -> None:
    ended = cli("compose", TASK, session=scripted(ScriptedLLM([ProviderOutputError("No JSON.")])))
    assert ended.code == ExitCode.OK
    assert "left whole. No JSON." in ended.err
    assert TASK in ended.out


@pytest.mark.usefixtures("issue")
def test_an_accepted_prompt_is_shown_as_a_difference(cli: Cli) -> None:
    ended = evolve(cli, candidate())
    assert (ended.code, ended.err) == (ExitCode.OK, "")
    for told in ("+Handle an empty file before anything is read.", f" {PROMPT}", "Added what to do", "yes"):
        assert told in ended.out, told
    document = evolve(cli, candidate(), options=("--json",)).document
    assert document.pop("reason")
    assert document == {**candidate(), "accepted": True}


@pytest.mark.usefixtures("issue")
def test_a_refused_prompt_is_an_answer(cli: Cli) -> None:
    dropped = candidate("You write code. Handle an empty file before anything is read.")
    ended = evolve(cli, dropped)
    assert ended.code == ExitCode.OK
    assert "no, the prompt stays as it is" in ended.out
    assert "drops or changes the instruction" in ended.out
    assert "+" not in ended.out
    document = evolve(cli, dropped, options=("--json",)).document
    assert (document["accepted"], document["improved_prompt"]) == (False, PROMPT)


def test_without_issues_there_is_nothing_to_improve(cli: Cli) -> None:
    ended = evolve(cli)
    assert (ended.code, "Nothing to improve" in ended.out) == (ExitCode.OK, True)
    assert evolve(cli, options=("--json",)).document["reason"] == "no_issues"


@pytest.mark.usefixtures("issue")
def test_an_answer_without_a_candidate_is_an_error(cli: Cli) -> None:
    ended = evolve(cli, {"improved_prompt": 7}, options=("--json",))
    assert (ended.code, ended.document["error"]) == (ExitCode.PROVIDER, "bad_provider_output")


def test_the_number_of_issues_has_bounds(cli: Cli) -> None:
    ended = evolve(cli, options=("--issues", "21", "--json"))
    assert (ended.code, ended.document["field"]) == (ExitCode.USAGE, "num_issues")
    ended = evolve(cli, options=("--prompt-file", "other.md", "--json"))
    assert (ended.code, ended.document["field"]) == (ExitCode.USAGE, "prompt")


@pytest.mark.usefixtures("issue")
def test_a_process_reads_the_prompt_from_a_pipe(process: Cli) -> None:
    with llm_server() as server:
        server.usual[CHAT] = chat(json.dumps(candidate()))
        settings = {"OPENAI_API_KEY": "sk-of-a-test", "OPENAI_BASE_URL": server.url}
        ended = process("evolve", "--role", "coder", "-", "--json", stdin=PROMPT.encode(), **settings)
    assert (ended.code, ended.err) == (ExitCode.OK, "")
    assert ended.document["improved_prompt"] == IMPROVED


@pytest.mark.usefixtures("issue")
def test_on_a_terminal_it_turns_a_spinner_and_colours_the_difference(data_path: Any) -> None:
    with llm_server() as server:
        server.usual[CHAT] = chat(json.dumps(candidate()))
        arguments = ("evolve", "--role", "coder", "--prompt", PROMPT)
        code, shown = on_a_terminal(
            data_path, *arguments, OPENAI_API_KEY="sk-of-a-test", OPENAI_BASE_URL=server.url
        )
    assert code == ExitCode.OK, shown
    assert "Asking gpt-4.1" in shown
    assert COLOUR.search(shown)
