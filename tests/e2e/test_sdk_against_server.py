"""The client and the real service: what a playing server cannot show."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engramia import errors
from engramia.sdk.webhook import EngramiaJobError, EngramiaWebhook
from engramia.testing import HashEmbeddings
from tests.e2e import served

pytestmark = pytest.mark.slow

EMBEDDINGS = HashEmbeddings()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[EngramiaWebhook]:
    """Serve without a worker: jobs are accepted and wait."""
    wanted = served.keyed(tmp_path, job_worker=False)
    with served.serving(wanted, embeddings=EMBEDDINGS) as url, EngramiaWebhook(url, served.KEY) as made:
        yield made


def test_a_client_outlives_its_server(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with EngramiaWebhook(f"http://127.0.0.1:{port}", served.KEY, backoff=0.05) as client:
        for count in range(1, 4):
            with served.serving(served.keyed(tmp_path), embeddings=EMBEDDINGS, port=port):
                learned = client.learn(f"task number {count}", "x = 1", 5.0)
                assert (learned["stored"], learned["pattern_count"]) == (True, count)


def test_threads_learn_and_recall_through_one_client(client: EngramiaWebhook) -> None:
    def work(number: int) -> str:
        word = f"word{number}"
        client.learn(f"{word} {word} {word}", f"print({number})", 7.0)
        return client.recall(f"{word} {word} {word}", 1)[0]["pattern"]["code"]

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, range(80))) == [f"print({number})" for number in range(80)]
    assert client.metrics()["runs"] == 80
    assert {pattern["source"] for pattern in client.iter_patterns()} == {"sdk"}


def test_pages_join(client: EngramiaWebhook) -> None:
    for number in range(5):
        client.learn(f"job{number} thing{number}", "x", 5.0)
    page = client.list_patterns(limit=2)
    assert (len(page), page.has_more, page.next_offset) == (2, True, 2)
    keys = [pattern["pattern_key"] for pattern in client.iter_patterns()]
    assert len(set(keys)) == 5
    assert keys[:2] == [pattern["pattern_key"] for pattern in page]


def test_a_pattern_is_judged_tagged_found_and_deleted(client: EngramiaWebhook) -> None:
    key = client.learn("draw a chart", "plot()", 6.0)["pattern_key"]
    assert client.refine_pattern(key, 9.0, "nice")["observations"][-1]["score"] == 9.0
    assert client.register_skills(key, [" Charts ", "charts"]) == ["charts"]
    assert [match["pattern_key"] for match in client.find_by_skills(["charts"])] == [key]
    assert client.get_pattern(key)["skills"] == ["charts"]
    assert client.recall("draw a chart", explain=True)[0]["explanation"]
    client.delete_pattern(key)
    with pytest.raises(errors.NotFoundError):
        client.delete_pattern(key)


def test_a_waiting_job_is_cancelled_once(client: EngramiaWebhook) -> None:
    job = client.background.compose("build a site")
    assert job.state()["status"] == "pending"
    job.cancel()
    with pytest.raises(EngramiaJobError, match="cancelled"):
        job.wait(5)
    with pytest.raises(errors.ConflictError) as caught:
        client.cancel_job(job.id)
    assert caught.value.code == "job_not_cancellable"
    assert [each["id"] for each in client.list_jobs("cancelled")] == [job.id]
    with pytest.raises(errors.NotFoundError):
        client.get_job("job_none")


def test_what_an_export_holds_comes_back(client: EngramiaWebhook) -> None:
    for number in range(3):
        client.learn(f"job{number} thing{number}", "x", 5.0)
    records = client.export()
    for pattern in client.list_patterns():
        client.delete_pattern(pattern["pattern_key"])
    assert client.import_data(records)["imported"] == 3
    assert client.export() == records


def test_a_body_beyond_the_limit_is_refused(client: EngramiaWebhook) -> None:
    with pytest.raises(errors.BadRequestError) as caught:
        client.learn("t", "x" * 1_100_000, 1.0)
    assert caught.value.code == "payload_too_large"
    with pytest.raises(errors.ValidationError) as wrong:
        client.learn("t", "x", 11.0)
    assert wrong.value.field == "eval_score"


def test_a_limit_is_told_with_the_time_to_wait(tmp_path: Path) -> None:
    wanted = served.keyed(tmp_path, rate_limit_default=2)
    with (
        served.serving(wanted, embeddings=EMBEDDINGS) as url,
        EngramiaWebhook(url, served.KEY, timeout=5) as client,
    ):
        for _ in range(2):
            client.metrics()
        with pytest.raises(errors.RateLimitedError) as caught:
            client.metrics()
        assert 5 < caught.value.retry_after <= 60, "too long to wait for"
        assert client.health()["status"] == "ok"


def test_another_project_is_another_memory(client: EngramiaWebhook) -> None:
    client.learn("draw a chart", "plot()", 6.0)
    with EngramiaWebhook(client._url, served.KEY, project_id="other") as other:
        assert other.metrics()["pattern_count"] == 0
        assert other.recall("draw a chart") == []


def test_without_a_model_judging_is_not_set_up(tmp_path: Path) -> None:
    wanted = served.keyed(tmp_path)
    with (
        served.serving(wanted, embeddings=EMBEDDINGS, llm=None) as url,
        EngramiaWebhook(url, served.KEY) as client,
    ):
        for ask in (client.evaluate, client.background.evaluate):
            with pytest.raises(errors.ProviderError) as caught:
                ask("t", "c")
            assert caught.value.code == "provider_not_configured"
