"""Rate limits of several server processes over one Redis server: exact, and harmless when it is down."""

import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cli.conftest import Cli
from tests.cli.services import Started, started
from tests.redis_server import RedisServer, redis_server
from tests.server.kit.edge_app import at_once
from tests.server.serving import Answer, Wire

pytestmark = pytest.mark.slow

__all__ = ["redis_server"]

KEY = "a-key-of-the-shared-limits"
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}
CLIENTS, ROUNDS = 50, 6
RECOVERY_SECONDS = 20.0
TIMEOUT = "3"
"""Of the server that counts: longer than a busy machine stands still."""


@contextmanager
def two(folder: Path, server: RedisServer, **limits: str) -> Iterator[tuple[Started, Started]]:
    """Run two services apart from one another but for the server that counts their requests."""
    shared = {"ENGRAMIA_REDIS_URL": server.url, "ENGRAMIA_REDIS_TIMEOUT": TIMEOUT}
    environment = {"ENGRAMIA_API_KEYS": KEY, **shared, **limits}
    with ExitStack() as stack:
        one, other = (
            stack.enter_context(started(folder / name / "data", "serve", "--port", "0", **environment))
            for name in ("one", "other")
        )
        yield one, other


def address(service: Started) -> tuple[str, int]:
    parts = urlsplit(service.url)
    return str(parts.hostname), int(parts.port or 0)


def ask(service: Started, path: str = "/v1/metrics") -> Answer:
    with Wire(address(service)) as wire:
        wire.request("GET", path, AUTHORIZED)
        return wire.answer()


def statuses(services: tuple[Started, ...]) -> Counter[int]:
    """Return what many clients at once are answered, each by all services in turn, over kept connections."""

    def client(index: int) -> list[int]:
        found = []
        with ExitStack() as stack:
            wires = [stack.enter_context(Wire(address(service))) for service in services]
            for turn in range(ROUNDS):
                wire = wires[(index + turn) % len(wires)]
                wire.request("GET", "/v1/metrics", AUTHORIZED)
                found.append(wire.answer().status)
        return found

    return Counter(status for each in at_once(CLIENTS, client) for status in each)


def deep(service: Started) -> Any:
    return ask(service, "/v1/health/deep").json()["checks"]["rate_limits"]


def shared_again(service: Started) -> None:
    ends = time.monotonic() + RECOVERY_SECONDS
    while deep(service)["status"] != "ok":
        assert time.monotonic() < ends, "It did not go back."
        time.sleep(0.05)


@pytest.mark.slow
def test_fifty_clients_of_two_processes_get_exactly_the_limit(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    limits = {"ENGRAMIA_RATE_LIMIT_DEFAULT": "120", "ENGRAMIA_RATE_LIMIT_PER_KEY": "100000"}
    with two(tmp_path, redis_server, **limits) as services:
        for service in services:  # connected, before it matters
            assert deep(service)["status"] == "ok"
        assert statuses(services) == {200: 120, 429: CLIENTS * ROUNDS - 120}
        refused = ask(services[0])
        assert refused.status == 429
        assert 1 <= int(refused["retry-after"]) == int(refused["ratelimit-reset"]) <= 60
        assert (refused["ratelimit-limit"], refused["ratelimit-remaining"]) == ("120", "0")
        with redis_server.client() as client:
            known = client.keys()
            assert not any(KEY in key or "127.0.0.1" in key for key in known)
            assert all(0 < client.pttl(key) <= 60_000 for key in known)
        audits = [line for service in services for line in service.lines if "rate_limit.refused" in line]
    assert len(audits) == 1


@pytest.mark.slow
def test_while_redis_is_killed_each_process_holds_the_limit_and_then_all_do(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    with two(tmp_path, redis_server, ENGRAMIA_RATE_LIMIT_DEFAULT="100") as services:
        for service in services:
            assert ask(service).status == 200
        redis_server.kill()
        counted = statuses(services)
        assert set(counted) == {200, 429}
        # Each had let one pass before. The key's limit, 120, is further off.
        assert counted[200] == 2 * 99
        assert deep(services[0])["status"] == "degraded"
        assert ask(services[0], "/v1/health/deep").json()["status"] == "degraded"
        redis_server.start()
        for service in services:
            shared_again(service)
        assert statuses(services) == {200: 100, 429: CLIENTS * ROUNDS - 100}
        for service in services:
            assert _told(service, "Rate limits hold") == ["each process", "all processes"]


@pytest.mark.slow
def test_a_frozen_redis_delays_once_and_refuses_nobody(tmp_path: Path, redis_server: RedisServer) -> None:
    limits = {"ENGRAMIA_RATE_LIMIT_DEFAULT": "100000", "ENGRAMIA_RATE_LIMIT_PER_KEY": "100000"}
    with two(tmp_path, redis_server, **limits) as services:
        assert ask(services[0]).status == 200
        redis_server.freeze()
        first, *later = [_timed(services[0]) for _ in range(30)]
        assert first < 10.0
        assert sorted(later)[len(later) // 2] < float(TIMEOUT) / 2
        redis_server.thaw()
        shared_again(services[0])
        assert ask(services[0]).status == 200


def test_check_says_whether_redis_answers(redis_server: RedisServer, process: Cli) -> None:
    def said(url: str) -> tuple[int, str, str]:
        ended = process("serve", "--check", "--port", "0", "--json", ENGRAMIA_REDIS_URL=url)
        (check,) = (each for each in ended.document["checks"] if each["name"] == "rate limits")
        assert "hunter2" not in ended.out + ended.err
        return ended.code, check["status"], check["detail"]

    code, status, detail = said(redis_server.url)
    assert (code, status) == (0, "ok")
    assert re.fullmatch(r"counted for all processes in Redis \(\d+\.\d ms\)", detail)
    code, status, detail = said("redis://:hunter2@127.0.0.1:1")
    assert (code, status) == (0, "warn")
    assert "(ConnectionError)" in detail
    code, status, detail = said("localhost:6379?password=hunter2")
    assert (code, status) == (2, "fail")
    assert detail.startswith("ENGRAMIA_REDIS_URL must read redis://")


def test_several_workers_are_no_doubt_with_redis(redis_server: RedisServer, process: Cli) -> None:
    apart = process("serve", "--check", "--port", "0", "--workers", "2")
    together = process(
        "serve", "--check", "--port", "0", "--workers", "2", ENGRAMIA_REDIS_URL=redis_server.url
    )
    assert "counts for itself" in apart.out
    assert "counts for itself" not in together.out


def test_serving_needs_no_redis_to_start(tmp_path: Path) -> None:
    with started(tmp_path / "data", "serve", "--port", "0", ENGRAMIA_REDIS_URL="redis://127.0.0.1:1") as one:
        assert ask(one).status == 200
        assert one.lines[0].startswith("Warning: ENGRAMIA_REDIS_URL: ")


def test_an_address_that_is_none_keeps_the_server_from_starting(process: Cli) -> None:
    ended = process("serve", "--port", "0", ENGRAMIA_REDIS_URL="localhost")
    assert ended.code == 2
    assert "ENGRAMIA_REDIS_URL must read" in ended.err


def _timed(service: Started) -> float:
    begun = time.monotonic()
    assert ask(service).status == 200
    return time.monotonic() - begun


def _told(service: Started, beginning: str) -> list[str]:
    """Return for whom limits held, by the lines of the log that say so."""
    lines = [line for line in service.lines if beginning in line]
    return ["all processes" if "all processes" in line else "each process" for line in lines]
