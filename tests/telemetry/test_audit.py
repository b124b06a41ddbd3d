import json
from typing import Any

from engramia.telemetry.audit import audit
from engramia.telemetry.logging import bound
from tests.telemetry.conftest import Log, MakeLog


def test_a_line_says_who_did_what_with_what_outcome(log: Log) -> None:
    with bound(request_id="r-1", tenant_id="acme", project_id="web"):
        audit("pattern.deleted", outcome="success", actor="key_7", ip="192.0.2.7", pattern_key="patterns/x")
    line = log.last
    assert line["message"] == "AUDIT pattern.deleted success"
    assert (line["logger"], line["level"]) == ("engramia.audit", "INFO")
    expected = {
        "event": "pattern.deleted",
        "outcome": "success",
        "actor": "key_7",
        "ip": "192.0.2.7",
        "pattern_key": "patterns/x",
        "request_id": "r-1",
        "tenant_id": "acme",
        "project_id": "web",
    }
    assert expected.items() <= line.items()


def test_what_is_given_goes_before_what_is_bound(log: Log) -> None:
    with bound(request_id="bound", tenant_id="bound", project_id="bound"):
        audit("key.created", outcome="success", actor="a", tenant_id="t", project_id="p", request_id="r")
    assert (log.last["tenant_id"], log.last["project_id"], log.last["request_id"]) == ("t", "p", "r")


def test_refusals_and_failures_are_warnings(log: Log) -> None:
    audit("auth.refused", outcome="refused", actor=None, ip="192.0.2.7", reason="unknown key")
    audit("import", outcome="failed", actor="key_7")
    assert [line["level"] for line in log.lines] == ["WARNING", "WARNING"]
    assert log.lines[0]["actor"] is None


def test_a_fact_cannot_change_the_outcome(log: Log) -> None:
    facts: dict[str, Any] = {"message": "x", "level": "DEBUG", "exc_info": True, "positional_args": (1,)}
    audit("auth.refused", outcome="refused", actor=None, **facts)
    assert (log.last["outcome"], log.last["fact_level"]) == ("refused", "DEBUG")
    assert log.last["message"] == "AUDIT auth.refused refused"


def test_it_is_written_at_any_level(make_log: MakeLog) -> None:
    log = make_log(json=True, level="ERROR")
    audit("key.revoked", outcome="success", actor="key_7")
    assert len(log.lines) == 1


def test_for_people_the_facts_are_json(make_log: MakeLog) -> None:
    log = make_log(json=False)
    audit("key.revoked", outcome="success", actor="key_7", ip="192.0.2.7", note="two\nlines")
    head, _, facts = log.text.partition(" {")
    assert head.endswith("engramia.audit: AUDIT key.revoked success")
    assert json.loads("{" + facts) == {
        "event": "key.revoked",
        "outcome": "success",
        "actor": "key_7",
        "ip": "192.0.2.7",
        "note": "two\nlines",
    }


def test_no_key_is_written(log: Log) -> None:
    audit("auth.refused", outcome="refused", actor="sk_engramia_abcdef", authorization="Bearer abcdef")
    assert "abcdef" not in log.text
