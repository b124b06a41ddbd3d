"""A server and two workers on one database: what the server is asked, the workers do at once."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cli.services import Started, started

pytestmark = pytest.mark.slow  # real processes and a database server

SOON = 30.0
POLL = 60.0
"""Seconds between two looks for jobs: over what any test here takes."""


def record(number: int) -> dict[str, Any]:
    data = {"task": f"Sort the letters of parcel {number}", "code": f"sort({number})", "success_score": 6}
    return {"version": 1, "key": f"patterns/{number:026d}", "data": data}


@pytest.fixture
def service(tmp_path: Path, postgres_url: str) -> Iterator[Started]:
    """A server that runs no jobs, beside two workers."""
    environment = {
        "ENGRAMIA_STORAGE": "postgres",
        "ENGRAMIA_DATABASE_URL": postgres_url,
        "ENGRAMIA_AUTH_MODE": "env",
        "ENGRAMIA_RATE_LIMIT_DEFAULT": "100000",
        "ENGRAMIA_RATE_LIMIT_EXPENSIVE": "100000",
        "ENGRAMIA_JOB_POLL_INTERVAL": str(POLL),
    }
    with ExitStack() as stack:
        server = stack.enter_context(
            started(tmp_path, "serve", "--port", "0", **environment, ENGRAMIA_JOB_WORKER="false")
        )
        for _ in range(2):
            stack.enter_context(started(tmp_path, "worker", **environment))
        yield server


def submitted(service: Started, number: int) -> str:
    status, body = service.ask("POST", "/v1/import", {"records": [record(number)]}, prefer="respond-async")
    assert status == 202, body
    return str(body["job_id"])


def finished(service: Started, job_id: str) -> Any:
    ends = time.monotonic() + SOON
    while True:
        status, job = service.ask("GET", f"/v1/jobs/{job_id}")
        assert status == 200, job
        if job["status"] not in {"pending", "running"}:
            return job
        assert time.monotonic() < ends, job
        time.sleep(0.02)


def waited(job: Any) -> float:
    """Return for how many seconds the job waited for a worker."""
    created, began = (datetime.fromisoformat(job[name]) for name in ("created_at", "started_at"))
    return (began - created).total_seconds()


def test_a_job_of_the_server_is_run_at_once_by_a_worker_elsewhere(service: Started) -> None:
    status, body = service.ask("POST", "/v1/import", {"records": [record(0)]})
    assert status == 200, body
    with ThreadPoolExecutor(4) as threads:
        ids = list(threads.map(lambda number: submitted(service, number), range(1, 21)))
    jobs = [finished(service, job_id) for job_id in ids]
    assert [(job["status"], job["result"], job["attempts"]) for job in jobs] == [("completed", body, 1)] * 20
    assert max(map(waited, jobs)) < POLL / 4, "nobody waited until a worker looked by itself"
    for number in range(21):
        assert service.ask("GET", f"/v1/patterns/{record(number)['key']}")[0] == 200
