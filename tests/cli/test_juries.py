"""The commands of a jury: weights from recorded verdicts, and what they say of the judges."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from engramia.cli.exit_codes import ExitCode
from engramia.core.jury import JuryWeights
from tests.cli.conftest import Cli

GOLD = (1, 2, 4, 5, 6, 8, 9)


def scored(number: int, gold: float) -> dict[str, Any]:
    noise = 1 if number % 2 else -1
    return {
        "id": f"s{number}",
        "gold": gold,
        "scores": {"exact": gold, "kind": gold + 0.5, "loose": 5 + noise},
    }


def pair(number: int, gold: str | None) -> dict[str, Any]:
    """Return a pair that `right` gets right, `wrong` gets wrong, and `place` answers by position."""
    truth = "AB"[number % 2]
    other = "BA"[number % 2]
    verdicts = {"right": [truth, truth], "wrong": [other, other], "place": ["A", "B"]}
    return {"id": f"p{number}", "gold": gold and truth, "verdicts": verdicts}


def written(path: Path, rows: Iterable[object]) -> str:
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def scores_file(tmp_path: Path) -> str:
    return written(tmp_path / "scores.jsonl", (scored(number, gold) for number, gold in enumerate(GOLD)))


@pytest.fixture
def pairs_file(tmp_path: Path) -> str:
    return written(tmp_path / "pairs.jsonl", (pair(number, "known") for number in range(12)))


def test_scores_say_how_lenient_and_how_far_off_each_judge_is(cli: Cli, scores_file: str) -> None:
    ended = cli("jury", "calibrate", scores_file, "--json")
    assert (ended.code, ended.err) == (ExitCode.OK, "")
    document = ended.document
    assert (document["judges"], document["pairs"], document["skipped"]) == (
        ["exact", "kind", "loose"],
        None,
        0,
    )
    assert document["warnings"] == []
    exact, kind, loose = document["scores"]["judges"]
    assert (exact["leniency"], exact["error"]) == (pytest.approx(0), pytest.approx(0))
    assert (kind["leniency"], kind["error"]) == (pytest.approx(0.5), pytest.approx(0.5))
    assert exact["weight"] > loose["weight"]
    assert loose["error"] > 2


def test_the_weight_is_what_a_point_moves_the_ruling_by(cli: Cli, scores_file: str) -> None:
    document = cli("jury", "calibrate", scores_file, "--json").document
    weights = JuryWeights.from_json(json.dumps(document["weights"]))
    low, high = (weights.rule_score({"exact": 5, "kind": 5, "loose": loose}).estimate for loose in (5, 6))
    assert document["scores"]["judges"][2]["weight"] == pytest.approx(high - low)


def test_weights_are_kept_and_shown_again(cli: Cli, scores_file: str, tmp_path: Path) -> None:
    file = tmp_path / "weights.json"
    ended = cli("jury", "calibrate", scores_file, "-o", str(file))
    assert (ended.code, ended.err) == (ExitCode.OK, "")
    assert str(file) in ended.out
    assert JuryWeights.from_json(file.read_text()).judges == ("exact", "kind", "loose")
    assert cli("jury", "calibrate", scores_file, "-o", str(file)).code == ExitCode.USAGE
    assert cli("jury", "calibrate", scores_file, "-o", str(file), "--force").code == ExitCode.OK
    shown = cli("jury", "show", str(file))
    for told in ("7 scored items with known answers", "Too lenient by", "+0.50", "kind"):
        assert told in shown.out, told
    calibrated = cli("jury", "calibrate", scores_file, "--json").document
    again = cli("jury", "show", str(file), "--json").document
    assert again == {name: calibrated[name] for name in ("judges", "pairs", "scores", "warnings")}


def test_without_a_file_it_says_how_to_keep_them(cli: Cli, scores_file: str) -> None:
    assert "-o FILE" in cli("jury", "calibrate", scores_file).out


def test_labelled_pairs_give_each_judge_a_profile(cli: Cli, pairs_file: str) -> None:
    document = cli("jury", "calibrate", pairs_file, "--json").document
    assert (document["pairs"]["method"], document["pairs"]["items"]) == ("anchors", 12)
    right, wrong, place = document["pairs"]["judges"]
    assert (right["accuracy"], right["consistency"], right["answered"]) == (1, 1, 12)
    assert (wrong["accuracy"], wrong["consistency"]) == (0, 1)
    assert (place["accuracy"], place["consistency"], place["first_shown"]) == (0.5, 0, 1)
    assert right["weight"] > 0 > wrong["weight"]
    assert place["weight"] == pytest.approx(0)
    shown = cli("jury", "calibrate", pairs_file)
    for told in ("Right", "Steady", "Flips to the first", "100%", "the other way round"):
        assert told in shown.out, told
    assert "needs weights made from scores" in shown.err
    assert "No labels" not in shown.err


def test_weights_without_labels_come_with_a_warning(cli: Cli, tmp_path: Path) -> None:
    file = written(tmp_path / "pairs.jsonl", (pair(number, None) for number in range(12)))
    document = cli("jury", "calibrate", file, "--json").document
    assert document["pairs"]["method"] == "consistency"
    assert "wrong and confident" in document["warnings"][0]
    weights = {row["judge"]: row["weight"] for row in document["pairs"]["judges"]}
    # What the warning is about: the judge that is wrong steadily counts as much as the one that is right.
    assert weights["wrong"] == weights["right"] > weights["place"]
    shown = cli("jury", "calibrate", file)
    assert shown.code == ExitCode.OK
    assert "Notice: No labels" in shown.err
    assert "by steadiness" in shown.out


def test_bad_lines_are_listed_and_the_rest_is_used(cli: Cli, tmp_path: Path) -> None:
    rows = [scored(number, gold) for number, gold in enumerate(GOLD)]
    file = written(tmp_path / "mixed.jsonl", [rows[0], "not JSON", "", {**rows[1], "gold": 11}, *rows[1:]])
    kept = tmp_path / "weights.json"
    ended = cli("jury", "calibrate", file, "-o", str(kept), "--json")
    assert ended.code == ExitCode.PARTLY
    assert ended.document["skipped"] == 2
    assert [problem["line"] for problem in ended.document["problems"]] == [2, 4]
    assert ended.document["scores"]["items"] == len(GOLD)
    assert kept.exists()
    shown = cli("jury", "calibrate", file)
    assert shown.code == ExitCode.PARTLY
    assert "Skipped 2 lines" in shown.out
    assert "gold must be a number from 0 to 10" in shown.out


def test_nothing_usable_is_wrong_usage_and_says_why(cli: Cli, tmp_path: Path) -> None:
    file = written(tmp_path / "few.jsonl", [scored(0, 5), "{", "[]"])
    ended = cli("jury", "calibrate", file, "--json")
    assert ended.code == ExitCode.USAGE
    assert "at least 5 labelled items" in ended.document["detail"]
    assert [problem["line"] for problem in ended.document["problems"]] == [2, 3]
    shown = cli("jury", "calibrate", file, "-o", str(tmp_path / "weights.json"))
    assert (shown.code, "Skipped 2 lines" in shown.out) == (ExitCode.USAGE, True)
    assert not (tmp_path / "weights.json").exists()
    assert cli("jury", "calibrate", str(tmp_path / "none.jsonl")).code == ExitCode.USAGE


def test_a_line_ends_only_where_json_lines_do(cli: Cli, tmp_path: Path) -> None:
    rows = [{**scored(number, gold), "note": "one\u2028line"} for number, gold in enumerate(GOLD)]
    assert cli("jury", "calibrate", written(tmp_path / "odd.jsonl", rows)).code == ExitCode.OK


def test_show_refuses_what_is_no_weights(cli: Cli, scores_file: str) -> None:
    ended = cli("jury", "show", scores_file, "--json")
    assert (ended.code, ended.document["field"]) == (ExitCode.USAGE, "weights")


def test_weights_of_pairs_cannot_judge_scores(cli: Cli, pairs_file: str, tmp_path: Path) -> None:
    file = str(tmp_path / "weights.json")
    cli("jury", "calibrate", pairs_file, "-o", file)
    assert "needs weights made from scores" in cli("jury", "show", file).err
