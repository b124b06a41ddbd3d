"""The service under fire: killed while jobs come in, asked whether it lives while everything is slow."""

import itertools
import json
import multiprocessing
import signal
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from engramia.bootstrap import new_pattern_key
from engramia.testing import FrozenClock
from tests.cli.services import Started, started
from tests.providers.llm_server import CHAT, chat, llm_server
from tests.providers.openai_server import Reply, Request

UNLIMITED = {
    "ENGRAMIA_RATE_LIMIT_DEFAULT": "1000000",
    "ENGRAMIA_RATE_LIMIT_EXPENSIVE": "1000000",
    "ENGRAMIA_JOB_POLL_INTERVAL": "0.2",
}
SERVE = ("serve", "--port", "0")
SUBMITTERS = 4
EACH = 2
"""Jobs of one submitter before one kill: of all together fewer are made than finished ones are kept."""
_numbers = itertools.count()


def record(number: int) -> dict[str, Any]:
    data = {"task": f"Translate page {number} of the manual", "code": f"page({number})", "success_score": 7}
    return {"version": 1, "key": new_pattern_key(FrozenClock().now()), "data": data}


def submit_until_it_dies(service: Started) -> dict[str, str]:
    """Hand in imports of one new record each; return key by job of those that were acknowledged."""
    accepted = dict[str, str]()
    try:
        while True:
            if len(accepted) == EACH:
                service.ask("GET", "/v1/metrics")
                continue
            sent = record(next(_numbers))
            status, body = service.ask("POST", "/v1/import", {"records": [sent]}, prefer="respond-async")
            assert status == 202, body
            accepted[body["job_id"]] = sent["key"]
    except (OSError, HTTPException, json.JSONDecodeError):
        return accepted


def killed_again_and_again(folder: Path, kills: int) -> None:
    accepted = dict[str, str]()
    for turn in range(kills):
        with started(folder, *SERVE, **UNLIMITED) as service, ThreadPoolExecutor(SUBMITTERS) as threads:
            runs = [threads.submit(submit_until_it_dies, service) for _ in range(SUBMITTERS)]
            time.sleep(0.05 + 0.03 * (turn % 7))
            service.signal(signal.SIGKILL)
            for run in runs:
                accepted |= run.result()
    assert len(accepted) > kills
    with started(folder, *SERVE, **UNLIMITED) as service:
        for job_id, key in accepted.items():
            job = finished(service, job_id)
            assert job["status"] == "completed", job
            # A second time it would have found its own record, and skipped it.
            assert (job["result"]["imported"], job["result"]["skipped"]) == (1, 0), job
            assert service.ask("GET", f"/v1/patterns/{key}")[0] == 200


def finished(service: Started, job_id: str) -> Any:
    ends = time.monotonic() + 60
    while True:
        status, job = service.ask("GET", f"/v1/jobs/{job_id}")
        assert status == 200, (job_id, job)
        if job["status"] not in {"pending", "running"}:
            return job
        assert time.monotonic() < ends, job
        time.sleep(0.05)


@pytest.mark.soak
def test_accepted_jobs_outlive_a_killed_server(tmp_path: Path) -> None:
    killed_again_and_again(tmp_path / "data", 4)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_accepted_jobs_outlive_a_hundred_killed_servers(tmp_path: Path) -> None:
    killed_again_and_again(tmp_path / "data", 100)


@contextmanager
def busy(netloc: str, clients: int) -> Iterator[None]:
    """Keep `clients` connections at slow operations, from a process of their own."""
    loading = multiprocessing.get_context("spawn").Process(target=load, args=(netloc, clients), daemon=True)
    loading.start()
    try:
        yield
        assert loading.is_alive(), "The load failed."
    finally:
        loading.kill()
        loading.join()


def load(netloc: str, clients: int) -> None:
    """Ask for slow things until killed."""
    big = {"records": [record(10**6 + number) for number in range(400)], "overwrite": True}
    work: list[tuple[str, Any]] = [
        ("/v1/compose", {"task": "Report on the prices of last month"}),
        ("/v1/import", big),
        ("/v1/recall", {"task": "Translate page 7 of the manual", "limit": 50}),
        ("/v1/analyze-failures", {}),
    ]

    def ask(number: int) -> None:
        path, body = work[number % len(work)]
        content = json.dumps(body)
        while True:
            connection = HTTPConnection(netloc, timeout=60)
            connection.request("POST", path, content, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            assert answer.status in {200, 503}, answer.status
            connection.close()

    with ThreadPoolExecutor(clients) as threads:
        for run in [threads.submit(ask, number) for number in range(clients)]:
            run.result()


def slowly(handler: BaseHTTPRequestHandler, request: Request) -> None:
    time.sleep(0.5)
    answer: Reply = chat("{}")
    answer(handler, request)


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_it_says_that_it_lives_while_everything_is_slow(tmp_path: Path) -> None:
    with llm_server() as vendor:
        vendor.usual[CHAT] = slowly
        model = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": vendor.url, "NO_PROXY": "127.0.0.1"}
        bodies = {"ENGRAMIA_MAX_BODY_SIZE": "4000000"}
        with started(tmp_path / "data", *SERVE, **UNLIMITED, **model, **bodies) as service:
            netloc = urlsplit(service.url).netloc
            with busy(netloc, 32):
                time.sleep(3)  # until the load is there
                taken = [lives(service) for _ in range(300)]
    assert statistics.quantiles(taken, n=100)[98] <= 0.05, sorted(taken)[-10:]


def lives(service: Started) -> float:
    """Return how many seconds the answer took, over a connection of its own."""
    connection = HTTPConnection(urlsplit(service.url).netloc, timeout=10)
    connection.connect()
    began = time.perf_counter()
    connection.request("GET", "/v1/health/live")
    assert connection.getresponse().read() == b'{"status":"ok"}'
    taken = time.perf_counter() - began
    connection.close()
    time.sleep(0.01)
    return taken
