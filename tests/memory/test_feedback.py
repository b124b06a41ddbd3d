"""The feedback store: what joins, what is surfaced, how it fades, how failures cluster."""

from datetime import timedelta

import pytest

from engramia import Memory, ValidationError
from engramia.testing import FrozenClock


@pytest.fixture
def key(memory: Memory) -> str:
    return memory.learn(task="Parse a CSV file", code="a", eval_score=6).pattern_key


def test_an_issue_is_surfaced_when_it_is_said_again(memory: Memory, key: str) -> None:
    memory.refine_pattern(key, 3, "Missing error handling for absent files")
    assert list(memory.get_feedback()) == []
    memory.refine_pattern(key, 4, "missing error handling for absent file!")
    (item,) = memory.get_feedback()
    assert (item.text, item.count, item.weight) == ("Missing error handling for absent files", 2, 1.0)
    assert {variant.text for variant in item.variants} == {
        "Missing error handling for absent files",
        "missing error handling for absent file!",
    }


def test_other_issues_do_not_join(memory: Memory, key: str) -> None:
    memory.refine_pattern(key, 3, "Missing error handling for absent files")
    memory.refine_pattern(key, 3, "Uses a global variable where an argument would do")
    assert list(memory.get_feedback()) == []


def test_the_most_pressing_comes_first_and_fades_by_the_week(
    memory: Memory, key: str, clock: FrozenClock
) -> None:
    for _ in range(3):
        memory.refine_pattern(key, 3, "Missing error handling")
    clock.advance(timedelta(weeks=7))
    for _ in range(2):
        memory.refine_pattern(key, 3, "Wrong delimiter used")
    assert [item.text for item in memory.get_feedback()] == ["Missing error handling", "Wrong delimiter used"]
    assert memory.run_feedback_decay() == 0
    wrong, missing = memory.get_feedback()
    assert (wrong.text, wrong.weight) == ("Wrong delimiter used", 1.0)
    assert missing.weight == pytest.approx(0.9**7)


def test_decay_is_the_same_however_often_it_runs(memory: Memory, key: str, clock: FrozenClock) -> None:
    for _ in range(2):
        memory.refine_pattern(key, 3, "Missing error handling")
    for _ in range(40):
        clock.advance(timedelta(hours=12))
        memory.run_feedback_decay()
    (item,) = memory.get_feedback()
    assert item.weight == pytest.approx(0.9 ** (20 / 7))


def test_what_faded_out_is_pruned(memory: Memory, key: str, clock: FrozenClock) -> None:
    for _ in range(2):
        memory.refine_pattern(key, 3, "Missing error handling")
    clock.advance(timedelta(weeks=18))
    assert memory.run_feedback_decay() == 0
    clock.advance(timedelta(days=2))
    assert memory.run_feedback_decay() == 1
    assert list(memory.get_feedback()) == []


def test_being_said_again_makes_it_fresh(memory: Memory, key: str, clock: FrozenClock) -> None:
    for _ in range(2):
        memory.refine_pattern(key, 3, "Missing error handling")
    clock.advance(timedelta(weeks=5))
    memory.run_feedback_decay()
    memory.refine_pattern(key, 3, "Missing error handling")
    (item,) = memory.get_feedback()
    assert (item.count, item.weight, item.last_seen) == (3, 1.0, clock.now())


def test_task_type_filters_by_task_or_text(memory: Memory, key: str) -> None:
    other = memory.learn(task="Draw a chart", code="b", eval_score=6).pattern_key
    for _ in range(2):
        memory.refine_pattern(key, 3, "Missing error handling")
        memory.refine_pattern(other, 3, "Axis labels overlap")
    assert [item.text for item in memory.get_feedback(task_type="csv")] == ["Missing error handling"]
    assert [item.text for item in memory.get_feedback(task_type="AXIS")] == ["Axis labels overlap"]
    assert list(memory.get_feedback(task_type="video")) == []


def test_feedback_pages(memory: Memory, key: str) -> None:
    for text in ("Missing error handling", "Axis labels overlap", "Uses global state"):
        for _ in range(2):
            memory.refine_pattern(key, 3, text)
    page = memory.get_feedback(limit=2)
    assert (len(page), page.has_more, page.next_offset) == (2, True, 2)
    assert len(memory.get_feedback(limit=2, offset=2)) == 1
    with pytest.raises(ValidationError, match="limit"):
        memory.get_feedback(limit=0)


def test_failures_cluster_with_totals_and_mean_scores(memory: Memory, key: str) -> None:
    memory.refine_pattern(key, 2, "FileNotFoundError: [Errno 2] No such file or directory: 'sales.csv'")
    memory.refine_pattern(key, 3, "FileNotFoundError: [Errno 2] No such file or directory: 'people.csv'")
    memory.refine_pattern(key, 5, "The chart has no axis labels")
    biggest, *rest = memory.analyze_failures()
    assert (biggest.total_count, biggest.avg_score) == (2, 2.5)
    assert len(biggest.members) == 2
    assert biggest.representative in biggest.members
    assert [cluster.total_count for cluster in rest] == [1]
    assert memory.analyze_failures(min_count=2) == [biggest]
    with pytest.raises(ValidationError, match="min_count"):
        memory.analyze_failures(min_count=0)
