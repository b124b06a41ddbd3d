"""What an operator sees of a running service: metrics, traces, logs."""

import io
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engramia.core.redaction import Redactor
from engramia.telemetry.logging import configure
from engramia.testing import ScriptedLLM
from tests.server.api import Api, service
from tests.telemetry.collecting import collecting

pytestmark = pytest.mark.slow

DOCUMENTED = {
    "engramia_pattern_count",
    "engramia_avg_eval_score",
    "engramia_total_runs",
    "engramia_success_rate",
    "engramia_reuse_rate",
    "engramia_requests_total",
    "engramia_request_duration_seconds",
    "engramia_llm_call_duration_seconds",
    "engramia_embedding_duration_seconds",
    "engramia_storage_op_duration_seconds",
    "engramia_recall_hits_total",
    "engramia_recall_misses_total",
    "engramia_jobs_submitted_total",
    "engramia_jobs_completed_total",
}
TASK = "Sort the invoices of Anna Berg by due date"


def busy(api: Api) -> None:
    """Do one of everything that is counted."""
    api.learn(TASK, 9)
    api.post("/v1/recall", {"task": TASK})
    api.post("/v1/recall", {"task": TASK, "offset": 1})
    api.post("/v1/recall", {"task": "zzz qqq"})
    api.post("/v1/compose", {"task": TASK})
    job = api.post("/v1/aging", None, {"prefer": "respond-async"}).json()["job_id"]
    api.finished(job)
    api.get("/nowhere/at/all")


def value(text: str, series: str) -> float:
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    assert found, series
    return float(found.group(1))


def test_the_metrics_that_the_guide_names(tmp_path: Path) -> None:
    with service(tmp_path, llm=ScriptedLLM(lambda _: {}), metrics=True) as api:
        busy(api)
        text = api.get("/metrics").body.decode()
    named = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
    assert named == DOCUMENTED
    assert value(text, "engramia_pattern_count") == 1
    assert value(text, "engramia_total_runs") == 1
    assert value(text, "engramia_avg_eval_score") == 9
    assert value(text, "engramia_recall_hits_total") == 1
    assert value(text, "engramia_recall_misses_total") == 1
    assert value(text, 'engramia_jobs_submitted_total{operation="aging"}') == 1
    assert value(text, 'engramia_jobs_completed_total{operation="aging",status="completed"}') == 1
    learned = '{method="POST",path="/v1/learn",status_code="200"}'
    assert value(text, f"engramia_requests_total{learned}") == 1
    assert 'path="unmatched",status_code="404"' in text
    assert 'path="/v1/jobs/{job_id}"' in text
    assert "Anna" not in text


def test_metrics_are_off_unless_asked_for_and_may_ask_for_a_token(tmp_path: Path) -> None:
    with service(tmp_path) as api:
        assert api.get("/metrics").status == 404
    expected = "of-the-scraper-alone"
    with service(tmp_path, metrics=True, metrics_token=expected) as api:
        refused = api.get("/metrics")
        assert (refused.status, refused.json()["error"]) == (401, "unauthorized")
        assert api.get("/metrics", authorization=f"Bearer {expected}").status == 200


def test_traces_reach_the_collector_and_tell_no_text(tmp_path: Path) -> None:
    with collecting() as collected:
        asked: dict[str, Any] = {"telemetry": True, "otel_endpoint": collected.endpoint}
        with service(tmp_path, llm=ScriptedLLM(lambda _: {}), **asked) as api:
            busy(api)
        names = {span.name for span in collected.spans}
        assert {"engramia.learn", "engramia.recall", "engramia.aging"} <= names
        assert any("/v1/learn" in name for name in names)
        assert "Anna" not in str(collected.spans)


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """Collect what is logged as JSON; put the log back as it was."""
    root, stream = logging.getLogger(), io.StringIO()
    before, level = list(root.handlers), root.level
    try:
        configure("INFO", json=True, redactor=Redactor(), stream=stream)
        yield stream
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        logging.captureWarnings(capture=False)


@pytest.mark.parametrize("given", ["a-request-of-mine", None])
def test_every_line_of_a_request_names_it(tmp_path: Path, given: str | None) -> None:
    with logged() as stream, service(tmp_path, api_keys=("a-key-of-twenty-chars",)) as api:
        headers = {} if given is None else {"x-request-id": given}
        refused = api.get("/v1/metrics", **headers)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    (audit,) = (line for line in lines if line["message"].startswith("AUDIT"))
    assert audit["request_id"] == refused["X-Request-ID"]
    assert given is None or audit["request_id"] == given
    assert audit["level"] == "WARNING"


def test_lines_of_the_work_itself_name_the_project_too(tmp_path: Path) -> None:
    with logged() as stream, service(tmp_path, llm=ScriptedLLM(lambda _: {})) as api:
        api.post("/v1/compose", {"task": TASK}, {"x-project-id": "billing"})
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    (left,) = (line for line in lines if "left whole" in line["message"])
    assert (left["tenant_id"], left["project_id"]) == ("default", "billing")
    assert left["request_id"]
