"""Rate limits over real sockets, and the table behind them."""

import asyncio
from collections import Counter
from ipaddress import ip_network
from pathlib import Path

import pytest

from engramia.server.identity.env import EnvAuthenticator
from engramia.server.kit.peer import Peers
from engramia.server.kit.permissions import Role
from engramia.server.kit.rate_limit import Limits
from engramia.server.kit.windows import PROBES, Charge, MemoryRateLimiter, Verdict
from tests.server.kit.edge_app import AUTHORIZED, UNLIMITED, Clock, Notes, at_once, edge
from tests.server.serving import Answer, Wire, ask

STANDARD_3 = Limits(3, UNLIMITED.expensive, UNLIMITED.per_key)
EXPENSIVE_2 = Limits(UNLIMITED.standard, 2, UNLIMITED.per_key)


def take(limiter: MemoryRateLimiter, *charges: Charge) -> Verdict:
    return asyncio.run(limiter.take(charges))


def refused(answer: Answer, limit: int) -> bool:
    body = {"error": "rate_limited", "detail": f"Rate limit exceeded. Max {limit} requests per minute."}
    return answer.status == 429 and answer.json() == body


def test_exactly_the_limit_passes_and_the_headers_tell() -> None:
    clock = Clock()
    with edge(limits=STANDARD_3, limiter=MemoryRateLimiter(clock)) as address:
        answers = []
        for _ in range(3):
            answers.append(ask(address, "GET", "/v1/whoami", AUTHORIZED))
            clock.now += 10.25
        assert [answer.status for answer in answers] == [200] * 3
        assert [answer["ratelimit-remaining"] for answer in answers] == ["2", "1", "0"]
        assert [answer["ratelimit-reset"] for answer in answers] == ["60", "50", "40"]
        assert {answer["ratelimit-limit"] for answer in answers} == {"3"}
        last = ask(address, "GET", "/v1/whoami", AUTHORIZED)
        assert refused(last, 3)
        assert last["retry-after"] == last["ratelimit-reset"] == "30"  # 29.25, rounded up
        assert last["ratelimit-remaining"] == "0"


def test_retry_after_is_true_to_the_moment() -> None:
    clock = Clock()
    with edge(limits=STANDARD_3, limiter=MemoryRateLimiter(clock)) as address:
        for _ in range(3):
            ask(address, "GET", "/v1/whoami", AUTHORIZED)
        clock.now += 20
        wait = int(ask(address, "GET", "/v1/whoami", AUTHORIZED)["retry-after"])
        clock.now += wait - 0.5
        assert refused(ask(address, "GET", "/v1/whoami", AUTHORIZED), 3)
        clock.now += 0.5
        assert ask(address, "GET", "/v1/whoami", AUTHORIZED).status == 200


def test_fifty_clients_at_once_get_exactly_the_limit() -> None:
    with edge(limits=Limits(100, 1, UNLIMITED.per_key)) as address:

        def client(_: int) -> list[int]:
            with Wire(address) as wire:
                statuses = []
                for _ in range(4):
                    wire.request("GET", "/v1/whoami", AUTHORIZED)
                    statuses.append(wire.answer().status)
                return statuses

        counted = Counter(status for statuses in at_once(50, client) for status in statuses)
    assert counted == {200: 100, 429: 100}


@pytest.mark.parametrize(
    "path",
    ["/v1/evaluate", "/v1/EVALUATE", "/v1/evaluate/", "//v1//evaluate", "/v1/%65valuate", "/v1%2fevaluate"],
)
def test_no_spelling_of_an_expensive_path_is_cheap(path: str) -> None:
    with edge(limits=EXPENSIVE_2) as address:
        for one in ("/v1/compose", "/v1/evolve"):  # they share one limit
            assert ask(address, "POST", one, AUTHORIZED, b"{}").status == 200
        assert refused(ask(address, "POST", path, AUTHORIZED, b"{}"), 2)
        assert ask(address, "GET", "/v1/whoami", AUTHORIZED).status == 200


def test_a_client_cannot_choose_its_address() -> None:
    with edge(limits=STANDARD_3) as address:
        statuses = [
            ask(
                address,
                "GET",
                "/v1/whoami",
                AUTHORIZED | {"X-Forwarded-For": f"198.51.100.{one}", "Forwarded": f"for=198.51.100.{one}"},
            ).status
            for one in range(4)
        ]
    assert statuses == [200, 200, 200, 429]


def test_behind_a_trusted_proxy_each_client_counts_by_itself() -> None:
    peers = Peers([ip_network("127.0.0.0/8")])
    with edge(limits=STANDARD_3, peers=peers) as address:

        def asked(chain: str) -> int:
            return ask(address, "GET", "/v1/whoami", AUTHORIZED | {"X-Forwarded-For": chain}).status

        assert [asked("198.51.100.1") for _ in range(4)] == [200, 200, 200, 429]
        assert asked("198.51.100.2") == 200
        assert asked("203.0.113.7, 198.51.100.1") == 429  # what the client wrote itself does not count


def test_a_key_counts_over_all_paths_and_all_clients() -> None:
    peers = Peers([ip_network("127.0.0.0/8")])
    limits = Limits(UNLIMITED.standard, UNLIMITED.expensive, 3)
    keys = EnvAuthenticator(["key-number-one", "key-number-two"], Role.OWNER)
    with edge(limits=limits, peers=peers, authenticator=keys) as address:

        def asked(method: str, path: str, client: str, authorization: str) -> Answer:
            headers = {"X-Forwarded-For": client, "Authorization": authorization}
            return ask(address, method, path, headers, b"{}" if method == "POST" else None)

        assert asked("GET", "/v1/whoami", "198.51.100.1", "Bearer key-number-one").status == 200
        assert asked("POST", "/v1/learn", "198.51.100.2", "bearer  key-number-one").status == 200
        assert asked("POST", "/v1/evaluate", "198.51.100.3", "BEARER key-number-one").status == 200
        assert refused(asked("GET", "/v1/whoami", "198.51.100.4", "Bearer key-number-one"), 3)
        assert asked("GET", "/v1/whoami", "198.51.100.4", "Bearer key-number-two").status == 200


@pytest.mark.parametrize("path", ["/v1/health", "/v1/health/live", "/v1/version"])
def test_health_and_version_are_not_limited(path: str) -> None:
    with edge(limits=Limits(1, 1, 1)) as address:
        answers = [ask(address, "GET", path, AUTHORIZED) for _ in range(5)]
    assert {answer.status for answer in answers} == {200}
    assert "ratelimit-limit" not in answers[0]


def test_a_refusal_is_noted_once_a_window() -> None:
    notes, clock = Notes(), Clock()
    with edge(notes, limits=STANDARD_3, limiter=MemoryRateLimiter(clock)) as address:
        for _ in range(6):
            ask(address, "GET", "/v1/whoami", AUTHORIZED)
        assert [each["event"] for each in notes.audits] == ["rate_limit.refused"]
        assert notes.audits[0].items() >= {"ip": "127.0.0.1", "limit": 3, "outcome": "refused"}.items()
        clock.now += 60
        for _ in range(6):
            ask(address, "GET", "/v1/whoami", AUTHORIZED)
    assert len(notes.audits) == 2


def test_guessing_keys_is_limited_too() -> None:
    with edge(limits=STANDARD_3) as address:
        statuses = [
            ask(address, "GET", "/v1/whoami", {"Authorization": f"Bearer guess-{one}"}).status
            for one in range(5)
        ]
    assert statuses == [401, 401, 401, 429, 429]


def test_a_request_over_one_limit_is_not_counted_in_the_other() -> None:
    limiter = MemoryRateLimiter(Clock(), slots=1 << 10)
    ip, key = Charge(b"ip", 5), Charge(b"key", 1)
    assert take(limiter, ip, key).allowed
    assert not any(take(limiter, ip, key).allowed for _ in range(10))
    assert [take(limiter, ip).remaining for _ in range(4)] == [3, 2, 1, 0]


def test_the_wait_is_that_of_the_window_that_ends_last() -> None:
    clock = Clock()
    limiter = MemoryRateLimiter(clock, slots=1 << 10)
    first, second = Charge(b"first", 1), Charge(b"second", 1)
    take(limiter, first)
    clock.now += 25
    take(limiter, second)
    clock.now += 5
    verdict = take(limiter, first, second)
    assert (verdict.allowed, verdict.reset) == (False, 55)


def test_a_window_begins_with_the_first_request_after_the_last_one_ended() -> None:
    clock = Clock()
    limiter = MemoryRateLimiter(clock, slots=1 << 10)
    one = Charge(b"one", 2)
    take(limiter, one)
    clock.now += 61
    assert take(limiter, one) == Verdict(True, 2, 1, 60)


def test_in_a_full_table_the_oldest_window_gives_way() -> None:
    clock = Clock()
    limiter = MemoryRateLimiter(clock, slots=PROBES)  # one run: every caller sees every slot
    for number in range(PROBES):
        take(limiter, Charge(b"%d" % number, 1))
        clock.now += 0.5
    assert take(limiter, Charge(b"newcomer", 1)).allowed
    assert not take(limiter, Charge(b"%d" % (PROBES - 1), 1)).allowed
    assert take(limiter, Charge(b"0", 1)).allowed  # forgotten


def test_a_window_that_ended_makes_room_without_hiding_others() -> None:
    clock = Clock()
    limiter = MemoryRateLimiter(clock, slots=PROBES)
    for number in range(PROBES // 2):
        take(limiter, Charge(b"early %d" % number, 1))
    clock.now += 30
    for number in range(PROBES // 2):
        take(limiter, Charge(b"late %d" % number, 1))
    clock.now += 31  # the early ones are over
    assert not any(take(limiter, Charge(b"late %d" % number, 1)).allowed for number in range(PROBES // 2))
    assert all(take(limiter, Charge(b"early %d" % number, 1)).allowed for number in range(PROBES // 2))


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


@pytest.mark.slow
def test_a_million_callers_take_less_than_fifty_megabytes() -> None:
    before = resident_bytes()
    limiter = MemoryRateLimiter(Clock())

    async def all_of_them() -> int:
        passed = 0
        for number in range(1_000_000):
            verdict = await limiter.take([Charge(number.to_bytes(4), 1)])
            passed += verdict.allowed
        return passed

    assert asyncio.run(all_of_them()) == 1_000_000
    assert resident_bytes() - before < 50 * 10**6
    again = [take(limiter, Charge(number.to_bytes(4), 1)).allowed for number in range(0, 1_000_000, 50_000)]
    assert not any(again)
