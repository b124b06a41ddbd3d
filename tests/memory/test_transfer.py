"""Export and import: the round trip, and bad records among good ones."""

import copy
import json
from datetime import timedelta
from typing import Any

import pytest

from engramia import Memory
from engramia.testing import FrozenClock
from tests.conftest import MakeMemory


@pytest.fixture
def records(memory: Memory, clock: FrozenClock) -> list[dict[str, Any]]:
    key = memory.learn(
        task="Parse a CSV file",
        code="a",
        eval_score=6,
        output="1",
        skills=["csv"],
        run_id="r1",
        classification="public",
    ).pattern_key
    clock.advance(timedelta(days=10))
    memory.learn(task="Parse a CSV file", code="b", eval_score=8)
    memory.refine_pattern(key, 7, "Slow on big files")
    memory.run_aging()
    memory.recall("Parse a CSV file")
    memory.learn(task="Wasserstand der Elbe abfragen 🌊", code="c", eval_score=3, source="cli")
    return memory.export()


def test_the_round_trip_keeps_everything(records: list[dict[str, Any]], make_memory: MakeMemory) -> None:
    other = make_memory(folder="other")
    through_json = json.loads(json.dumps(records))
    result = other.import_data(through_json)
    assert (result.imported, result.skipped, result.total, result.reasons) == (2, 0, 2, ())
    assert other.export() == records


def test_a_record_has_the_documented_shape(records: list[dict[str, Any]]) -> None:
    record = records[0]
    assert (record["version"], record["key"][:9]) == (1, "patterns/")
    assert record["data"]["task"] == "Parse a CSV file"
    assert record["data"]["created_at"].endswith("Z")
    assert record["data"]["reuse_count"] == 1
    assert [version["code"] for version in record["data"]["versions"]] == ["a"]


def test_a_key_that_is_there_is_skipped_unless_overwritten(
    memory: Memory, records: list[dict[str, Any]]
) -> None:
    changed = copy.deepcopy(records)
    changed[0]["data"]["code"] = "changed"
    result = memory.import_data(changed)
    assert (result.imported, result.skipped) == (0, 2)
    assert "overwrite" in result.reasons[0].reason
    assert memory.import_data(changed, overwrite=True).imported == 2
    assert memory.get_pattern(records[0]["key"]).pattern.code == "changed"
    assert memory.metrics().pattern_count == 2


def test_the_same_key_twice_in_one_import_goes_in_once(
    make_memory: MakeMemory, records: list[dict[str, Any]]
) -> None:
    other = make_memory(folder="other")
    result = other.import_data([records[0], records[0]])
    assert (result.imported, result.skipped) == (1, 1)
    assert result.reasons[0].index == 1


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("version",), 2, "version"),
        (("key",), "patterns/../../x", "pattern_key"),
        (("key",), None, "key"),
        (("data",), "text", "data"),
        (("data", "task"), " ", "task"),
        (("data", "task"), None, "task"),
        (("data", "task"), "t" * 10_001, "task"),
        (("data", "code"), "\0", "code"),
        (("data", "output"), 5, "output"),
        (("data", "success_score"), float("nan"), "success_score"),
        (("data", "success_score"), 11, "success_score"),
        (("data", "success_score"), None, "success_score"),
        (("data", "reuse_count"), -1, "reuse_count"),
        (("data", "reuse_count"), 10**30, "reuse_count"),
        (("data", "created_at"), "yesterday", "created_at"),
        (("data", "created_at"), "2026-01-01T00:00:00", "created_at"),
        (("data", "created_at"), "9999-12-31T23:59:59-14:00", "created_at"),
        (("data", "classification"), "top", "classification"),
        (("data", "source"), ["api"], "source"),
        (("data", "skills"), {"a": 1}, "skills"),
        (("data", "observations"), "none", "observations"),
        (("data", "observations"), [{"score": 3}], "at"),
        (("data", "observations"), [3], "observations"),
        (("data", "versions"), [{"code": "x", "success_score": 1, "replaced_at": 5}], "replaced_at"),
    ],
)
def test_a_bad_record_is_reported_and_the_rest_goes_in(
    make_memory: MakeMemory, records: list[dict[str, Any]], path: tuple[str, ...], value: object, named: str
) -> None:
    bad = copy.deepcopy(records[0])
    place = bad
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    other = make_memory(folder="other")
    result = other.import_data([bad, records[1]])
    assert (result.imported, result.skipped, result.total) == (1, 1, 2)
    (reason,) = result.reasons
    assert reason.index == 0
    assert named in reason.reason
    assert [pattern.key for pattern in other.list_patterns()] == [records[1]["key"]]


@pytest.mark.parametrize("junk", [None, 5, "text", [], {}])
def test_junk_among_records_is_reported(
    make_memory: MakeMemory, records: list[dict[str, Any]], junk: object
) -> None:
    result = make_memory(folder="other").import_data([junk, *records])
    assert (result.imported, result.skipped) == (2, 1)


def test_import_redacts(make_memory: MakeMemory, records: list[dict[str, Any]]) -> None:
    dirty = copy.deepcopy(records[0])
    dirty["data"]["task"] += " for jane.roe@bigcorp-mail.com"
    dirty["data"]["versions"][0]["code"] = "mail('jane.roe@bigcorp-mail.com')"
    dirty["data"]["observations"][0]["feedback"] = "jane.roe@bigcorp-mail.com complained"
    other = make_memory(folder="other")
    other.import_data([dirty])
    assert "jane.roe" not in json.dumps(other.export())


def test_defaults_fill_what_a_record_leaves_out(make_memory: MakeMemory, clock: FrozenClock) -> None:
    other = make_memory(folder="other")
    key = "patterns/" + "0" * 26
    other.import_data([{"key": key, "data": {"task": "Parse a CSV file", "code": "x", "success_score": 5}}])
    pattern = other.get_pattern(key).pattern
    assert (pattern.source, pattern.classification, pattern.reuse_count) == ("import", "internal", 0)
    assert pattern.created_at == clock.now()


def test_import_reports_progress_and_is_found_by_recall(make_memory: MakeMemory) -> None:
    other = make_memory(folder="other")
    many = [
        {
            "key": f"patterns/{number:026d}",
            "data": {"task": f"Count to {number}", "code": "x", "success_score": 5},
        }
        for number in range(600)
    ]
    seen: list[int] = []
    other.import_data(iter(many), progress=lambda done, _total: seen.append(done))
    assert seen == [256, 512, 600]
    assert other.recall("Count to 599")[0].pattern_key == many[599]["key"]
