import math
import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engramia.core import limits
from engramia.core.scoring import Judgement, aggregate, parse_judgement, quorum
from engramia.errors import ProviderOutputError

NUMBERS = ("task_alignment", "code_quality", "workspace_usage", "robustness", "overall")
ANSWER: dict[str, Any] = dict.fromkeys(NUMBERS, 7.0) | {"feedback": "Close the file."}

marks = st.floats(min_value=0, max_value=10)
judgements = st.builds(Judgement, marks, marks, marks, marks, marks, st.text(max_size=5))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ANSWER, "other"]), inner),
    max_leaves=12,
)


def judged(overall: float, feedback: str = "") -> Judgement:
    return Judgement(5, 5, 5, 5, overall, feedback)


def test_a_whole_answer_is_read_as_floats_and_further_fields_are_ignored() -> None:
    found = parse_judgement(ANSWER | {"overall": 8, "reasoning": "…"})
    assert found == Judgement(7.0, 7.0, 7.0, 7.0, 8.0, "Close the file.")
    assert isinstance(found.overall, float)


@pytest.mark.parametrize("name", ANSWER)
def test_every_field_must_be_there(name: str) -> None:
    with pytest.raises(ProviderOutputError, match=f"lacks {name}"):
        parse_judgement({key: value for key, value in ANSWER.items() if key != name})


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    "value", [True, False, None, "7", [7], {}, math.nan, math.inf, -math.inf, -0.01, 10.01, 1e308, 10**400]
)
def test_a_score_is_a_number_from_0_to_10(name: str, value: object) -> None:
    with pytest.raises(ProviderOutputError, match=name):
        parse_judgement(ANSWER | {name: value})


@pytest.mark.parametrize("value", [0, 10, 0.0, 10.0])
def test_both_ends_of_the_scale_are_valid(value: float) -> None:
    assert parse_judgement(ANSWER | {"overall": value}).overall == value


@pytest.mark.parametrize("value", [None, 3, ["a"], {"text": "a"}, "nul\0", "half \ud800 pair"])
def test_feedback_is_storable_text(value: object) -> None:
    with pytest.raises(ProviderOutputError, match="feedback"):
        parse_judgement(ANSWER | {"feedback": value})


def test_feedback_without_end_is_cut() -> None:
    found = parse_judgement(ANSWER | {"feedback": "x" * 10_000_000})
    assert found.feedback == "x" * limits.FEEDBACK_MAX_CHARS


@pytest.mark.parametrize("value", [None, [ANSWER], "prose", 7, [], True])
def test_an_answer_is_an_object(value: object) -> None:
    with pytest.raises(ProviderOutputError, match="instead of an object"):
        parse_judgement(value)


@given(json_values)
def test_whatever_a_judge_answers_is_read_or_refused(value: object) -> None:
    try:
        found = parse_judgement(value)
    except ProviderOutputError:
        return
    assert all(0 <= getattr(found, name) <= 10 for name in NUMBERS)


@pytest.mark.parametrize(("asked", "needed"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (10, 5)])
def test_the_quorum_is_half_rounded_up(asked: int, needed: int) -> None:
    assert quorum(asked) == needed


@pytest.mark.parametrize("asked", range(1, 11))
def test_below_the_quorum_there_is_no_evaluation(asked: int) -> None:
    enough = [judged(5.0)] * quorum(asked)
    assert aggregate(enough, asked).median_score == 5.0
    with pytest.raises(ProviderOutputError, match=f"{len(enough) - 1} of {asked} judges"):
        aggregate(enough[1:], asked)


def test_one_judge_has_no_variance() -> None:
    found = aggregate([judged(6.5, "only")], 1)
    assert (found.median_score, found.variance, found.high_variance, found.feedback) == (
        6.5,
        0.0,
        False,
        "only",
    )


def test_the_variance_is_the_samples() -> None:
    found = aggregate([judged(4.0), judged(6.0)], 2)
    assert (found.median_score, found.variance, found.high_variance) == (5.0, 2.0, True)


def test_variance_is_high_only_above_the_limit() -> None:
    at, above = [3.5, 5.0, 5.0, 6.5], [3.5, 5.0, 5.0, 6.625]
    assert statistics.variance(at) == 1.5
    assert not aggregate([judged(value) for value in at], 4).high_variance
    assert aggregate([judged(value) for value in above], 4).high_variance


def test_feedback_comes_from_the_first_of_the_lowest() -> None:
    answers = [judged(7.0, "high"), judged(3.0, "first low"), judged(3.0, "second low")]
    assert aggregate(answers, 3).feedback == "first low"


def test_the_caller_says_whether_the_output_was_faked() -> None:
    assert not aggregate([judged(5.0)], 1).adversarial_detected
    assert aggregate([judged(5.0)], 1, adversarial_detected=True).adversarial_detected


@given(st.lists(judgements, min_size=1, max_size=10), st.randoms(use_true_random=False))
def test_the_order_of_the_judges_changes_no_figure(answers: list[Judgement], rng: Any) -> None:
    shuffled = answers.copy()
    rng.shuffle(shuffled)
    one, other = aggregate(answers, len(answers)), aggregate(shuffled, len(answers))
    assert (one.median_score, one.high_variance) == (other.median_score, other.high_variance)
    assert one.variance == pytest.approx(other.variance)


@given(st.lists(judgements, min_size=1, max_size=10))
def test_the_figures_are_those_of_the_overall_scores(answers: list[Judgement]) -> None:
    found = aggregate(answers, len(answers))
    overall = [answer.overall for answer in answers]
    assert found.scores == tuple(answers)
    assert min(overall) <= found.median_score <= max(overall)
    assert sum(value <= found.median_score for value in overall) >= len(overall) / 2
    assert 0 <= found.variance <= 50.001
    lowest = [answer.feedback for answer in answers if answer.overall == min(overall)]
    assert found.feedback == lowest[0]
