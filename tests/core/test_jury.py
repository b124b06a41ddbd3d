import json
import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engramia.core.jury import (
    Choice,
    JuryWeights,
    PairVerdict,
    Recordings,
    calibrate,
    pairs,
    profiles,
    read_recordings,
    scores,
)
from engramia.errors import ValidationError

A, B, TIE = Choice.A, Choice.B, Choice.TIE
JUDGES = ("sound", "fooled", "echo", "guess")

choices = st.sampled_from([A, B, TIE])
verdicts = st.none() | st.builds(PairVerdict, choices, st.none() | choices)
votes = st.lists(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=3, max_size=3), max_size=25)


def pair_line(number: int, gold: str | None, **said: object) -> str:
    return json.dumps({"id": f"p{number}", "gold": gold, "verdicts": said})


def score_line(number: int, gold: object, **said: object) -> str:
    return json.dumps({"id": f"s{number}", "gold": gold, "scores": said})


def other(side: str) -> str:
    return "B" if side == "A" else "A"


def fooled_panel(number: int, seed: int = 3) -> list[str]:
    """One judge right on 9 pairs of 10, one wrong on 8 of 10, one that repeats it, one that guesses."""
    rng = np.random.default_rng(seed)
    lines = []
    for place in range(number):
        gold = str(rng.choice(["A", "B"]))
        sound = gold if rng.random() < 0.9 else other(gold)
        fooled = other(gold) if rng.random() < 0.8 else gold
        guess = [str(rng.choice(["A", "B"])), str(rng.choice(["A", "B"]))]
        said = {"sound": [sound] * 2, "fooled": [fooled] * 2, "echo": [fooled] * 2, "guess": guess}
        lines.append(pair_line(place, gold, **said))
    return lines


def right(weights: JuryWeights, asked: Recordings, *, min_confidence: float = 0.5) -> tuple[float, float]:
    """Return coverage and the accuracy of what was ruled on."""
    rulings = [(weights.rule_pair(p.verdicts, min_confidence=min_confidence), p.gold) for p in asked.pairs]
    made = [ruling.choice is gold for ruling, gold in rulings if ruling.choice is not None]
    return len(made) / len(rulings), sum(made) / len(made)


def by_majority(asked: Recordings) -> float:
    return sum(
        sum(each.vote for each in p.verdicts.values() if each) * (p.gold or TIE).sign > 0 for p in asked.pairs
    ) / len(asked.pairs)


@pytest.mark.parametrize(
    ("verdict", "vote", "steady"),
    [
        (PairVerdict(A), 1, None),
        (PairVerdict(B, B), -1, True),
        (PairVerdict(A, B), 0, False),
        (PairVerdict(A, TIE), 0.5, False),
        (PairVerdict(TIE, TIE), 0, None),
    ],
)
def test_a_verdict_in_both_orders_is_worth_their_mean(
    verdict: PairVerdict, vote: float, steady: bool | None
) -> None:
    assert (verdict.vote, verdict.steady) == (vote, steady)


def test_recordings_hold_pairs_and_scores_of_the_same_judges() -> None:
    found = read_recordings(
        [
            pair_line(1, "A", x=["A", "B"], y=None),
            "",
            pair_line(2, None, y="tie", x="B"),
            score_line(1, 7, y=1, x=2.5),
        ]
    )
    assert found.problems == ()
    assert found.judges == ("x", "y")
    assert [(p.id, p.gold, dict(p.verdicts)) for p in found.pairs] == [
        ("p1", A, {"x": PairVerdict(A, B), "y": None}),
        ("p2", None, {"y": PairVerdict(TIE), "x": PairVerdict(B)}),
    ]
    assert [(s.gold, dict(s.scores)) for s in found.scores] == [(7.0, {"y": 1.0, "x": 2.5})]


GOOD = pair_line(0, "A", x="A", y="B")
NESTED = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not JSON"),
        ("[]", "must be a JSON object"),
        (NESTED, "not JSON"),
        (
            f'{{"id": "n", "gold": {"[" * 900}{"]" * 900}, "verdicts": {{"x": "A", "y": "B"}}}}',
            "gold must be text",
        ),
        ('{"id": "s", "gold": NaN, "scores": {"x": 1, "y": 2}}', "NaN is not a JSON number"),
        ('{"id": "s", "gold": 1e400, "scores": {"x": 1, "y": 2}}', "gold must be a number from 0 to 10"),
        ('{"gold": "A", "verdicts": {"x": "A", "y": "B"}}', "id must be text"),
        ('{"id": "p", "gold": "A"}', "either verdicts or scores"),
        (
            '{"id": "p", "gold": "A", "verdicts": {"x": "A", "y": "B"}, "scores": {}}',
            "either verdicts or scores",
        ),
        ('{"id": "p", "gold": "A", "verdicts": ["A", "B"]}', "verdicts must be an object"),
        ('{"id": "p", "gold": "A", "verdicts": {}}', "judges must be 1 to 64"),
        (pair_line(1, "tie", x="A", y="B"), "a tie teaches nothing"),
        (pair_line(1, "C", x="A", y="B"), "gold must be one of A, B, tie"),
        (pair_line(1, "A", x="a", y="B"), "verdicts.x must be one of"),
        (pair_line(1, "A", x=["A"], y="B"), "verdicts.x must be one choice, or two"),
        (pair_line(1, "A", x=["A", None], y="B"), "verdicts.x must be text"),
        (pair_line(1, "A", x=True, y="B"), "verdicts.x must be text"),
        (pair_line(1, "A", x="A", z="B"), "other judges than the first one: y, z"),
        (pair_line(1, "A", x="A"), "other judges than the first one: y"),
        (pair_line(0, "A", x="A", y="B"), "id 'p0' was used"),
        (score_line(1, None, x=1, y=2), "gold must be a number"),
        (score_line(1, 5, x=1, y=None), "scores.y must be a number"),
        (score_line(1, 5, x=1, y=10.5), "scores.y must be a number from 0 to 10"),
    ],
)
def test_a_bad_line_is_reported_by_number_and_the_rest_is_kept(line: str, said: str) -> None:
    found = read_recordings([GOOD, line, pair_line(9, "B", y="A", x="A")])
    assert [pair.id for pair in found.pairs] == ["p0", "p9"]
    assert [problem.line for problem in found.problems] == [2]
    assert said in found.problems[0].message


@given(st.lists(st.text(max_size=40), max_size=6))
def test_no_text_breaks_the_reading(lines: list[str]) -> None:
    found = read_recordings(lines)
    assert len(found.problems) + len(found.pairs) + len(found.scores) == sum(
        bool(line.strip()) for line in lines
    )


def test_a_profile_tells_skill_consistency_and_position_bias() -> None:
    lines = [
        pair_line(1, "A", first=["A", "B"], sound=["A", "A"], silent=None),
        pair_line(2, "B", first=["A", "B"], sound=["B", "B"], silent=None),
        pair_line(3, "B", first=["A", "A"], sound="A", silent=None),
    ]
    first, sound, silent = profiles(read_recordings(lines))
    assert (first.answered, first.accuracy, first.consistency, first.first_shown) == (3, 1 / 3, 1 / 3, 1.0)
    assert (sound.answered, sound.accuracy, sound.consistency, sound.first_shown) == (3, 2 / 3, 1.0, None)
    assert (silent.answered, silent.accuracy, silent.consistency, silent.first_shown) == (0, None, None, None)


def test_twenty_anchors_turn_a_fooled_majority_into_a_good_jury() -> None:
    lines = fooled_panel(320)
    weights, asked = calibrate(read_recordings(lines[:20])), read_recordings(lines[20:])
    assert weights.pairs is not None
    assert (weights.pairs.method, weights.pairs.items) == ("anchors", 20)
    assert by_majority(asked) < 0.35
    coverage, accuracy = right(weights, asked)
    assert coverage == 1
    assert accuracy > 0.85


def test_a_judge_reliably_wrong_counts_for_the_opposite_and_its_echo_shares_the_weight() -> None:
    weights = calibrate(read_recordings(fooled_panel(200)))
    assert weights.pairs is not None
    by_judge = dict(zip(weights.judges, weights.pairs.weights, strict=True))
    assert by_judge["sound"] > 1
    assert by_judge["fooled"] < -0.3
    assert by_judge["echo"] == pytest.approx(by_judge["fooled"])
    alone = calibrate(
        read_recordings(
            json.dumps(row | {"verdicts": {k: v for k, v in row["verdicts"].items() if k != "echo"}})
            for row in map(json.loads, fooled_panel(200))
        )
    )
    assert alone.pairs is not None
    assert alone.pairs.weights[1] == pytest.approx(2 * by_judge["fooled"], rel=0.1)


def test_abstaining_leaves_fewer_rulings_and_better_ones() -> None:
    lines = fooled_panel(320)
    weights, asked = calibrate(read_recordings(lines[:20])), read_recordings(lines[20:])
    sure = right(weights, asked, min_confidence=0.9)
    assert 0.3 < sure[0] < 0.9
    assert sure[1] > right(weights, asked)[1] + 0.03


def test_below_the_stated_confidence_the_leaning_is_told_and_no_choice_made() -> None:
    weights = calibrate(read_recordings(fooled_panel(20)))
    said = {"sound": PairVerdict(A, A), "fooled": PairVerdict(B, B), "echo": PairVerdict(B, B), "guess": None}
    ruled = weights.rule_pair(said)
    assert (ruled.choice, ruled.leaning) == (A, A)
    abstained = weights.rule_pair(said, min_confidence=math.nextafter(ruled.confidence, 1))
    assert (abstained.choice, abstained.leaning, abstained.confidence) == (None, A, ruled.confidence)
    assert weights.rule_pair(said, min_confidence=ruled.confidence).choice is A


def test_a_jury_without_answers_abstains_whatever_is_asked() -> None:
    ruled = calibrate(read_recordings(fooled_panel(20))).rule_pair(dict.fromkeys(JUDGES))
    assert (ruled.choice, ruled.leaning, ruled.confidence) == (None, None, 0.5)


def test_few_anchors_claim_less_than_many() -> None:
    said = dict.fromkeys(JUDGES) | {"sound": PairVerdict(A, A)}
    few, many = (calibrate(read_recordings(fooled_panel(number))) for number in (5, 300))
    assert few.rule_pair(said).confidence < many.rule_pair(said).confidence


@given(votes, st.randoms(use_true_random=False))
def test_the_fit_is_where_the_posterior_is_flat(rows: list[list[float]], rng: random.Random) -> None:
    said = np.array(rows).reshape(-1, 3)
    gold = np.array([rng.choice([-1.0, 1.0]) for _ in rows])
    weights = pairs.from_anchors(said, gold)
    signed = said * gold[:, None]
    gradient = signed.T @ (1 / (1 + np.exp(signed @ weights))) - weights / pairs.PRIOR_VARIANCE
    assert np.abs(gradient).max() < 1e-6


def test_separable_anchors_give_finite_weights() -> None:
    said = np.ones((5_000, 2))
    weights = pairs.from_anchors(said, np.ones(5_000))
    assert np.all(np.isfinite(weights))
    assert weights[0] == pytest.approx(weights[1])


def mirrored(verdict: PairVerdict | None) -> PairVerdict | None:
    turned = {A: B, B: A, TIE: TIE}
    if verdict is None:
        return None
    return PairVerdict(turned[verdict.forward], None if verdict.swapped is None else turned[verdict.swapped])


@given(st.fixed_dictionaries(dict.fromkeys(JUDGES, verdicts)))
def test_naming_the_items_the_other_way_round_turns_the_ruling(said: dict[str, PairVerdict | None]) -> None:
    weights = calibrate(read_recordings(fooled_panel(20)))
    one = weights.rule_pair(said)
    two = weights.rule_pair({judge: mirrored(verdict) for judge, verdict in said.items()})
    assert two.confidence == pytest.approx(one.confidence)
    assert 0.5 <= one.confidence <= 1
    assert two.leaning is {A: B, B: A, None: None}[one.leaning]


def wavering_panel(number: int, seed: int = 5) -> list[str]:
    """One steady judge, mostly right, and three fooled ones that follow the position half of the time."""
    rng = np.random.default_rng(seed)
    lines = []
    for place in range(number):
        gold = str(rng.choice(["A", "B"]))
        sound = gold if rng.random() < 0.85 else other(gold)
        said: dict[str, Any] = {"sound": [sound, sound]}
        for judge in JUDGES[1:]:
            fooled = other(gold) if rng.random() < 0.7 else gold
            said[judge] = ["A", "B"] if rng.random() < 0.5 else [fooled, fooled]
        lines.append(pair_line(place, None, **said))
        lines.append(pair_line(number + place, gold, **said))
    return lines


def test_without_labels_the_steady_judge_outweighs_wavering_ones() -> None:
    lines = wavering_panel(300)
    weights, asked = calibrate(read_recordings(lines[::2])), read_recordings(lines[1::2])
    assert weights.pairs is not None
    assert (weights.pairs.method, weights.pairs.items) == ("consistency", 300)
    assert by_majority(asked) < 0.5
    assert right(weights, asked)[1] > 0.8


def test_without_labels_steady_fools_are_believed() -> None:
    lines = [json.dumps(json.loads(line) | {"gold": None}) for line in fooled_panel(300)]
    weights = calibrate(read_recordings(lines))
    assert right(weights, read_recordings(fooled_panel(300)))[1] < 0.35


def test_five_labels_are_believed_over_consistency_and_four_are_not() -> None:
    unlabelled = [
        json.dumps(json.loads(line) | {"gold": None, "id": f"u{n}"})
        for n, line in enumerate(fooled_panel(50))
    ]
    four, five = (calibrate(read_recordings([*unlabelled, *fooled_panel(number)])) for number in (4, 5))
    assert four.pairs is not None
    assert five.pairs is not None
    assert (four.pairs.method, five.pairs.method) == ("consistency", "anchors")
    assert five.pairs.items == 5


def test_all_judges_together_claim_what_the_steadiest_could() -> None:
    weights = pairs.from_consistency(np.array([97, 48, 0]), np.array([98, 98, 98]))
    assert weights.sum() == pytest.approx(math.log(1.98 / 0.02))
    assert weights[0] > weights[1] > weights[2] > 0


def test_one_steady_judge_outvotes_three_that_waver() -> None:
    weights = pairs.from_consistency(np.array([190, 120, 120, 120]), np.array([200, 200, 200, 200]))
    assert weights[0] > weights[1:].sum()


def test_steadiness_seen_once_counts_less_than_seen_often() -> None:
    once, often = pairs.from_consistency(np.array([1, 100]), np.array([1, 100]))
    assert once < often


def test_nothing_to_learn_from_is_refused() -> None:
    lines = [pair_line(number, "A" if number < 4 else None, x="A", y="B") for number in range(9)]
    with pytest.raises(ValidationError, match="4 labelled pairs, 0 scored items") as caught:
        calibrate(read_recordings(lines))
    assert caught.value.field == "anchors"
    with pytest.raises(ValidationError):
        calibrate(read_recordings([]))


def score_panel(number: int, seed: int = 7) -> list[str]:
    """A judge two points lenient, one that squeezes the scale, one that scores the other way round."""
    rng = np.random.default_rng(seed)
    lines = []
    for place in range(number):
        truth = rng.uniform(1, 9)
        said = [truth + 2, 3 + 0.4 * truth, 9 - 0.6 * truth]
        noisy = [min(10.0, max(0.0, value + rng.normal(0, 0.5))) for value in said]
        lines.append(score_line(place, truth, lenient=noisy[0], narrow=noisy[1], reversed=noisy[2]))
    return lines


def errors(weights: JuryWeights, asked: Recordings) -> list[float]:
    return [abs(weights.rule_score(item.scores).estimate - item.gold) for item in asked.scores]


def rms(values: Sequence[float]) -> float:
    return math.sqrt(sum(value**2 for value in values) / len(values))


def test_twenty_anchors_undo_the_judges_scales() -> None:
    lines = score_panel(220)
    weights, asked = calibrate(read_recordings(lines[:20])), read_recordings(lines[20:])
    means = [abs(sum(item.scores.values()) / 3 - item.gold) for item in asked.scores]
    assert rms(means) > 1.5
    assert rms(errors(weights, asked)) < 0.6


def test_the_claimed_chance_is_kept() -> None:
    lines = score_panel(500)
    weights, asked = calibrate(read_recordings(lines[:100])), read_recordings(lines[100:])
    rulings = [weights.rule_score(item.scores, tolerance=0.5) for item in asked.scores]
    claimed = sum(ruling.confidence for ruling in rulings) / len(rulings)
    kept = sum(abs(r.estimate - i.gold) <= 0.5 for r, i in zip(rulings, asked.scores, strict=True)) / len(
        rulings
    )
    assert claimed == pytest.approx(kept, abs=0.08)


def test_the_prediction_is_what_integrating_over_the_prior_gives() -> None:
    said, truth, asked = np.array([2.0, 4.0, 9.0]), np.array([3.5, 4.0, 7.0]), 8.0
    weight, offset, noise = np.meshgrid(
        np.linspace(-3, 5, 120), np.linspace(-9, 9, 120), np.geomspace(0.02, 200, 140), indexing="ij"
    )
    # Inverse gamma(2, 2) in the noise, whose grid is geometric; the rest is normal given the noise.
    log = -2 * np.log(noise) - 2 / noise
    log -= ((weight - 1) ** 2 * 5 + offset**2 * 0.25) / (2 * noise) + np.log(noise)
    for x, y in zip(said - 5, truth - 5, strict=True):
        log -= (y - weight * x - offset) ** 2 / (2 * noise) + np.log(noise) / 2
    mass = np.exp(log - log.max())
    mean = weight * (asked - 5) + offset
    expected = float((mass * mean).sum() / mass.sum())
    variance = float((mass * (noise + (mean - expected) ** 2)).sum() / mass.sum())
    ruled = scores.from_anchors(said[:, None], truth).rule([asked], tolerance=1, min_confidence=0)
    assert ruled.estimate == pytest.approx(expected + 5, abs=0.01)
    assert ruled.deviation == pytest.approx(math.sqrt(variance), rel=0.02)


def test_a_missing_judge_is_done_without_and_widens_the_doubt() -> None:
    weights = calibrate(read_recordings(score_panel(50)))
    whole = weights.rule_score({"lenient": 8.0, "narrow": 5.4, "reversed": 5.4})
    part = weights.rule_score({"lenient": None, "narrow": 5.4, "reversed": 5.4})
    assert whole.estimate == pytest.approx(6.0, abs=0.4)
    assert part.estimate == pytest.approx(6.0, abs=0.6)
    assert part.deviation > whole.deviation
    assert part.confidence < whole.confidence


def test_an_unsure_score_is_not_given() -> None:
    weights = calibrate(read_recordings(score_panel(5)))
    said = {"lenient": 8.0, "narrow": 5.4, "reversed": 5.4}
    ruled = weights.rule_score(said, min_confidence=0.2)
    assert ruled.score == ruled.estimate
    unsure = weights.rule_score(said, min_confidence=0.99)
    assert (unsure.score, unsure.estimate) == (None, ruled.estimate)


marks = st.floats(min_value=0, max_value=10)


@given(st.tuples(marks, marks, marks), marks)
def test_estimates_stay_on_the_scale_and_confidence_grows_with_the_tolerance(
    said: tuple[float, float, float], tolerance: float
) -> None:
    weights = calibrate(read_recordings(score_panel(12)))
    given_scores = dict(zip(weights.judges, said, strict=True))
    ruled = weights.rule_score(given_scores, tolerance=tolerance)
    assert 0 <= ruled.estimate <= 10
    assert 0 <= ruled.confidence <= 1
    assert ruled.confidence <= weights.rule_score(given_scores, tolerance=10).confidence == 1


def test_judges_that_all_agree_with_the_truth_are_left_alone() -> None:
    lines = [
        score_line(n, value, x=value, y=value) for n, value in enumerate([2, 9, 4, 7, 5, 1, 8, 6, 3, 10])
    ]
    ruled = calibrate(read_recordings(lines)).rule_score({"x": 7.0, "y": 7.0})
    assert ruled.estimate == pytest.approx(7.0, abs=0.05)


def both() -> JuryWeights:
    lines = score_panel(8) + [
        pair_line(number, "AB"[number % 2], lenient="A", narrow=["A", "B"], reversed="B")
        for number in range(6)
    ]
    return calibrate(read_recordings(lines))


def test_weights_survive_json_to_the_last_bit() -> None:
    assert JuryWeights.from_json(both().to_json()) == both()
    for lines in (score_panel(9), fooled_panel(9)):
        weights = calibrate(read_recordings(lines))
        assert JuryWeights.from_json(weights.to_json()) == weights


def test_weights_say_where_they_come_from() -> None:
    kept = json.loads(both().to_json())
    assert kept["judges"] == ["lenient", "narrow", "reversed"]
    assert (kept["pairs"]["method"], kept["pairs"]["items"], kept["scores"]["items"]) == ("anchors", 6, 8)


def spoilt(**changes: Any) -> str:
    value = json.loads(both().to_json())
    for path, change in changes.items():
        *way, last = path.split("__")
        inner = value
        for step in way:
            inner = inner[step]
        inner[last] = change
    return json.dumps(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        NESTED,
        spoilt(version=2),
        spoilt(judges=["lenient", "narrow"]),
        spoilt(judges=["lenient", "narrow", "narrow"]),
        spoilt(judges=["lenient", "narrow", 3]),
        spoilt(judges="abc"),
        spoilt(pairs=3),
        spoilt(pairs__method="magic"),
        spoilt(pairs__method=["anchors"]),
        spoilt(pairs__items=0),
        spoilt(pairs__weights=[1.0, 2.0]),
        spoilt(pairs__weights=[1.0, 2.0, math.inf]),
        spoilt(pairs__weights=[1.0, 2.0, True]),
        spoilt(scores__items=9),
        spoilt(scores__gram=[[1.0]]),
        spoilt(scores__gram=[[0.0] * 3 + [float(i == 3) * 8, 1.0] for i in range(5)]),
        spoilt(scores__gram=(np.diag([1.0, 1.0, -1.0, 8.0, 1.0])).tolist()),
    ],
)
def test_what_was_not_written_by_us_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        JuryWeights.from_json(text)


@given(st.text(max_size=60))
def test_no_text_breaks_the_loading(text: str) -> None:
    with pytest.raises(ValidationError):
        JuryWeights.from_json(text)


@pytest.mark.parametrize("names", [("lenient", "narrow"), ("lenient", "narrow", "reversed", "new"), ()])
def test_other_judges_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError, match="must name the judges") as caught:
        both().rule_pair(dict.fromkeys(names, PairVerdict(A)))
    assert caught.value.field == "verdicts"
    with pytest.raises(ValidationError, match="must name the judges"):
        both().rule_score(dict.fromkeys(names, 5.0))


def test_the_order_in_which_judges_are_named_does_not_matter() -> None:
    said = {"lenient": 8.0, "narrow": 5.0, "reversed": 4.0}
    assert both().rule_score(said) == both().rule_score(dict(reversed(said.items())))


def test_a_kind_of_verdict_that_was_not_recorded_is_refused() -> None:
    pairs_only, scores_only = (
        calibrate(read_recordings(lines)) for lines in (fooled_panel(9), score_panel(9))
    )
    with pytest.raises(ValidationError, match="without scores"):
        pairs_only.rule_score(dict.fromkeys(JUDGES, 5.0))
    with pytest.raises(ValidationError, match="without pairs"):
        scores_only.rule_pair(dict.fromkeys(scores_only.judges, PairVerdict(A)))


@pytest.mark.parametrize("value", [math.nan, -0.1, 1.1, "0.7", True])
def test_the_confidence_asked_for_is_a_probability(value: Any) -> None:
    with pytest.raises(ValidationError, match="min_confidence"):
        both().rule_pair(dict.fromkeys(both().judges), min_confidence=value)
    with pytest.raises(ValidationError, match="min_confidence"):
        both().rule_score(dict.fromkeys(both().judges, 5.0), min_confidence=value)


@pytest.mark.parametrize("value", [math.nan, -1.0, 11.0, "5", True])
def test_scores_ruled_on_are_scores(value: Any) -> None:
    with pytest.raises(ValidationError, match="scores must be a number"):
        both().rule_score(dict.fromkeys(both().judges, value))


def test_no_score_at_all_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least one judge's score"):
        both().rule_score(dict.fromkeys(both().judges))
