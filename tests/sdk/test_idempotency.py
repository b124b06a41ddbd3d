"""Calls that carry a key of their own: the same for every sending of one call, another for the next call."""

import uuid
from collections.abc import Callable

import pytest

from engramia.errors import ConflictError, ValidationError
from engramia.sdk.webhook import EngramiaWebhook
from tests.sdk.api_server import ApiServer, Reply, answer, cut_off, hung_up, refusal, reset
from tests.sdk.conftest import Connect

type Ask = Callable[..., object]

ACCEPTED = answer({"job_id": "job_1", "status": "pending"}, 202)
DONE = answer({})
KEYED: list[tuple[Callable[[EngramiaWebhook], Ask], Reply]] = [
    (lambda c: lambda **key: c.learn("t", "c", 5.0, **key), DONE),
    (lambda c: lambda **key: c.evaluate("t", "c", **key), DONE),
    (lambda c: lambda **key: c.import_data([], **key), DONE),
    (lambda c: lambda **key: c.background.evaluate("t", "c", **key), ACCEPTED),
    (lambda c: lambda **key: c.background.import_data([], **key), ACCEPTED),
]
EACH = pytest.mark.parametrize("case", range(len(KEYED)))


def keys(server: ApiServer) -> list[str | None]:
    return [asked.headers.get("idempotency-key") for asked in server.asked]


@EACH
@pytest.mark.parametrize("loss", [hung_up, reset, cut_off, refusal(503, "unavailable", wait="0")])
def test_a_call_is_sent_again_under_its_key(
    server: ApiServer, client: EngramiaWebhook, case: int, loss: Reply
) -> None:
    ask, reply = KEYED[case]
    server.then(loss, loss, reply)
    ask(client)()
    first, *others = keys(server)
    assert others == [first, first]
    assert first is not None
    assert uuid.UUID(first).version == 4
    assert len({str(asked.body) for asked in server.asked}) == 1


@EACH
def test_every_call_has_a_key_of_its_own(server: ApiServer, client: EngramiaWebhook, case: int) -> None:
    ask, reply = KEYED[case]
    server.usual = reply
    ask(client)()
    ask(client)()
    assert len(set(keys(server))) == 2


@EACH
def test_a_key_can_be_chosen(server: ApiServer, client: EngramiaWebhook, case: int) -> None:
    ask, reply = KEYED[case]
    server.usual = reply
    ask(client)(idempotency_key="run 7/step 3")
    assert keys(server) == ["run 7/step 3"]


@EACH
@pytest.mark.parametrize("key", ["", "x" * 256, "a\r\nX-Evil: 1", "clé"])
def test_a_key_that_no_header_can_carry_is_refused(
    server: ApiServer, client: EngramiaWebhook, case: int, key: str
) -> None:
    with pytest.raises(ValidationError, match="printable ASCII") as caught:
        KEYED[case][0](client)(idempotency_key=key)
    assert caught.value.field == "idempotency_key"
    assert server.asked == []


@EACH
def test_what_is_still_under_way_is_asked_for_again(
    server: ApiServer, client: EngramiaWebhook, case: int
) -> None:
    ask, reply = KEYED[case]
    server.then(refusal(409, "idempotency_in_progress", wait="0"), reply)
    ask(client)()
    assert len(server.asked) == 2


def test_other_conflicts_are_told_at_once(server: ApiServer, client: EngramiaWebhook) -> None:
    server.then(refusal(409, "conflict", wait="0"))
    with pytest.raises(ConflictError):
        client.learn("t", "c", 5.0)
    assert len(server.asked) == 1


def test_a_key_that_came_with_another_body_is_told(server: ApiServer, client: EngramiaWebhook) -> None:
    server.then(refusal(422, "idempotency_key_reused", issues=[{"loc": ["Idempotency-Key"]}]))
    with pytest.raises(ValidationError) as caught:
        client.learn("t", "c", 5.0, idempotency_key="k")
    assert caught.value.code == "idempotency_key_reused"


def test_other_calls_carry_none(server: ApiServer, connect: Connect) -> None:
    server.usual = answer({"matches": [], "has_more": False, "next_offset": None, "pruned": 1})
    client = connect()
    client.recall("t")
    client.compose("t")
    client.run_aging()
    assert keys(server) == [None] * 3
