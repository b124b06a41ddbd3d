"""Health and version: what they say, when things go wrong, and what they never say."""

import resource
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import SecretStr

from engramia.api.app import create_app
from engramia.core.llm import UnconfiguredLLM
from engramia.core.model import Scope
from engramia.errors import (
    ProviderError,
    ProviderRefusedError,
    ProviderUnreachableError,
)
from engramia.providers.json.journal import JOURNAL
from engramia.providers.json.names import folder_name
from engramia.providers.wrappers import Pooled
from engramia.server.ops.health import Pace
from engramia.server.ops.service import Build
from engramia.server.ops.writing import writes_into
from engramia.settings import Settings
from engramia.testing import HashEmbeddings, ScriptedLLM
from tests.providers.llm_server import llm_server
from tests.providers.openai_server import raw
from tests.server.ops.ops_app import running
from tests.server.serving import ask, serving

pytestmark = pytest.mark.slow  # real sockets

ONCE = Pace(deadline=5.0, kept=60.0)
RUN: Any = {"task": "Sort a list of numbers", "code": "sorted(x)", "eval_score": 8}
EVER_ANEW = Pace(deadline=5.0, kept=0.0)
IMPATIENT = Pace(deadline=0.05, kept=60.0)


class ProbedLLM(ScriptedLLM):
    """A language model that can be probed, and counts how often it was."""

    def __init__(self, failure: ProviderError | None = None, *, knows: bool = True) -> None:
        super().__init__([])
        self.failure = failure
        self.knows = knows
        self.probes = 0
        self.held = threading.Event()
        self.held.set()

    def probe(self) -> bool:
        self.probes += 1
        assert self.held.wait(20)
        if self.failure is not None:
            raise self.failure
        return self.knows


class MoodyEmbeddings(HashEmbeddings):
    """Embeddings that fail while they are told to."""

    def __init__(self) -> None:
        super().__init__()
        self.failure: Exception | None = None
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts += texts
        if self.failure is not None:
            raise self.failure
        return super().embed(texts)


def waits(point: threading.Barrier | threading.Event) -> None:
    point.wait(20)


@contextmanager
def full_disk() -> Iterator[None]:
    """Let this process write no file longer than nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_health_counts_the_patterns_of_the_callers_project(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        service.memory.learn(**RUN)
        answer = service.get("/v1/health")
    assert answer.status == 200
    assert answer.json() == {"status": "ok", "storage": "json", "pattern_count": 1, "version": "1.2.3"}


def test_health_asks_for_a_key_and_live_and_version_do_not(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        nobody = service.anonymous()
        assert nobody.get("/v1/health").status == 401
        assert nobody.get("/v1/health/deep").status == 401
        assert nobody.get("/v1/health/live").json() == {"status": "ok"}
        assert nobody.get("/v1/version").status == 200


def test_version_says_what_the_build_said(tmp_path: Path) -> None:
    with running(tmp_path, build=Build("2.0.0", "0123abcd", "2026-11-01T00:00:00Z")) as service:
        assert service.get("/v1/version").json() == {
            "app_version": "2.0.0",
            "api_version": "v1",
            "git_commit": "0123abcd",
            "build_time": "2026-11-01T00:00:00Z",
        }
    with running(tmp_path) as service:
        document = service.get("/v1/version").json()
    assert (document["git_commit"], document["build_time"]) == (None, None)


def test_live_answers_while_every_thread_is_taken(tmp_path: Path) -> None:
    llm = ProbedLLM()
    llm.held.clear()
    served = running(tmp_path, llm=llm, embeddings=HashEmbeddings())
    with served as service, ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(service.deep) for _ in range(4)]
        assert service.get("/v1/health/live").status == 200
        llm.held.set()
        assert {each.result()["status"] for each in waiting} == {"ok"}
    assert llm.probes == 1


def test_deep_health_when_all_is_well(tmp_path: Path) -> None:
    with running(tmp_path, embeddings=HashEmbeddings(), llm=ProbedLLM()) as service:
        answer = service.get("/v1/health/deep")
    document = answer.json()
    assert (answer.status, document["status"], document["version"]) == (200, "ok", "1.2.3")
    assert document["uptime_seconds"] >= 0
    assert {name: check["status"] for name, check in document["checks"].items()} == {
        "storage": "ok",
        "llm": "ok",
        "embedding": "ok",
    }
    for check in document["checks"].values():
        assert check["latency_ms"] >= 0
        assert not {"error", "detail"} & check.keys()
    embedding = document["checks"]["embedding"]
    assert embedding["model"] == "hash-256"
    assert embedding["thresholds"]["duplicate"] == 0.92
    assert embedding["thresholds"]["adapt"] == 0.70
    assert embedding["thresholds"]["min_similarity"] == 0.20


def test_a_language_model_that_nobody_set_up_is_no_fault(tmp_path: Path) -> None:
    with running(tmp_path, embeddings=HashEmbeddings()) as service:
        document = service.deep()
    assert document["status"] == "ok"
    assert document["checks"]["llm"] == {"status": "not_configured", "latency_ms": None, "model": None}


def test_one_that_was_named_and_cannot_be_made_is_a_fault(tmp_path: Path) -> None:
    llm = UnconfiguredLLM("OpenAI's models need an API key (OPENAI_API_KEY).")
    with running(tmp_path, embeddings=HashEmbeddings(), llm=llm) as service:
        document = service.deep()
    assert document["status"] == "degraded"
    assert document["checks"]["llm"]["error"] == "provider_not_configured"


@pytest.mark.parametrize("llm", [ScriptedLLM([]), Pooled(ScriptedLLM([])), ProbedLLM(knows=False)])
def test_one_that_cannot_be_asked_for_free_is_not_asked(tmp_path: Path, llm: ScriptedLLM) -> None:
    with running(tmp_path, embeddings=HashEmbeddings(), llm=llm) as service:
        document = service.deep()
    assert document["status"] == "ok"
    assert document["checks"]["llm"]["status"] == "unknown"


def test_a_failing_language_model_degrades_and_keeps_the_vendors_words_to_itself(tmp_path: Path) -> None:
    told = "OpenAI answered 401 for key sk-live-51aa at /etc/secrets/openai"
    llm = Pooled(ProbedLLM(ProviderRefusedError(told)))
    with running(tmp_path, embeddings=HashEmbeddings(), llm=llm) as service:
        answer = service.get("/v1/health/deep")
    document = answer.json()
    assert (answer.status, document["status"]) == (200, "degraded")
    assert document["checks"]["llm"]["error"] == "provider_refused"
    assert document["checks"]["storage"]["status"] == "ok"
    for secret in ("401", "sk-live", "/etc"):
        assert secret not in answer.body.decode()


def test_failing_embeddings_degrade(tmp_path: Path) -> None:
    embeddings = MoodyEmbeddings()
    embeddings.failure = ProviderUnreachableError("no route to 10.1.2.3")
    with running(tmp_path, embeddings=embeddings) as service:
        answer = service.get("/v1/health/deep")
    assert answer.json()["status"] == "degraded"
    assert answer.json()["checks"]["embedding"]["error"] == "unavailable"
    assert "10.1.2.3" not in answer.body.decode()


def test_an_error_that_nobody_foresaw_is_a_fault_and_no_500(tmp_path: Path) -> None:
    embeddings = MoodyEmbeddings()
    embeddings.failure = RuntimeError("/opt/models/secret.bin")
    with running(tmp_path, embeddings=embeddings) as service:
        answer = service.get("/v1/health/deep")
    assert (answer.status, answer.json()["status"]) == (200, "degraded")
    assert "/opt" not in answer.body.decode()


def test_words_alone_is_degraded(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        document = service.deep()
    check = document["checks"]["embedding"]
    assert (document["status"], check["status"], check["model"]) == ("degraded", "degraded", None)
    assert check["thresholds"]["min_similarity"] is None


def test_words_alone_for_a_while_is_degraded_though_the_model_is_back(tmp_path: Path) -> None:
    embeddings = MoodyEmbeddings()
    with running(tmp_path, embeddings=embeddings, pace=EVER_ANEW) as service:
        service.memory.learn(**RUN)
        embeddings.failure = ProviderUnreachableError("gone")
        assert service.memory.recall("Sort a list of numbers").degraded
        embeddings.failure = None
        document = service.deep()
    assert document["status"] == "degraded"
    assert document["checks"]["embedding"]["status"] == "degraded"


def test_models_are_not_asked_again_for_a_while_and_then_they_are(tmp_path: Path) -> None:
    llm, embeddings = ProbedLLM(), MoodyEmbeddings()
    with running(tmp_path, embeddings=embeddings, llm=llm, pace=ONCE) as service:
        for _ in range(5):
            service.deep()
        assert (llm.probes, len(embeddings.texts)) == (1, 1)
    with running(tmp_path, embeddings=embeddings, llm=llm, pace=EVER_ANEW) as service:
        for _ in range(3):
            service.deep()
        assert (llm.probes, len(embeddings.texts)) == (4, 4)


def test_a_model_that_does_not_answer_is_waited_for_once(tmp_path: Path) -> None:
    llm = ProbedLLM()
    llm.held.clear()
    with running(tmp_path, embeddings=HashEmbeddings(), llm=llm, pace=IMPATIENT) as service:
        threads = threading.active_count()
        first = service.deep()["checks"]["llm"]
        for _ in range(5):
            assert service.deep()["checks"]["llm"] == first
        assert llm.probes == 1
        assert threading.active_count() <= threads + 2  # the probe's, and maybe one of the storage's lane
        llm.held.set()
        assert (first["status"], first["error"]) == ("error", "upstream_timeout")


def test_the_probes_run_side_by_side(tmp_path: Path) -> None:
    met = threading.Barrier(2, timeout=10)

    class Meeting(MoodyEmbeddings):
        def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            met.wait()
            return super().embed(texts)

    with running(tmp_path, embeddings=Meeting(), check_writes=lambda: waits(met)) as service:
        assert service.deep()["status"] == "ok"


def test_a_folder_that_cannot_be_written_is_503_with_the_same_body(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    check = writes_into(blocked / "data")
    with running(tmp_path / "data", embeddings=HashEmbeddings(), check_writes=check) as service:
        answer = service.get("/v1/health/deep")
    document = answer.json()
    assert answer.status == 503
    assert (document["error"], document["status"], document["version"]) == ("storage_error", "error", "1.2.3")
    assert document["detail"]
    assert document["checks"]["storage"]["error"] == "storage_error"
    assert document["checks"]["embedding"]["status"] == "ok"
    assert str(tmp_path) not in answer.body.decode()


def test_a_full_disk_is_503(tmp_path: Path) -> None:
    with running(tmp_path, embeddings=HashEmbeddings(), pace=EVER_ANEW) as service:
        assert service.get("/v1/health/deep").status == 200
        with full_disk():
            answer = service.get("/v1/health/deep")
        assert (answer.status, answer.json()["error"]) == (503, "storage_full")
        assert service.get("/v1/health/deep").status == 200


def test_a_write_probe_leaves_nothing_behind(tmp_path: Path) -> None:
    writes_into(tmp_path / "made" / "by" / "it")()
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["made", "by", "it"]


def test_a_storage_that_hangs_is_503_in_time(tmp_path: Path) -> None:
    held = threading.Event()
    pace = Pace(deadline=0.2, kept=60.0)
    hanging = running(tmp_path, embeddings=HashEmbeddings(), check_writes=lambda: waits(held), pace=pace)
    with hanging as service:
        begun = time.monotonic()
        answer = service.get("/v1/health/deep")
        assert time.monotonic() - begun < 5
        held.set()
    assert (answer.status, answer.json()["error"]) == (503, "unavailable")
    assert int(answer["Retry-After"]) >= 1


def test_a_storage_that_cannot_be_read_is_503(tmp_path: Path) -> None:
    (tmp_path / folder_name(Scope()) / JOURNAL).mkdir(parents=True)
    with running(tmp_path, embeddings=HashEmbeddings()) as service:
        answer = service.get("/v1/health/deep")
        assert service.get("/v1/health").status == 503
    assert (answer.status, answer.json()["status"]) == (503, "error")
    assert str(tmp_path) not in answer.body.decode()


def test_a_store_of_another_embedding_model_is_503_for_its_project(tmp_path: Path) -> None:
    with running(tmp_path, embeddings=HashEmbeddings(64)) as service:
        service.memory.learn(**RUN)
    with running(tmp_path, embeddings=HashEmbeddings(128)) as service:
        answer = service.get("/v1/health/deep")
    assert (answer.status, answer.json()["error"]) == (503, "embedding_model_mismatch")
    assert "hash-64" not in answer.body.decode()


def test_the_whole_service_probes_its_vendors_through_their_sdks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with llm_server() as vendor:
        vendor.usual["/v1/models/gpt-4.1"] = raw(b'{"id": "gpt-4.1", "object": "model"}')
        settings = Settings(
            data_path=tmp_path,
            openai_api_key=SecretStr("sk-of-a-test"),
            openai_base_url=vendor.url,
            metrics=True,
        )
        with serving(create_app(settings), lifespan="on") as address:
            document = ask(address, "GET", "/v1/health/deep").json()
            vendor.then(raw(b"busy", 500), raw(b"busy", 500), raw(b"busy", 500), raw(b"busy", 500))
            again = ask(address, "GET", "/v1/health/deep").json()
    checks = document["checks"]
    assert (document["status"], checks["llm"]["status"], checks["llm"]["model"]) == ("ok", "ok", "gpt-4.1")
    assert checks["embedding"]["model"] == "openai/text-embedding-3-small"
    assert again["checks"]["llm"] == checks["llm"]
    assert [request.path for request in vendor.requests].count("/v1/models/gpt-4.1") == 1
    assert [request.path for request in vendor.requests].count("/v1/embeddings") == 1
