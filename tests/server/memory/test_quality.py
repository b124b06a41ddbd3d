"""Evaluate, compose, evolve, feedback, upkeep and transfer, over HTTP and as jobs."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engramia.core.llm import Question
from engramia.errors import ProviderTimeoutError, ProviderUnreachableError
from engramia.server.memory import schemas
from engramia.testing import Said, ScriptedLLM
from tests.server.api import Api, service

PROMPT = "You write Python. Keep functions short and name things by what they are."
LATER = {"prefer": "respond-async; wait=5"}
WORK = {"task": "Add two numbers", "code": "def add(a, b):\n    return a + b", "num_evals": 3}


def judged(overall: float = 8.0, feedback: str = "No handling of text.") -> dict[str, Any]:
    scores = dict.fromkeys(("task_alignment", "code_quality", "workspace_usage", "robustness"), overall)
    return {**scores, "overall": overall, "feedback": feedback}


def answered(question: Question) -> Any:
    """Answer as a sensible model would."""
    if question.name == "judgement":
        return judged()
    if question.name == "plan":
        stages = [
            {"name": "fetch", "task": "Fetch prices", "reads": [], "writes": ["prices"]},
            {"name": "report", "task": "Write a report", "reads": ["prices"], "writes": ["report"]},
        ]
        return {"stages": stages, "initial_inputs": []}
    return {
        "improved_prompt": f"{PROMPT} Handle text that is no number.",
        "changes": ["Asks for text to be handled"],
        "issues_addressed": ["No handling of text."],
    }


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A service with a language model that always answers."""
    with service(tmp_path_factory.mktemp("served"), llm=ScriptedLLM(answered)) as running:
        yield running


def later(api: Api, path: str, body: Any) -> Any:
    """Ask for a job, and return it once it has finished."""
    accepted = api.post(path, body, LATER)
    assert accepted.status == 202, accepted.body
    job_id = accepted.json()["job_id"]
    assert accepted.json() == {"job_id": job_id, "status": "pending"}
    assert (accepted["Location"], accepted["Preference-Applied"]) == (f"/v1/jobs/{job_id}", "respond-async")
    return api.finished(job_id)


def test_evaluate_now_and_as_a_job_answers_the_same(api: Api) -> None:
    now = api.post("/v1/evaluate", WORK)
    answer = schemas.EvaluateAnswer.model_validate_json(now.body)
    assert (answer.median_score, answer.variance, len(answer.scores)) == (8.0, 0.0, 3)
    job = later(api, "/v1/evaluate", WORK)
    assert (job["status"], job["result"], job["error"], job["attempts"]) == ("completed", now.json(), None, 1)


def test_hard_coded_output_is_seen_before_redaction(tmp_path: Path) -> None:
    output = "Total for anna.berg@example.org: 1234.56 EUR"
    work = {"task": "Print the invoice total", "code": f"print({output!r})", "output": output, "num_evals": 1}
    with service(tmp_path, llm=ScriptedLLM(answered)) as api:
        assert api.post("/v1/evaluate", work).json()["adversarial_detected"]
        assert later(api, "/v1/evaluate", work)["result"]["adversarial_detected"]


def test_an_evaluation_is_recorded_for_its_pattern_once(api: Api) -> None:
    key = api.learn("Add two numbers", 5)
    later(api, "/v1/evaluate", {**WORK, "pattern_key": key})
    observations = api.get(f"/v1/patterns/{key}").json()["observations"]
    assert [seen["score"] for seen in observations] == [5, 8]
    unknown = api.post("/v1/evaluate", {**WORK, "pattern_key": "patterns/" + "0" * 26}, LATER)
    assert (unknown.status, unknown.json()["error"]) == (404, "not_found")


def test_compose_and_evolve_now_and_later(api: Api) -> None:
    composed = api.post("/v1/compose", {"task": "Report on prices"}).json()
    schemas.ComposeAnswer.model_validate(composed)
    assert [stage["name"] for stage in composed["stages"]] == ["fetch", "report"]
    assert later(api, "/v1/compose", {"task": "Report on prices"})["result"] == composed

    prompt = {"role": "coder", "current_prompt": PROMPT}
    assert api.post("/v1/evolve", prompt).json()["reason"] == "no_issues"
    for _ in range(2):
        api.post("/v1/evaluate", WORK)
    evolved = api.post("/v1/evolve", prompt).json()
    assert evolved["accepted"], evolved["reason"]
    assert later(api, "/v1/evolve", prompt)["result"] == evolved


def test_feedback_and_failures(api: Api) -> None:
    for _ in range(2):
        api.post("/v1/evaluate", {**WORK, "num_evals": 1})
    feedback = schemas.FeedbackList.model_validate_json(api.get("/v1/feedback").body)
    assert [(issue.text, issue.count) for issue in feedback.feedback] == [("No handling of text.", 2)]
    assert api.get("/v1/feedback?task_type=csv").json()["feedback"] == []
    assert api.get("/v1/feedback?limit=0").status == 422
    clusters = api.post("/v1/analyze-failures", {"min_count": 2}).json()["clusters"]
    assert [(cluster["total_count"], cluster["avg_score"]) for cluster in clusters] == [(2, 8.0)]
    assert api.post("/v1/analyze-failures", {"min_count": 0}).status == 422


@pytest.mark.parametrize("path", ["/v1/aging", "/v1/feedback/decay"])
def test_upkeep_now_and_later(api: Api, path: str) -> None:
    api.learn("Add two numbers")
    assert api.post(path).json() == {"pruned": 0}
    assert api.post(path, {}).json() == {"pruned": 0}
    assert later(api, path, None)["result"] == {"pruned": 0}


def test_metrics(api: Api) -> None:
    assert api.get("/v1/metrics").json()["avg_eval_score"] is None
    api.learn("Add two numbers", 9)
    api.post("/v1/recall", {"task": "Add two numbers"})
    expected = {"runs": 1, "success_rate": 1.0, "avg_eval_score": 9.0, "pattern_count": 1, "reuse_rate": 1.0}
    assert api.get("/v1/metrics").json() == expected


def test_export_into_another_project_and_back(api: Api) -> None:
    assert api.get("/v1/export").json() == {"records": [], "count": 0}
    for number in range(130):  # more than two chunks
        api.learn(f"Summarise chapter {number} of book {number * 7}", number % 10)
    exported = api.get("/v1/export").json()
    assert exported["count"] == len(exported["records"]) == 130
    other = Api(api.address, {"x-project-id": "other"})
    records = [*exported["records"], {"key": "patterns/x"}, 5]
    imported = other.post("/v1/import", {"records": records}).json()
    assert (imported["imported"], imported["skipped"], imported["total"]) == (130, 2, 132)
    assert [reason["index"] for reason in imported["reasons"]] == [130, 131]
    assert other.get("/v1/export").json() == exported
    again = later(other, "/v1/import", {"records": exported["records"]})
    assert (again["result"]["imported"], again["result"]["skipped"]) == (0, 130)
    assert api.get("/v1/metrics").json()["pattern_count"] == 130


def test_too_many_records(api: Api) -> None:
    answer = api.post("/v1/import", {"records": [None] * 10_001})
    assert (answer.status, answer.json()["error"]) == (422, "validation_error")


def test_without_a_model_nothing_is_accepted(tmp_path: Path) -> None:
    with service(tmp_path) as api:
        for headers in ({}, LATER):
            for path, body in (
                ("/v1/evaluate", WORK),
                ("/v1/compose", {"task": "x"}),
                ("/v1/evolve", {"role": "coder", "current_prompt": "x"}),
            ):
                answer = api.post(path, body, headers)
                assert (answer.status, answer.json()["error"]) == (501, "provider_not_configured")
        assert api.get("/v1/jobs").json()["jobs"] == []


@pytest.mark.parametrize(
    "body", [{}, {**WORK, "num_evals": 11}, {**WORK, "task": " "}, {**WORK, "pattern_key": "x"}]
)
def test_what_is_not_valid_becomes_no_job(api: Api, body: Any) -> None:
    assert api.post("/v1/evaluate", body, LATER).status == 422
    assert api.get("/v1/jobs").json()["jobs"] == []


def test_operations_that_are_quick_take_no_notice_of_prefer(api: Api) -> None:
    assert api.post("/v1/recall", {"task": "x"}, LATER).status == 200


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [
        (Said("no json"), 502, "bad_provider_output"),
        (ProviderTimeoutError("OpenAI did not answer in 30 s."), 504, "upstream_timeout"),
        (ProviderUnreachableError("Connection refused."), 503, "unavailable"),
    ],
)
def test_a_failing_model_is_no_failure_of_ours(tmp_path: Path, outcome: Any, status: int, code: str) -> None:
    with service(tmp_path, llm=ScriptedLLM(lambda _: outcome)) as api:
        answer = api.post("/v1/evaluate", WORK)
        assert (answer.status, answer.json()["error"]) == (status, code)
        assert ("Retry-After" in answer) == (status == 503)
        assert api.post("/v1/analyze-failures", {}).json()["clusters"] == []


def test_recall_goes_on_while_every_model_call_hangs(tmp_path: Path) -> None:
    go = threading.Event()
    with service(tmp_path, llm=ScriptedLLM(answered, sleep=lambda: go.wait(30))) as api:
        api.learn("Add two numbers")
        callers = [
            threading.Thread(target=api.post, args=("/v1/compose", {"task": f"Plan {number}"}))
            for number in range(12)
        ]
        for caller in callers:
            caller.start()
        try:
            assert api.post("/v1/recall", {"task": "Add two numbers"}).status == 200
        finally:
            go.set()
            for caller in callers:
                caller.join()
