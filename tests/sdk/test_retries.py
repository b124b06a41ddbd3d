"""When a call is made again, how long it waits for that, and when it never is."""

import threading
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest

from engramia import errors
from engramia.sdk.address import address_of
from engramia.sdk.caller import Caller, Patience
from engramia.sdk.calls import Call, get, whole
from engramia.sdk.connections import Pool
from engramia.sdk.errors import EngramiaConnectionError, EngramiaHTTPError, EngramiaTimeoutError
from engramia.sdk.webhook import EngramiaWebhook
from tests.sdk.api_server import ApiServer, Reply, answer, cut_off, hung_up, raw, refusal, reset, until
from tests.sdk.conftest import Connect

pytestmark = pytest.mark.slow

PRUNED = answer({"pruned": 1})
RECALLED = answer({"matches": [], "has_more": False, "next_offset": None})
METRICS: Call[Any] = get("/v1/metrics", whole)
AGING: Call[Any] = Call("POST", "/v1/aging", whole, slow=True)


class Waits:
    """A caller whose pauses are noted and not waited, with dice that always show `dice`."""

    def __init__(
        self, server: ApiServer, *, dice: float = 1.0, timeout: float = 100.0, retries: int = 4
    ) -> None:
        self.pauses: list[float] = []
        self.pool = Pool(address_of(server.url), None, 5.0)
        patience = Patience(timeout, timeout, retries, 0.5, random=lambda: dice, sleep=self.pauses.append)
        self.caller = Caller(self.pool, "", {}, None, patience)

    def run(self, call: Call[Any] = METRICS) -> Any:
        try:
            return self.caller.run(call)
        finally:
            self.pool.close()


BRIEF = [
    refusal(429, "rate_limited", wait="1"),
    refusal(503, "unavailable", wait="1"),
    raw(b"busy", 503, "text/plain"),
    raw(b"slow down", 429, "text/html"),
]


@pytest.mark.parametrize("reply", BRIEF)
@pytest.mark.parametrize("call", [METRICS, AGING])
def test_what_passes_is_tried_again_whatever_the_call(
    server: ApiServer, reply: Reply, call: Call[Any]
) -> None:
    server.then(reply, reply, answer({"runs": 1}))
    waits = Waits(server)
    assert waits.run(call) == {"runs": 1}
    assert len(server.asked) == 3
    assert len(waits.pauses) == 2
    assert len({asked.headers["x-request-id"] for asked in server.asked}) == 1


@pytest.mark.parametrize(
    "reply",
    [
        refusal(429, "quota_exceeded", wait="1", reset_date="2026-12-01"),
        refusal(429, "overage_budget_cap_reached"),
        refusal(503, "storage_full"),
        refusal(503, "embedding_model_mismatch"),
        refusal(500, "internal_error"),
        refusal(501, "provider_not_configured"),
        refusal(502, "bad_provider_output"),
        refusal(504, "upstream_timeout"),
        refusal(422, "validation_error"),
        refusal(409, "conflict"),
        raw(b"moved", 307, Location="/elsewhere"),
    ],
)
def test_what_lasts_is_told_at_once(server: ApiServer, reply: Reply) -> None:
    server.then(reply)
    waits = Waits(server)
    with pytest.raises(EngramiaHTTPError):
        waits.run()
    assert waits.pauses == []
    assert len(server.asked) == 1


def test_pauses_grow_and_are_drawn_by_lot(server: ApiServer) -> None:
    server.usual = raw(b"busy", 503, "text/plain")
    full, half = Waits(server, retries=9), Waits(server, dice=0.5, retries=3)
    for waits in (full, half):
        with pytest.raises(errors.UnavailableError):
            waits.run()
    assert full.pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert half.pauses == [0.25, 0.5, 1.0]


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"Retry_After": "7"}, 7.0),
        ({"Retry_After": " 0 "}, 0.0),
        ({"Retry_After": formatdate(1_800_000_009, usegmt=True)}, 9.0),
        ({"Retry_After": formatdate(1_700_000_000, usegmt=True)}, 0.0),
        ({"Retry_After": "soon"}, 0.0),
        ({"Retry_After": "-5"}, 0.0),
        ({"Retry_After": "9" * 400}, 0.0),
        ({"Retry_After": "Mon, 99 Foo 2026 00:00:00 GMT"}, 0.0),
    ],
)
def test_the_servers_wish_is_kept_in_seconds_or_as_a_date_of_its_own_clock(
    server: ApiServer, headers: dict[str, str], pause: float
) -> None:
    def dated(handler: Any, asked: Any) -> None:
        handler.date_time_string = lambda _=None: formatdate(1_800_000_000, usegmt=True)
        raw(b"busy", 503, "text/plain", **headers)(handler, asked)

    server.then(dated, answer({}))
    waits = Waits(server, dice=0.0)
    waits.run()
    assert waits.pauses == [pause]


def test_a_wait_that_would_outlast_the_call_is_not_begun(server: ApiServer) -> None:
    server.then(refusal(503, "maintenance", wait="3600"))
    waits = Waits(server, timeout=60.0)
    with pytest.raises(errors.UnavailableError) as caught:
        waits.run()
    assert caught.value.retry_after == 3600
    assert waits.pauses == []


def test_retries_come_to_an_end(server: ApiServer, connect: Connect) -> None:
    server.usual = refusal(503, "unavailable", wait="0")
    with pytest.raises(errors.UnavailableError):
        connect(retries=2).metrics()
    assert len(server.asked) == 3


LOST = [hung_up, reset, cut_off]
HARMLESS: list[tuple[Callable[[EngramiaWebhook], object], Reply]] = [
    (lambda c: c.recall("t"), RECALLED),
    (lambda c: c.find_by_skills(["a"]), RECALLED),
    (lambda c: c.register_skills("patterns/a", ["a"]), answer({"skills": ["a"]})),
    (lambda c: c.analyze_failures(), answer({"clusters": []})),
    (lambda c: c.get_pattern("patterns/a"), answer({})),
    (lambda c: c.export(), answer({"records": []})),
]
HARMFUL: list[Callable[[EngramiaWebhook], object]] = [
    lambda c: c.refine_pattern("patterns/a", 5.0),
    lambda c: c.delete_pattern("patterns/a"),
    lambda c: c.compose("t"),
    lambda c: c.evolve_prompt("r", "p"),
    lambda c: c.run_aging(),
    lambda c: c.run_feedback_decay(),
    lambda c: c.cancel_job("j"),
    lambda c: c.background.compose("t"),
]


@pytest.mark.parametrize("loss", LOST)
@pytest.mark.parametrize("case", range(len(HARMLESS)))
def test_a_lost_answer_is_asked_for_again_where_twice_does_no_harm(
    server: ApiServer, client: EngramiaWebhook, case: int, loss: Reply
) -> None:
    ask, reply = HARMLESS[case]
    server.then(loss, reply)
    ask(client)
    assert len(server.asked) == 2


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("loss", LOST)
@pytest.mark.parametrize("case", range(len(HARMFUL)))
def test_what_may_have_been_done_is_not_asked_for_twice(
    server: ApiServer, client: EngramiaWebhook, case: int, loss: Reply, kept: bool
) -> None:
    if kept:
        server.then(answer({}))
        client.metrics()
        server.asked.clear()
    server.then(loss, answer({"pruned": 0, "job_id": "j"}))
    with pytest.raises(EngramiaConnectionError, match="lost before the server answered") as caught:
        HARMFUL[case](client)
    assert caught.value.sent
    assert caught.value.code == "connection_lost"
    assert caught.value.request_id == server.asked[0].headers["x-request-id"]
    assert len(server.asked) == 1


def test_a_call_has_so_much_time_in_all(server: ApiServer, connect: Connect) -> None:
    done = threading.Event()
    server.usual = until(done, answer({}))
    client = connect(timeout=0.2, slow_timeout=30.0)
    with pytest.raises(EngramiaTimeoutError, match="did not answer in time") as caught:
        client.metrics()
    assert caught.value.sent
    assert len(server.asked) == 1
    done.set()
    server.usual = PRUNED
    assert client.run_aging() == 1


def test_slow_calls_have_a_time_of_their_own(server: ApiServer, connect: Connect) -> None:
    done = threading.Event()
    server.usual = until(done, answer({}))
    client = connect(timeout=30.0, slow_timeout=0.2)
    with pytest.raises(EngramiaTimeoutError):
        client.evaluate("t", "c")
    done.set()
    assert dict(client.metrics()) == {}
