"""What happens when the edge itself fails, and what the edge leaves alone."""

import asyncio
from typing import Any

import pytest
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from engramia.errors import UnavailableError
from engramia.server.kit.caller import Caller
from engramia.server.kit.last_resort import LastResort
from engramia.server.kit.peer import Peer
from engramia.server.kit.security_headers import security_headers
from tests.server.kit.edge_app import AUTHORIZED, Notes, edge
from tests.server.serving import ask


class Failing:
    """An authenticator that cannot tell."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def authenticate(self, headers: Headers, peer: Peer) -> Caller:  # noqa: ARG002 - the port's form
        raise self.error


def test_a_failing_part_of_the_edge_is_a_500_with_all_headers() -> None:
    with edge(authenticator=Failing(KeyError("hunter2"))) as address:
        answer = ask(address, "GET", "/v1/whoami", AUTHORIZED)
    assert (answer.status, answer.json()["error"]) == (500, "internal_error")
    assert answer.json()["request_id"] == answer["x-request-id"]
    assert answer["x-frame-options"] == "DENY"


def test_a_failure_outside_of_everything_has_the_security_headers() -> None:
    class Broken(Notes):
        def bind_request_id(self, request_id: str) -> None:
            raise RuntimeError(request_id)

    with edge(Broken()) as address:
        answer = ask(address, "GET", "/v1/version")
    assert (answer.status, answer.json()["error"]) == (500, "internal_error")
    for name, value in security_headers():
        assert answer[name.decode()] == value.decode()


def test_where_keys_cannot_be_looked_up_it_is_503_and_no_refusal() -> None:
    notes = Notes()
    down = Failing(UnavailableError("Keys cannot be looked up just now.", retry_after=2))
    with edge(notes, authenticator=down) as address:
        answer = ask(address, "GET", "/v1/whoami", AUTHORIZED)
    assert (answer.status, answer.json()["error"], answer["retry-after"]) == (503, "unavailable", "2")
    assert notes.audits == []


def run(app: Any, kind: str) -> list[Any]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": f"{kind}.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app({"type": kind, "headers": [], "path": "/", "method": "GET"}, receive, send))
    return sent


def test_a_client_that_has_gone_is_answered_nothing() -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ClientDisconnect

    assert run(LastResort(app), "http") == []


def test_what_is_not_http_fails_as_it_failed() -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError("the database is not there")

    with pytest.raises(RuntimeError, match="not there"):
        run(LastResort(app), "lifespan")
