"""Agents whose memory is `engramia serve`, a process of its own: what one learns the next one is told."""

import logging
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engramia.sdk.session import Session
from engramia.sdk.webhook import EngramiaWebhook
from tests.cli.services import Started, started
from tests.sdk.adapters.hosts import Run, host
from tests.sdk.adapters.test_contract import ANSWER, PLAY, TASK, play_apart, without_notes

pytestmark = pytest.mark.slow  # a service, and programs, in processes of their own

TIMEOUT = 0.5


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Started]:
    with started(tmp_path / "data", "serve", "--port", "0") as running:
        yield running


@pytest.fixture
def session(service: Started) -> Iterator[Session]:
    """A session that waits for the service for half a second, with a client that would wait for longer."""
    with EngramiaWebhook(service.url, timeout=20) as client:
        yield Session(client, timeout=TIMEOUT)


def patterns(service: Started) -> list[dict[str, Any]]:
    status, body = service.ask("GET", "/v1/patterns")
    assert status == 200
    listed: list[dict[str, Any]] = body["patterns"]
    return listed


def seconds(run: Run) -> float:
    began = time.perf_counter()
    run(PLAY)
    return time.perf_counter() - began


@pytest.mark.parametrize("name", ["plain", "langchain_agent", "langchain_chain"])
def test_a_second_process_is_told_what_the_first_taught_the_service(name: str, service: Started) -> None:
    alone = host(name).build(None)(PLAY)
    assert play_apart(name, service.url, PLAY) == alone, "an empty memory changes nothing"
    (pattern,) = patterns(service)
    assert (pattern["task"], pattern["source"], pattern["success_score"]) == (TASK, "sdk", 7.0)
    second = play_apart(name, service.url, PLAY)
    told = "\n".join(second[0])
    assert "The same task: its solution can be used as it is." in told
    assert f"| {ANSWER}" in told
    assert without_notes(second) == without_notes(alone), "the notes are all that is added"
    assert service.ask("GET", "/v1/metrics")[1]["runs"] == 2
    service.signal(signal.SIGKILL)
    service.ended()
    with EngramiaWebhook(service.url, retries=0) as client:
        assert host(name).build(client)(PLAY) == alone, "a service that is gone is missed by nobody"


@pytest.mark.parametrize("name", ["plain", "langchain_agent_async"])
def test_a_service_that_hangs_makes_a_run_late_by_the_timeout_and_learns_later(
    name: str, service: Started, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    usual = seconds(host(name).build(None))
    run = host(name).build(session)
    service.signal(signal.SIGSTOP)
    late = seconds(run)
    assert "nothing was recalled in time" in caplog.text
    # What is beyond it is the machine's own noise: a call that was waited for to its end would take 20 s.
    assert TIMEOUT <= late < usual + TIMEOUT + 1.0
    service.signal(signal.SIGCONT)
    assert session.flush()
    assert [pattern["task"] for pattern in patterns(service)] == [TASK]


def test_a_service_that_is_killed_between_recall_and_learn_costs_the_lesson_alone(
    service: Started, caplog: pytest.LogCaptureFixture
) -> None:
    with EngramiaWebhook(service.url, retries=0) as client, caplog.at_level(logging.WARNING):
        session = Session(client, timeout=TIMEOUT)
        session.begin(TASK).finish(ANSWER)
        assert session.flush()
        run = session.begin(TASK)
        assert f"| {ANSWER}" in run.context
        service.signal(signal.SIGKILL)
        service.ended()
        run.finish(ANSWER)
        assert session.flush()
    (record,) = caplog.records
    assert "goes on without its memory" in record.getMessage()
