"""The demo's runs and queries: what is in them, that they were really run, how a user's own file is read."""

import json
from collections import Counter
from pathlib import Path

import pytest
from benchmarks import record_demo
from benchmarks.demo_sources.tasks import Check, Task, load_tasks

from engramia.core.failures import FailureText, cluster
from engramia.core.limits import SUCCESS_SCORE, TASK_MAX_CHARS
from engramia.core.model import ReuseTier
from engramia.core.redaction import Redactor
from engramia.core.words import normalise
from engramia.demo import DemoRun, load_queries, load_runs, read_queries, read_runs
from engramia.errors import ValidationError

ALWAYS_THERE = ["python", "bash", "sql"]
SAMPLE = [
    "csv-to-json",
    "recent-deployments",
    "oldest-order",
    "requests-per-status",
    "retry-backoff",
    "line-range",
]


@pytest.fixture(scope="module")
def runs() -> list[DemoRun]:
    return load_runs()


@pytest.fixture(scope="module")
def tasks() -> dict[str, Task]:
    return {task.id: task for task in load_tasks()}


def test_a_few_dozen_runs_in_several_languages(runs: list[DemoRun]) -> None:
    languages = Counter(run.language for run in runs)
    assert 48 <= len(runs) <= 64
    assert languages.keys() >= {"python", "bash", "awk", "sql", "javascript", "c"}
    assert languages["python"] < len(runs) * 0.6


def test_every_run_says_when_and_by_what_it_was_run(runs: list[DemoRun]) -> None:
    for run in runs:
        assert run.recorded_at is not None
        assert run.tools.keys() == {run.language}
        assert run.output is not None
        assert run.skills


def test_failed_runs_say_what_went_wrong_and_good_ones_do_not(runs: list[DemoRun]) -> None:
    failed = [run for run in runs if run.eval_score < 9]
    assert 10 <= len(failed) <= 20
    assert {run.eval_score < SUCCESS_SCORE for run in failed} == {True, False}
    assert all(run.feedback for run in failed)
    assert all(run.feedback is None for run in runs if run.eval_score >= 9)


def test_some_kinds_of_failure_come_back(runs: list[DemoRun]) -> None:
    said = [FailureText(run.feedback, 1, run.eval_score) for run in runs if run.feedback]
    recurring = cluster(said, min_count=2)
    assert len(recurring) >= 4
    assert [found.total_count for found in recurring[:2]] == [3, 3]


def test_one_task_was_run_twice_and_the_later_run_is_better(runs: list[DemoRun]) -> None:
    by_task: dict[str, list[DemoRun]] = {}
    for run in runs:
        by_task.setdefault(normalise(run.task), []).append(run)
    repeated = [group for group in by_task.values() if len(group) > 1]
    assert [len(group) for group in repeated] == [2]
    assert repeated[0][0].eval_score < repeated[0][1].eval_score


def test_secrets_stand_in_outputs_alone(runs: list[DemoRun]) -> None:
    redactor = Redactor()
    found = {run.id: {finding.kind for finding in redactor.scan(run.output or "")} for run in runs}
    assert {name: kinds for name, kinds in found.items() if kinds} == {
        "database-url": {"url_password", "email"},
        "extract-emails": {"email"},
    }
    assert not [run.id for run in runs if redactor.scan(f"{run.task}\n{run.code}\n{run.feedback}")]


def test_the_file_stays_small() -> None:
    assert record_demo.RUNS.stat().st_size < 150_000


def test_every_expected_run_exists(runs: list[DemoRun]) -> None:
    queries = load_queries()
    ids = {run.id for run in runs}
    assert len(queries) >= 14
    assert {query.expected for query in queries} == set(ReuseTier)
    for query in queries:
        assert query.why
        assert (query.expected_id is None) == (query.expected is ReuseTier.FRESH)
        assert query.expected_id is None or query.expected_id in ids


def test_no_query_repeats_a_stored_task(runs: list[DemoRun]) -> None:
    stored = {normalise(run.task) for run in runs}
    assert not [query.task for query in load_queries() if normalise(query.task) in stored]


def test_a_query_that_should_be_a_duplicate_expects_a_good_run(runs: list[DemoRun]) -> None:
    scores = {run.id: run.eval_score for run in runs}
    wanted = [query.expected_id for query in load_queries() if query.expected is ReuseTier.DUPLICATE]
    assert all(scores[wanted_id] >= 9 for wanted_id in wanted if wanted_id)


@pytest.mark.parametrize("id", SAMPLE)
def test_running_a_task_again_gives_its_recorded_line(id: str, tasks: dict[str, Task]) -> None:
    held = next(
        run for run in map(json.loads, record_demo.RUNS.read_text("utf-8").splitlines()) if run["id"] == id
    )
    assert record_demo.stable(record_demo.record(tasks[id])) == record_demo.stable(held)


@pytest.mark.slow
def test_running_all_tasks_again_gives_the_file() -> None:
    assert record_demo.differences(ALWAYS_THERE) == []


def test_the_comparison_names_a_run_that_was_changed_by_hand(tmp_path: Path) -> None:
    lines = record_demo.RUNS.read_text("utf-8").splitlines()
    changed = json.loads(lines[0]) | {"output": "[]"}
    held = tmp_path / "runs.jsonl"
    held.write_text("\n".join([json.dumps(changed), *lines[1:]]), encoding="utf-8")
    assert record_demo.differences([changed["language"]], held, only={changed["id"]}) == [
        f"{changed['id']}: output"
    ]


def _task(code: str, *expects: str, outcome: str = "passed", deadline: float = 20.0) -> Task:
    checks = tuple(Check(args=(), files={}, expect=text, stdin="", setup="", routes=()) for text in expects)
    return Task("t", "python", ("x",), "Say it.", code, checks, outcome, "Said wrong", deadline)


@pytest.mark.parametrize(
    ("code", "expects", "outcome", "score"),
    [
        ("print(1)", ("1", "1"), "passed", 10.0),
        ("print(1)", ("1",), "passed", 9.5),
        ("import sys; print(1); print('hm', file=sys.stderr)", ("1", "1"), "passed", 9.75),
        ("print(1)", ("1", "2"), "partly", 5.0),
        ("print(1)", ("2", "2"), "wrong", 3.0),
        ("print(1 + None)", ("1", "1"), "crashed", 1.0),
        ("while True: pass", ("1",), "timeout", 0.0),
    ],
)
def test_the_score_follows_its_rule(code: str, expects: tuple[str, ...], outcome: str, score: float) -> None:
    deadline = 0.3 if outcome == "timeout" else 20.0
    recorded = record_demo.record(_task(code, *expects, outcome=outcome, deadline=deadline))
    assert recorded["eval_score"] == score


def test_a_run_that_fares_otherwise_than_its_author_says_is_refused() -> None:
    with pytest.raises(ValueError, match="expected passed, but it crashed: ZeroDivisionError"):
        record_demo.record(_task("1 / 0", "1"))


def test_the_folder_does_not_show_in_what_is_recorded() -> None:
    code = "import os; print(os.getcwd()); open(os.path.join(os.getcwd(), 'no.txt'))"
    recorded = record_demo.record(_task(code, ".", outcome="crashed"))
    assert recorded["output"] == (
        ".\n[stderr] FileNotFoundError: [Errno 2] No such file or directory: 'no.txt'\n[exit 1]"
    )


def test_a_users_own_file_needs_three_fields_only(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('\n{"task": "Say hi", "code": "print(\\"hi\\")", "eval_score": 7, "mood": 1}\n', "utf-8")
    assert read_runs(path) == [DemoRun(id="line-2", task="Say hi", code='print("hi")', eval_score=7.0)]


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"task": None}, "task", "line 2: task is missing"),
        ({"task": " \t"}, "task", "line 2: task must not be blank"),
        ({"task": "a" * (TASK_MAX_CHARS + 1)}, "task", "task has 10,001 characters; the limit is 10,000"),
        ({"task": "a\0b"}, "task", "NUL"),
        ({"code": 5}, "code", "line 2: code must be text, not int"),
        ({"code": "a\ud800"}, "code", "lone surrogates"),
        ({"eval_score": None}, "eval_score", "is missing"),
        ({"eval_score": "9"}, "eval_score", "must be a number, not str"),
        ({"eval_score": True}, "eval_score", "must be a number, not bool"),
        ({"eval_score": 10.5}, "eval_score", "from 0 to 10"),
        ({"eval_score": float("nan")}, "eval_score", "from 0 to 10"),
        ({"skills": "csv"}, "skills", "must be a list"),
        ({"skills": ["csv", 1]}, "skills", "must be text, not int"),
        ({"recorded_at": "yesterday"}, "recorded_at", "RFC 3339"),
        ({"recorded_at": "2025-05-02T10:00:00"}, "recorded_at", "offset"),
        ({"tools": {"python": 3}}, "tools", "object of strings"),
        ({"id": "first"}, "id", "'first' stands on line 1 already"),
    ],
)
def test_a_bad_line_is_named_with_its_field(
    change: dict[str, object], field: str, message: str, tmp_path: Path
) -> None:
    good = {"id": "first", "task": "Say hi", "code": "echo hi", "eval_score": 7}
    path = tmp_path / "mine.jsonl"
    path.write_text(
        "\n".join(json.dumps(entry) for entry in (good, good | {"id": "second"} | change)), "utf-8"
    )
    with pytest.raises(ValidationError, match=message) as caught:
        read_runs(path)
    assert caught.value.field == field
    assert "mine.jsonl line 2" in str(caught.value)


@pytest.mark.parametrize("line", ["{", "[]", "null", "7", '"text"', "[" * 100_000])
def test_a_line_that_is_no_object_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(line, "utf-8")
    with pytest.raises(
        ValidationError, match=r"mine\.jsonl line 1: this (is not JSON|must be a JSON object)"
    ):
        read_runs(path)


def test_a_file_that_cannot_be_read_is_an_error_of_the_path(tmp_path: Path) -> None:
    latin = tmp_path / "latin.jsonl"
    latin.write_bytes(b'{"task": "caf\xe9"}')
    for path, message in ((tmp_path / "none.jsonl", "No such file"), (latin, "not UTF-8")):
        with pytest.raises(ValidationError, match=message) as caught:
            read_runs(path)
        assert caught.value.field == "path"


def test_a_users_own_queries_may_leave_the_expectation_out(tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text('{"task": "Say hi"}\n{"task": "Sort", "expected": "maybe"}', "utf-8")
    with pytest.raises(ValidationError, match="line 2: expected must be one of duplicate, adapt, fresh"):
        read_queries(path)
    path.write_text('{"task": "Say hi"}', "utf-8")
    assert [(query.task, query.expected) for query in read_queries(path)] == [("Say hi", None)]
