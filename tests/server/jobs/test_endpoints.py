"""Jobs over HTTP."""

from pathlib import Path
from typing import Any

from engramia.server.jobs import schemas
from engramia.testing import Said, ScriptedLLM
from tests.server.api import Api, service

LATER = {"prefer": "respond-async"}


def test_a_job_that_nobody_takes_is_cancelled_and_never_runs(tmp_path: Path) -> None:
    with service(tmp_path, job_worker=False) as api:
        first = api.post("/v1/aging", None, LATER).json()["job_id"]
        second = api.post("/v1/feedback/decay", None, LATER).json()["job_id"]
        assert api.post(f"/v1/jobs/{first}/cancel").json() == {"cancelled": True, "job_id": first}
        again = api.post(f"/v1/jobs/{first}/cancel")
        assert (again.status, again.json()["error"]) == (409, "job_not_cancellable")
        assert again.json()["status"] == "cancelled"
    with service(tmp_path, job_poll_interval=0.05) as api:
        assert api.finished(second)["status"] == "completed"
        job = schemas.JobBody.model_validate(api.get(f"/v1/jobs/{first}").json())
        assert (job.status, job.result, job.started_at) == ("cancelled", None, None)
        assert job.completed_at is not None


def test_jobs_are_listed_newest_first(tmp_path: Path) -> None:
    with service(tmp_path, job_worker=False) as api:
        ids = [api.post("/v1/aging", None, LATER).json()["job_id"] for _ in range(3)]
        page = schemas.JobList.model_validate_json(api.get("/v1/jobs?limit=2").body)
        assert [job.id for job in page.jobs] == [ids[2], ids[1]]
        assert (page.has_more, page.next_offset) == (True, 2)
        rest = api.get("/v1/jobs?limit=2&offset=2").json()
        assert ([job["id"] for job in rest["jobs"]], rest["has_more"]) == ([ids[0]], False)
        assert api.get("/v1/jobs?status=completed").json()["jobs"] == []
        for query in ("limit=0", "limit=101", "status=done"):
            assert api.get(f"/v1/jobs?{query}").status == 422, query


def test_jobs_of_another_project_do_not_exist(tmp_path: Path) -> None:
    with service(tmp_path, job_worker=False) as api:
        job_id = api.post("/v1/aging", None, LATER).json()["job_id"]
        other = Api(api.address, {"x-project-id": "other"})
        for method, path in (("GET", "/v1/jobs/{}"), ("POST", "/v1/jobs/{}/cancel")):
            theirs = other.call(method, path.format(job_id))
            nobodys = other.call(method, path.format("job_" + "0" * 26))
            assert theirs.status == 404
            assert theirs.body == nobodys.body


def test_a_failed_job_tells_a_code_and_a_sentence(tmp_path: Path) -> None:
    body: Any = {"task": "Add", "code": "x", "num_evals": 1}
    with service(tmp_path, llm=ScriptedLLM(lambda _: Said("no json"))) as api:
        job = api.finished(api.post("/v1/evaluate", body, LATER).json()["job_id"])
    assert (job["status"], job["result"]) == ("failed", None)
    assert job["error"]["code"] == "bad_provider_output"
    assert job["error"]["detail"].endswith(".")
