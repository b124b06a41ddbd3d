"""Learning: what is stored, what is taken for the same, and what the caller is told."""

from datetime import timedelta

import pytest

from engramia import Memory, ValidationError
from engramia.testing import FrozenClock, HashEmbeddings
from tests.conftest import START, MakeMemory

TASK = "Parse a CSV file and report the mean of each numeric column"


def test_a_new_run_becomes_a_pattern(memory: Memory) -> None:
    result = memory.learn(
        task=TASK,
        code="print(1)",
        eval_score=8,
        output="1\n",
        run_id="run-7",
        classification="public",
        source="cli",
        skills=[" CSV ", "csv", "Stats"],
        author="key_1",
    )
    assert (result.stored, result.pattern_count, result.duplicate_of) == (True, 1, None)
    record = memory.get_pattern(result.pattern_key)
    pattern = record.pattern
    assert (pattern.task, pattern.code, pattern.output) == (TASK, "print(1)", "1\n")
    assert (pattern.success_score, pattern.reuse_count) == (8.0, 0)
    assert (pattern.classification, pattern.source) == ("public", "cli")
    assert (pattern.run_id, pattern.author, pattern.skills) == ("run-7", "key_1", ("csv", "stats"))
    assert pattern.created_at == START
    assert pattern.embedding_model == HashEmbeddings().model
    assert [seen.score for seen in record.observations] == [8.0]


def test_defaults_are_the_documented_ones(memory: Memory) -> None:
    pattern = memory.get_pattern(memory.learn(task=TASK, code="x", eval_score=5).pattern_key).pattern
    assert (pattern.classification, pattern.source, pattern.output) == ("internal", "sdk", None)


@pytest.mark.parametrize(
    "again",
    [
        TASK,
        "parse a csv file, and report the mean of each numeric column!",
        "PARSE  A CSV FILE AND REPORT THE MEAN OF EACH NUMERIC COLUMN.",  # full-width letters
    ],
)
def test_the_same_task_with_a_better_run_replaces_it_and_keeps_a_version(
    memory: Memory, clock: FrozenClock, again: str
) -> None:
    first = memory.learn(task=TASK, code="old", eval_score=6, output="old out")
    clock.advance(timedelta(hours=1))
    second = memory.learn(task=again, code="new", eval_score=7.5, output="new out")
    assert (second.stored, second.pattern_count) == (True, 1)
    assert second.pattern_key == second.duplicate_of == first.pattern_key
    record = memory.get_pattern(first.pattern_key)
    assert (record.pattern.code, record.pattern.output, record.pattern.success_score) == (
        "new",
        "new out",
        7.5,
    )
    assert record.pattern.task == TASK
    assert record.pattern.created_at == START
    (version,) = record.versions
    assert (version.code, version.output, version.success_score) == ("old", "old out", 6.0)
    assert version.replaced_at == clock.now()
    assert [seen.score for seen in record.observations] == [6.0, 7.5]


@pytest.mark.parametrize("score", [6.0, 5.9, 0.0])
def test_a_run_that_is_not_better_is_not_stored(memory: Memory, score: float) -> None:
    first = memory.learn(task=TASK, code="old", eval_score=6)
    second = memory.learn(task=TASK, code="new", eval_score=score)
    assert (second.stored, second.pattern_count) == (False, 1)
    assert second.duplicate_of == second.pattern_key == first.pattern_key
    record = memory.get_pattern(first.pattern_key)
    assert (record.pattern.code, record.versions) == ("old", ())


def test_keep_both_stores_a_second_pattern(memory: Memory) -> None:
    first = memory.learn(task=TASK, code="a", eval_score=6)
    second = memory.learn(task=TASK, code="b", eval_score=3, on_duplicate="keep_both")
    assert (second.stored, second.pattern_count, second.duplicate_of) == (True, 2, None)
    assert first.pattern_key != second.pattern_key


def test_skip_never_replaces(memory: Memory) -> None:
    first = memory.learn(task=TASK, code="a", eval_score=1)
    second = memory.learn(task=TASK, code="b", eval_score=10, on_duplicate="skip")
    assert (second.stored, second.duplicate_of) == (False, first.pattern_key)
    assert memory.get_pattern(first.pattern_key).pattern.code == "a"


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Convert CSV to JSON", "Convert JSON to CSV"),
        ("Parse dates written as DD/MM", "Parse dates written as MM/DD"),
        ("Keep the rows where x > 3", "Keep the rows where x < 3"),
        ("Delete files older than 7 days", "Delete files older than 30 days"),
        ("Write hello world in C", "Write hello world in C++"),
        ("Round the price to 1.5", "Round the price to 15"),
        ("Copy src/a to src/b", "Copy src/b to src/a"),
        ("Find lines with 'error'", "Find lines with 'warning'"),
    ],
)
def test_a_task_that_differs_in_what_matters_is_another_pattern(
    memory: Memory, left: str, right: str
) -> None:
    memory.learn(task=left, code="a", eval_score=9)
    result = memory.learn(task=right, code="b", eval_score=9)
    assert (result.stored, result.pattern_count, result.duplicate_of) == (True, 2, None)


def test_secrets_are_gone_before_anything_is_stored(memory: Memory) -> None:
    address, password = "jane.roe@bigcorp-mail.com", "Tr0ub4dor-3-horse"
    result = memory.learn(
        task=f"Mail the report to {address}",
        code=f'db = connect("postgres://app:{password}@db.internal/main")',
        output=f"sent to {address}",
        eval_score=9,
    )
    pattern = memory.get_pattern(result.pattern_key).pattern
    kept = f"{pattern.task} {pattern.code} {pattern.output}"
    assert address not in kept
    assert password not in kept
    assert "REDACTED" in pattern.task


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("task", "   \n"),
        ("task", ""),
        ("task", "t" * 10_001),
        ("task", "nul \0 inside"),
        ("task", "lone \ud800 surrogate"),
        ("task", 5),
        ("code", " "),
        ("code", "c" * 500_001),
        ("output", "o" * 500_001),
        ("output", "\0"),
        ("eval_score", float("nan")),
        ("eval_score", float("inf")),
        ("eval_score", -0.1),
        ("eval_score", 10.1),
        ("eval_score", "9"),
        ("eval_score", True),
        ("classification", "secret"),
        ("source", "fax"),
        ("on_duplicate", "maybe"),
        ("run_id", "r" * 201),
        ("skills", ["s" * 101]),
        ("skills", "csv"),
        ("skills", [""]),
    ],
)
def test_bad_input_is_refused_by_name_and_nothing_is_stored(
    memory: Memory, field: str, value: object
) -> None:
    run: dict[str, object] = {"task": TASK, "code": "x", "eval_score": 5} | {field: value}
    with pytest.raises(ValidationError, match=field) as caught:
        memory.learn(**run)  # type: ignore[arg-type]  # wrong types are the point
    assert caught.value.field == field
    assert memory.metrics().pattern_count == 0
    assert memory.metrics().runs == 0


def test_limits_are_inclusive(memory: Memory) -> None:
    assert memory.learn(task="t" * 10_000, code="c" * 500_000, output="o" * 500_000, eval_score=10).stored


def test_what_was_learned_is_there_in_a_new_process_on_the_folder(make_memory: MakeMemory) -> None:
    key = make_memory().learn(task=TASK, code="x", eval_score=5).pattern_key
    assert make_memory().get_pattern(key).pattern.task == TASK
