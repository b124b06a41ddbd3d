"""Work done later: submitted with the header that asks for it, polled, waited for, cancelled."""

from collections.abc import Callable
from typing import Any

import pytest

from engramia import errors
from engramia.sdk.webhook import (
    EngramiaHTTPError,
    EngramiaJobError,
    EngramiaTimeoutError,
    EngramiaWebhook,
    Job,
)
from tests.sdk.api_server import ApiServer, Reply, answer, refusal

ACCEPTED = answer({"job_id": "job_1", "status": "pending"}, 202)


def state(status: str, result: Any = None, error: Any = None) -> Reply:
    return answer({"id": "job_1", "operation": "aging", "status": status, "result": result, "error": error})


LATER: list[tuple[Callable[[EngramiaWebhook], Job[Any]], str, dict[str, Any], Any]] = [
    (lambda c: c.background.evaluate("t", "c"), "/v1/evaluate", {"median_score": 7.0}, {"median_score": 7.0}),
    (lambda c: c.background.compose("t"), "/v1/compose", {"stages": []}, {"stages": []}),
    (lambda c: c.background.evolve_prompt("r", "p"), "/v1/evolve", {"accepted": True}, {"accepted": True}),
    (lambda c: c.background.run_aging(), "/v1/aging", {"pruned": 4}, 4),
    (lambda c: c.background.run_feedback_decay(), "/v1/feedback/decay", {"pruned": 2}, 2),
    (lambda c: c.background.import_data([]), "/v1/import", {"imported": 0}, {"imported": 0}),
]


@pytest.mark.parametrize("case", range(len(LATER)))
def test_a_job_ends_in_what_the_call_returns(server: ApiServer, client: EngramiaWebhook, case: int) -> None:
    submit, path, result, returned = LATER[case]
    server.then(ACCEPTED, state("pending"), state("running"), state("completed", result))
    job = submit(client)
    assert job.id == "job_1"
    assert repr(job) == "Job('job_1')"
    assert job.wait() == returned
    assert (server.asked[0].path, server.asked[0].headers["prefer"]) == (path, "respond-async")
    assert [asked.path for asked in server.asked[1:]] == ["/v1/jobs/job_1"] * 3


@pytest.mark.parametrize("status", ["failed", "cancelled", "expired"])
def test_a_job_without_a_result_says_why(server: ApiServer, client: EngramiaWebhook, status: str) -> None:
    error = {"code": "bad_provider_output", "detail": "Too few judges."} if status == "failed" else None
    server.usual = state(status, error=error)
    with pytest.raises(EngramiaJobError) as caught:
        client.wait_for_job("job_1")
    assert caught.value.status == caught.value.job["status"] == status
    assert caught.value.code == ("bad_provider_output" if error else f"job_{status}")
    assert ("Too few judges." in str(caught.value)) == (status == "failed")


def test_a_job_is_waited_for_so_long_and_can_be_again(server: ApiServer, client: EngramiaWebhook) -> None:
    server.usual = state("running")
    with pytest.raises(EngramiaTimeoutError, match=r"still running after 0\.05 s"):
        client.wait_for_job("job_1", timeout=0.05)
    server.usual = state("completed", {"pruned": 1})
    assert client.wait_for_job("job_1")["result"] == {"pruned": 1}


def test_a_job_is_looked_at_and_cancelled(server: ApiServer, client: EngramiaWebhook) -> None:
    server.then(ACCEPTED, state("pending"), answer({"cancelled": True, "job_id": "job_1"}))
    job = client.background.run_aging()
    assert job.state()["status"] == "pending"
    job.cancel()
    assert (server.asked[-1].method, server.asked[-1].path) == ("POST", "/v1/jobs/job_1/cancel")
    server.then(refusal(409, "job_not_cancellable", now="running"))
    with pytest.raises(errors.ConflictError) as caught:
        job.cancel()
    assert caught.value.code == "job_not_cancellable"


def test_what_would_fail_is_refused_before_it_is_a_job(server: ApiServer, client: EngramiaWebhook) -> None:
    server.then(refusal(501, "provider_not_configured"))
    with pytest.raises(errors.ProviderError):
        client.background.evaluate("t", "c")


@pytest.mark.parametrize("reply", [answer({"pruned": 1}), answer({"jobs": 1})])
def test_an_answer_that_is_no_job_is_told(server: ApiServer, client: EngramiaWebhook, reply: Reply) -> None:
    server.then(reply, reply)
    with pytest.raises(EngramiaHTTPError, match="unexpected_answer"):
        client.background.run_aging()
    with pytest.raises(EngramiaHTTPError, match="unexpected_answer"):
        client.get_job("job_1")
