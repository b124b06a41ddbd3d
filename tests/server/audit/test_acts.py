"""What the service does over HTTP leaves rows where it must, and no others."""

import json
import logging
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.server.api import service
from tests.server.audit.kept import KEY, audited, awaited, nobodys, rows

pytestmark = pytest.mark.slow  # a database server

RECORDS = [
    {
        "version": 1,
        "key": f"patterns/{'0' * 25}{number}",
        "data": {"task": f"sum the column {number} of a sheet", "code": "print(1)", "success_score": 7.0},
    }
    for number in range(3)
]
TASK = "count the words of a private letter"


def told(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    """Return the facts of the AUDIT lines of an event."""
    lines = [record.msg for record in caplog.records if record.name == "engramia.audit"]
    facts = [line["facts"] for line in lines if isinstance(line, dict)]
    return [each for each in facts if each["event"] == event]


def test_deleting_a_pattern_leaves_a_row_with_who_what_and_where(tmp_path: Path, postgres_url: str) -> None:
    with audited(tmp_path, postgres_url) as api:
        key = api.learn(TASK)
        answer = api.call("DELETE", f"/v1/patterns/{key}", headers={"X-Request-ID": "req-7"})
        assert answer.status == 200
        (row,) = rows(postgres_url)
    assert (row.event, row.outcome, row.tenant_id, row.project_id) == (
        "pattern.deleted",
        "success",
        "default",
        "default",
    )
    assert (row.request_id, row.ip, json.loads(row.facts)) == ("req-7", "127.0.0.1", {"pattern_key": key})
    assert row.actor is not None
    assert KEY not in repr(row)
    assert TASK not in repr(row)


def test_a_delete_that_fails_leaves_a_row_that_says_so(tmp_path: Path, postgres_url: str) -> None:
    missing = f"patterns/{'0' * 26}"
    with audited(tmp_path, postgres_url) as api:
        assert api.call("DELETE", f"/v1/patterns/{missing}").status == 404
        (row,) = awaited(lambda: rows(postgres_url), 1)
    assert (row.event, row.outcome) == ("pattern.deleted", "failed")
    assert json.loads(row.facts) == {"pattern_key": missing, "error": "not_found"}


def test_what_needs_no_account_leaves_no_row(tmp_path: Path, postgres_url: str) -> None:
    with audited(tmp_path, postgres_url) as api:
        key = api.learn(TASK)
        assert api.post("/v1/recall", {"task": TASK}).status == 200
        assert api.get(f"/v1/patterns/{key}").status == 200
        assert api.post("/v1/aging").status == 200
    assert rows(postgres_url) == []
    assert nobodys(postgres_url) == []


def test_an_import_leaves_a_row_with_its_counts(tmp_path: Path, postgres_url: str) -> None:
    with audited(tmp_path, postgres_url) as api:
        answer = api.post("/v1/import", {"records": [*RECORDS, {"version": 1, "key": "x", "data": {}}]})
        assert answer.status == 200, answer.body
        (row,) = rows(postgres_url)
    assert (row.event, row.outcome) == ("import.done", "success")
    assert json.loads(row.facts) == {"imported": 3, "skipped": 1, "total": 4}
    assert "sheet" not in repr(row)


def test_an_import_under_an_idempotency_key_leaves_one_row(tmp_path: Path, postgres_url: str) -> None:
    with audited(tmp_path, postgres_url) as api:
        for _ in range(2):
            answer = api.post("/v1/import", {"records": RECORDS}, {"Idempotency-Key": "k1"})
            assert answer.status == 200, answer.body
    assert [row.event for row in rows(postgres_url)] == ["import.done"]


def test_an_import_as_a_job_leaves_its_row_with_the_job(tmp_path: Path, postgres_url: str) -> None:
    with audited(tmp_path, postgres_url) as api:
        accepted = api.post("/v1/import", {"records": RECORDS}, {"Prefer": "respond-async"})
        assert accepted.status == 202
        job_id = accepted.json()["job_id"]
        assert api.finished(job_id)["status"] == "completed"
        (row,) = rows(postgres_url)
    assert (row.event, row.outcome) == ("import.done", "success")
    assert json.loads(row.facts) == {"job_id": job_id, "imported": 3, "skipped": 0, "total": 3}
    assert row.actor is not None


def test_no_act_without_its_row(tmp_path: Path, postgres_url: str) -> None:
    """Where the row cannot be written, nothing of the act stays."""
    with audited(tmp_path, postgres_url) as api:
        key = api.learn(TASK)
        with psycopg.connect(postgres_url, autocommit=True) as superuser:
            superuser.execute(
                "ALTER TABLE audit_log ADD CONSTRAINT none CHECK (outcome <> 'success') NOT VALID"
            )
            try:
                assert api.call("DELETE", f"/v1/patterns/{key}").status == 503
                assert api.post("/v1/import", {"records": RECORDS}).status == 503
                assert api.get("/v1/export").status == 503
            finally:
                superuser.execute("ALTER TABLE audit_log DROP CONSTRAINT none")
        assert api.get(f"/v1/patterns/{key}").status == 200
        assert len(api.get("/v1/patterns").json()["patterns"]) == 1
        assert api.call("DELETE", f"/v1/patterns/{key}").status == 200
    kept = rows(postgres_url)
    assert sorted({row.outcome for row in kept}) == ["failed", "success"]
    assert [row.event for row in kept if row.outcome == "success"] == ["pattern.deleted"]


def test_an_export_is_kept_before_it_begins(tmp_path: Path, postgres_url: str) -> None:
    with audited(tmp_path, postgres_url) as api:
        api.learn(TASK)
        assert api.get("/v1/export").json()["count"] == 1
        (row,) = rows(postgres_url)
    assert (row.event, row.outcome, row.facts) == ("export.begun", "success", "{}")


def test_the_line_in_the_log_is_an_anchor_of_the_row(
    tmp_path: Path, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "engramia.audit")
    with audited(tmp_path, postgres_url) as api:
        api.call("DELETE", f"/v1/patterns/{api.learn(TASK)}")
        (row,) = rows(postgres_url)
    (line,) = told(caplog, "pattern.deleted")
    assert (line["seq"], line["hash"], line["outcome"]) == (row.seq, row.hash, "success")


def test_on_json_storage_the_line_in_the_log_is_all(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "engramia.audit")
    with service(tmp_path) as api:
        api.call("DELETE", f"/v1/patterns/{api.learn(TASK)}")
        assert api.post("/v1/import", {"records": RECORDS}).status == 200
        assert api.get("/v1/export").status == 200
    for event in ("pattern.deleted", "import.done", "export.begun"):
        (line,) = told(caplog, event)
        assert line["outcome"] == "success"
        assert "seq" not in line


def test_a_refused_key_leaves_a_row_without_the_key(tmp_path: Path, postgres_url: str) -> None:
    wrong = "sk_engramia_" + "A" * 36
    with audited(tmp_path, postgres_url) as api:
        headers = {"Authorization": f"Bearer {wrong}", "X-Request-ID": "req-9"}
        assert api.call("POST", f"/v1/recall/{wrong}", {"task": TASK}, headers).status == 401
        (row,) = awaited(lambda: nobodys(postgres_url), 1)
    assert (row.event, row.outcome, row.actor, row.project_id) == ("auth.refused", "refused", None, None)
    assert (row.request_id, row.ip) == ("req-9", "127.0.0.1")
    facts = json.loads(row.facts)
    assert (facts["method"], facts["path"].startswith("/v1/recall/")) == ("POST", True)
    assert wrong not in repr(row)


def test_who_is_over_the_limit_leaves_a_row(tmp_path: Path, postgres_url: str) -> None:
    with audited(tmp_path, postgres_url, rate_limit_default=2) as api:
        statuses = [api.get("/v1/patterns").status for _ in range(4)]
        (row,) = awaited(lambda: nobodys(postgres_url), 1)
    assert statuses == [200, 200, 429, 429]
    assert (row.event, row.outcome, json.loads(row.facts)["limit"]) == ("rate_limit.refused", "refused", 2)


def test_a_key_that_names_a_project_it_may_not_leaves_a_row_with_its_tenant(
    tmp_path: Path, postgres_url: str
) -> None:
    with audited(tmp_path, postgres_url, role="editor") as api:
        assert api.get("/v1/patterns", **{"X-Project-Id": "other"}).status == 403
        (row,) = awaited(lambda: rows(postgres_url), 1)
    assert (row.event, row.project_id, row.actor is None) == ("auth.refused", "default", False)


def test_what_waits_is_written_when_the_service_ends(tmp_path: Path, postgres_url: str) -> None:
    with audited(tmp_path, postgres_url) as api:
        for _ in range(20):
            assert api.get("/v1/patterns", Authorization="Bearer nobody").status == 401
    assert len(nobodys(postgres_url)) == 20
