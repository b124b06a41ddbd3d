"""Imports as jobs over HTTP: what is seen of one that is under way, and what goes on beside it."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engramia.core.model import Scope
from engramia.providers.json.storage import JSONStorage
from engramia.server.jobs import schemas
from engramia.testing import HashEmbeddings
from tests.server.api import Api, service
from tests.server.audit.kept import audited, awaited, rows
from tests.server.jobs.imports import BATCH, COUNT, EXPECTED, records

LATER = {"prefer": "respond-async"}
SECOND_BATCH = f"task number {BATCH + 1}"
SOON = 10.0
FIRST = {"done": BATCH, "total": COUNT, "imported": BATCH - 1, "skipped": 1}


class Halting(HashEmbeddings):
    """Embeddings that do something before they embed the second batch."""

    def __init__(self, halt: Callable[[], object]) -> None:
        super().__init__()
        self._halt = halt

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if SECOND_BATCH in texts:
            self._halt()
        return super().embed(texts)


@contextmanager
def halfway(folder: Path) -> Iterator[tuple[Api, str, Callable[[], Any]]]:
    """Serve with an import that has done one batch; the last of the three lets it go on and gives its end."""
    reached, go = threading.Event(), threading.Event()

    def halt() -> None:
        reached.set()
        assert go.wait(SOON)

    with service(folder, embeddings=Halting(halt), job_poll_interval=600.0) as api:
        job_id = submit(api)
        assert reached.wait(SOON)

        def end() -> Any:
            go.set()
            return api.finished(job_id)

        yield api, job_id, end
        go.set()


def submit(api: Api) -> str:
    answer = api.post("/v1/import", {"records": records()}, LATER)
    assert answer.status == 202, answer.body
    return str(answer.json()["job_id"])


def test_an_import_says_how_far_it_is_until_it_is_completed(tmp_path: Path) -> None:
    with halfway(tmp_path) as (api, job_id, end):
        job = schemas.JobBody.model_validate(api.get(f"/v1/jobs/{job_id}").json())
        assert (job.status, job.progress, job.result) == ("running", FIRST, None)
        (listed,) = api.get("/v1/jobs").json()["jobs"]
        assert listed["progress"] == FIRST
        done = end()
    assert (done["status"], done["result"], done["attempts"]) == ("completed", EXPECTED, 1)
    assert "progress" not in done


def test_the_result_is_what_the_request_would_have_been_answered(tmp_path: Path) -> None:
    with service(tmp_path, job_poll_interval=0.05) as api:
        job = api.finished(submit(api))
        other = Api(api.address, {"x-project-id": "other"})
        assert job["result"] == other.post("/v1/import", {"records": records()}).json()


def test_others_store_and_recall_while_a_batch_is_being_embedded(tmp_path: Path) -> None:
    with halfway(tmp_path) as (api, _, end):
        key = api.learn("Sort invoices by due date")
        found = api.post("/v1/recall", {"task": "task number 5"}).json()["matches"]
        assert found[0]["pattern"]["task"] == "task number 5", "what is in is there"
        assert end()["result"] == EXPECTED
        assert api.get(f"/v1/patterns/{key}").status == 200
        assert api.get("/v1/metrics").json()["pattern_count"] == EXPECTED["imported"] + 1


def test_one_that_is_running_is_not_cancelled(tmp_path: Path) -> None:
    with halfway(tmp_path) as (api, job_id, end):
        answer = api.post(f"/v1/jobs/{job_id}/cancel")
        assert (answer.status, answer.json()["error"]) == (409, "job_not_cancellable")
        assert answer.json()["status"] == "running"
        assert end()["status"] == "completed"


def test_one_that_waits_for_its_next_attempt_is_cancelled_and_says_what_stays_in(tmp_path: Path) -> None:
    with halfway(tmp_path) as (api, job_id, end):
        give_back(tmp_path, job_id)
        assert api.post(f"/v1/jobs/{job_id}/cancel").json() == {"cancelled": True, "job_id": job_id}
        job = end()
        assert (job["status"], job["progress"], job["result"]) == ("cancelled", FIRST, None)
        again = Api(api.address, {"x-project-id": "other"})
        assert again.finished(submit(again))["status"] == "completed", (
            "and the worker has come to an end of it"
        )
        assert api.get(f"/v1/jobs/{job_id}").json() == job
        assert api.get("/v1/metrics").json()["pattern_count"] == BATCH - 1


def give_back(folder: Path, job_id: str) -> None:
    """Take the job from its worker, as another process would whose claim has been given back."""
    storage = JSONStorage(folder)
    with storage.scoped(Scope()).writing() as stores:
        job = stores.jobs.get(job_id)
        assert job is not None
        assert stores.jobs.release(job_id, job.fence)
    storage.close()


def broken() -> None:
    raise ArithmeticError("the model has a bug")


def test_one_that_fails_says_what_stays_in(tmp_path: Path) -> None:
    with service(tmp_path, embeddings=Halting(broken), job_poll_interval=0.05) as api:
        job = api.finished(submit(api))
        assert (job["status"], job["progress"]) == ("failed", FIRST)
        assert job["error"]["code"] == "internal_error"
        assert api.get("/v1/metrics").json()["pattern_count"] == BATCH - 1


def facts(row: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(row.facts)
    return found


@pytest.mark.slow
def test_an_import_of_several_batches_leaves_a_row_when_it_begins_and_one_when_it_is_done(
    tmp_path: Path, postgres_url: str
) -> None:
    with audited(tmp_path, postgres_url) as api:
        job_id = submit(api)
        assert api.finished(job_id)["status"] == "completed"
        begun, done = rows(postgres_url)
    assert (begun.event, begun.outcome, facts(begun)) == ("import.begun", "success", {"job_id": job_id})
    counts = {name: EXPECTED[name] for name in ("imported", "skipped", "total")}
    assert (done.event, done.outcome, facts(done)) == ("import.done", "success", {"job_id": job_id} | counts)


@pytest.mark.slow
def test_an_import_that_fails_in_the_middle_leaves_a_row_with_what_stays_in(
    tmp_path: Path, postgres_url: str
) -> None:
    with audited(tmp_path, postgres_url, embeddings=Halting(broken)) as api:
        job_id = submit(api)
        assert api.finished(job_id)["status"] == "failed"
        begun, failed = awaited(lambda: rows(postgres_url), 2)
    assert (begun.event, begun.outcome) == ("import.begun", "success")
    told = {"job_id": job_id, "error": "internal_error"} | FIRST
    assert (failed.event, failed.outcome, facts(failed)) == ("import.done", "failed", told)
