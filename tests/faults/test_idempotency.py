"""Keyed requests to a server that is killed: whoever asks again gets each of them done once."""

import itertools
import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from tests.cli.services import Started, started

SERVE = ("serve", "--port", "0")
UNLIMITED = {"ENGRAMIA_RATE_LIMIT_DEFAULT": "1000000", "ENGRAMIA_RATE_LIMIT_PER_KEY": "1000000"}
CLIENTS = 4
_numbers = itertools.count()


@dataclass
class Sent:
    """What a client has sent, by key, and what it was answered."""

    bodies: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)


def learn(service: Started, key: str, body: Any) -> Any:
    status, answer = service.ask("POST", "/v1/learn", body, Idempotency_Key=key)
    assert status == 200, answer
    return answer


def learn_until_it_dies(service: Started) -> Sent:
    sent = Sent()
    try:
        while True:
            number = next(_numbers)
            body = {
                "task": "Sort the rows",
                "code": f"sort({number})",
                "eval_score": 5,
                "on_duplicate": "keep_both",
            }
            sent.bodies[str(number)] = body
            sent.answers[str(number)] = learn(service, str(number), body)
    except (OSError, HTTPException, json.JSONDecodeError):
        return sent


def killed_again_and_again(folder: Path, kills: int) -> None:
    bodies, answers = dict[str, Any](), dict[str, Any]()
    for turn in range(kills):
        with started(folder, *SERVE, **UNLIMITED) as service, ThreadPoolExecutor(CLIENTS) as threads:
            runs = [threads.submit(learn_until_it_dies, service) for _ in range(CLIENTS)]
            time.sleep(0.2 + 0.03 * (turn % 7))
            service.signal(signal.SIGKILL)
            for run in runs:
                bodies |= run.result().bodies
                answers |= run.result().answers
    assert len(answers) > kills
    assert len(bodies) > len(answers), "some were on their way"
    with started(folder, *SERVE, **UNLIMITED) as service:
        again = {key: learn(service, key, body) for key, body in bodies.items()}
        assert {key: again[key] for key in answers} == answers
        assert len({answer["pattern_key"] for answer in again.values()}) == len(bodies)
        assert service.ask("GET", "/v1/metrics")[1]["pattern_count"] == len(bodies)


@pytest.mark.soak
def test_every_keyed_learn_is_one_pattern_after_kills(tmp_path: Path) -> None:
    killed_again_and_again(tmp_path / "data", 4)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_every_keyed_learn_is_one_pattern_after_fifty_kills(tmp_path: Path) -> None:
    killed_again_and_again(tmp_path / "data", 50)
