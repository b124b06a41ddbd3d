"""GET /metrics: whether there is anything, who may read it, and that it tells of the store."""

from pathlib import Path
from typing import Any

import pytest

from engramia.core.model import Scope
from engramia.providers.json.storage import JSONStorage
from engramia.server.ops.totals import totals_of
from engramia.telemetry.metrics import Metrics
from engramia.testing import FrozenClock, HashEmbeddings
from tests.server.ops.ops_app import running

TOKEN = "scrape-me"  # noqa: S105 - opens nothing but the server of a test
pytestmark = pytest.mark.slow  # real sockets

RUN: Any = {"task": "Sort a list of numbers", "code": "sorted(x)", "eval_score": 8}


def test_without_metrics_there_is_nothing(tmp_path: Path) -> None:
    with running(tmp_path, metrics_token=TOKEN) as service:
        answer = service.get("/metrics")
        missing = service.get("/metrics/there-is-no-such-thing")
    assert (answer.status, answer.body) == (404, missing.body)
    assert answer.json()["error"] == "not_found"


def test_without_a_token_they_are_open(tmp_path: Path) -> None:
    metrics = Metrics()
    metrics.recalled(2)
    with running(tmp_path, metrics=metrics) as service:
        answer = service.anonymous().get("/metrics")
    assert answer.status == 200
    assert answer["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "engramia_recall_hits_total 1.0" in answer.body.decode()


def test_openmetrics_for_who_prefers_it(tmp_path: Path) -> None:
    with running(tmp_path, metrics=Metrics()) as service:
        answer = service.get("/metrics", Accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.1")
    assert answer["Content-Type"].startswith("application/openmetrics-text")
    assert answer.body.endswith(b"# EOF\n")


def test_with_a_token_nothing_but_the_token_opens_them(tmp_path: Path) -> None:
    with running(tmp_path, metrics=Metrics(), metrics_token=TOKEN) as service:
        nobody = service.anonymous()
        assert nobody.get("/metrics", Authorization=f"Bearer {TOKEN}").status == 200
        assert nobody.get("/metrics", Authorization=f"bearer  {TOKEN}").status == 200
        wrong = (None, "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN)
        for value in wrong:
            answer = nobody.get("/metrics", **({} if value is None else {"Authorization": value}))
            assert (answer.status, answer.json()["error"]) == (401, "unauthorized"), value
            assert answer["WWW-Authenticate"] == "Bearer"
        assert service.get("/metrics").status == 401  # a key of the API is no token


def test_the_gauges_tell_of_all_scopes(tmp_path: Path) -> None:
    metrics, clock = Metrics(), FrozenClock()
    storage = JSONStorage(tmp_path)
    metrics.tell_totals(totals_of(storage, clock))
    with running(tmp_path, metrics=metrics, embeddings=HashEmbeddings()) as service:
        assert "engramia_success_rate" not in service.get("/metrics").body.decode()
    metrics = Metrics()
    metrics.tell_totals(totals_of(storage, clock))
    with running(tmp_path, metrics=metrics, embeddings=HashEmbeddings()) as service:
        service.memory.learn(**RUN)
        other = service.memory_of(Scope("other", "project"))
        other.learn(**RUN)
        other.learn(task="Draw a circle", code="circle()", eval_score=2)
        service.memory.refine_pattern(next(iter(service.memory.list_patterns())).key, 9.0)
        service.memory.recall("Sort a list of numbers")
        service.memory.recall("Bake bread")
        text = service.get("/metrics").body.decode()
    storage.close()
    assert "engramia_pattern_count 3.0" in text
    assert "engramia_total_runs 3.0" in text
    assert "engramia_success_rate 0.6666" in text
    assert "engramia_reuse_rate 0.5" in text
    assert "engramia_avg_eval_score 6." in text
