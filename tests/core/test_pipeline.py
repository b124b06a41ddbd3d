"""Plans: how strictly an answer is read, and what their contract holds."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engramia.core.pipeline import Plan, Stage, contract_errors, parse_plan, whole
from engramia.errors import ProviderOutputError

FETCH: dict[str, Any] = {"name": "fetch_data", "task": "Fetch prices", "reads": [], "writes": ["prices"]}
REPORT: dict[str, Any] = {"name": "report", "task": "Write it up", "reads": ["prices"], "writes": ["text"]}
NAMES = list("abcd")


def stage(name: str, reads: str = "", writes: str = "") -> Stage:
    return Stage(name, f"do {name}", tuple(reads.split()), tuple(writes.split()))


def errors(*stages: Stage, inputs: str = "") -> tuple[str, ...]:
    return contract_errors(Plan(stages, tuple(inputs.split())))


def test_a_plan_is_read_as_it_was_answered() -> None:
    found = parse_plan({"initial_inputs": ["ticker"], "stages": [FETCH, REPORT]})
    assert found == Plan(
        (
            Stage("fetch_data", "Fetch prices", (), ("prices",)),
            Stage("report", "Write it up", ("prices",), ("text",)),
        ),
        ("ticker",),
    )


def test_a_plan_without_initial_inputs_has_none() -> None:
    assert parse_plan({"stages": [FETCH, REPORT]}).initial_inputs == ()


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Fetch Data", "fetch_data"),
        ("fetchData", "fetch_data"),
        ("fetch-data!", "fetch_data"),
        ("__fetch__", "fetch"),
        ("f" * 60, "f" * 40),
        ("HTTPFetch2", "httpfetch2"),
    ],
)
def test_names_become_short_snake_case_everywhere_alike(said: str, name: str) -> None:
    found = parse_plan({"stages": [FETCH | {"name": said, "writes": [said]}, REPORT | {"reads": [said]}]})
    assert found.stages[0].name == name
    assert found.stages[0].writes == found.stages[1].reads == (name,)


def test_a_value_named_twice_is_one() -> None:
    found = parse_plan({"stages": [FETCH, REPORT | {"reads": ["prices", "Prices"]}]})
    assert found.stages[1].reads == ("prices",)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "fetch, then report",
        [FETCH, REPORT],
        {},
        {"stages": None},
        {"stages": []},
        {"stages": [FETCH]},
        {"stages": [FETCH | {"name": f"s{n}"} for n in range(5)]},
        {"stages": {"a": FETCH}},
        {"stages": [FETCH, FETCH]},
        {"stages": [FETCH, "report"]},
        {"stages": [FETCH, REPORT], "initial_inputs": "ticker"},
        {"stages": [FETCH, REPORT], "initial_inputs": [7]},
        {"stages": [FETCH, REPORT], "initial_inputs": [f"v{n}" for n in range(21)]},
    ],
)
def test_an_answer_that_is_no_plan_is_refused(answer: object) -> None:
    with pytest.raises(ProviderOutputError):
        parse_plan(answer)


@pytest.mark.parametrize(
    "broken",
    [
        {"name": None},
        {"name": ""},
        {"name": "数据"},
        {"name": "2nd"},
        {"name": "n" * 201},
        {"task": " "},
        {"task": None},
        {"task": "nul \0"},
        {"task": "half \ud800"},
        {"task": "t" * 10_001},
        {"reads": None},
        {"reads": "prices"},
        {"reads": [None]},
        {"writes": [["prices"]]},
        {"writes": [f"v{n}" for n in range(21)]},
    ],
)
def test_a_stage_with_a_bad_field_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises(ProviderOutputError):
        parse_plan({"stages": [FETCH, REPORT | broken]})


@pytest.mark.parametrize("missing", FETCH)
def test_every_field_of_a_stage_must_be_there(missing: str) -> None:
    with pytest.raises(ProviderOutputError):
        parse_plan({"stages": [{k: v for k, v in FETCH.items() if k != missing}, REPORT]})


def test_a_contract_that_holds_has_no_errors() -> None:
    assert errors(stage("a", "x", "y"), stage("b", "x y", "z"), stage("c", "z"), inputs="x") == ()
    assert contract_errors(whole("everything")) == ()


def test_a_value_from_nowhere_is_told() -> None:
    assert errors(stage("a", "", "y"), stage("b", "z")) == (
        "Stage 'b' reads 'z', which is no initial input and which no stage writes.",
    )


def test_a_value_that_comes_too_late_is_told() -> None:
    assert errors(stage("a", "y", "x"), stage("b", "", "y")) == (
        "Stage 'a' reads 'y', which is written only later, by stage 'b'.",
    )


@pytest.mark.parametrize("inputs", ["", "x"])
def test_reading_ones_own_write_is_told_even_of_an_initial_input(inputs: str) -> None:
    assert errors(stage("a", "x", "x"), stage("b"), inputs=inputs) == (
        "Stage 'a' reads 'x', which it writes itself.",
    )


def test_a_value_with_two_writers_is_told_once() -> None:
    assert errors(stage("a", "", "x"), stage("b", "", "x"), stage("c", "x")) == (
        "'x' is written by more than one stage: 'a', 'b'.",
    )


def test_stages_that_wait_for_each_other_are_told() -> None:
    late, cycle = errors(stage("a", "y", "x"), stage("b", "x", "y"))
    assert late.startswith("Stage 'a' reads 'y', which is written only later")
    assert cycle.startswith("Stages wait for each other: ")
    assert "'a'" in cycle
    assert "'b'" in cycle


def test_nobody_waits_for_what_is_there_initially() -> None:
    assert errors(stage("a", "y", "x"), stage("b", "x", "y"), inputs="y") == ()


stages = st.builds(
    lambda reads, writes: (tuple(reads), tuple(writes)),
    st.sets(st.sampled_from(NAMES)),
    st.sets(st.sampled_from(NAMES)),
)


@given(st.lists(stages, min_size=1, max_size=4), st.sets(st.sampled_from(NAMES)))
def test_no_errors_means_that_the_stages_can_run_one_behind_the_other(
    shapes: list[tuple[tuple[str, ...], tuple[str, ...]]], inputs: set[str]
) -> None:
    built = tuple(Stage(f"s{n}", "t", reads, writes) for n, (reads, writes) in enumerate(shapes))
    there, runs = set(inputs), True
    for each in built:
        runs = runs and set(each.reads) <= there and not set(each.reads) & set(each.writes)
        there |= set(each.writes)
    written = [name for each in built for name in each.writes]
    holds = runs and len(written) == len(set(written))
    assert (contract_errors(Plan(built, tuple(inputs))) == ()) == holds
