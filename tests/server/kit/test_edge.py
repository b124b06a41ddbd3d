"""The edge over real sockets: what every answer carries, whatever went wrong."""

import re
from collections.abc import Iterator

import pytest

from engramia.core.model import Scope
from engramia.server.kit.rate_limit import Limits
from engramia.server.kit.security_headers import security_headers
from tests.server.kit.edge_app import AUTHORIZED, UNLIMITED, Notes, edge
from tests.server.serving import Answer, Wire, ask

type Address = tuple[str, int]

ORIGIN = "https://app.example.org"


@pytest.fixture(scope="module")
def notes() -> Notes:
    return Notes()


@pytest.fixture(scope="module")
def served(notes: Notes) -> Iterator[Address]:
    with edge(notes, cors_origins=(ORIGIN,)) as address:
        yield address


def check_headers(answer: Answer) -> None:
    """Every answer carries these, each once."""
    for name, value in security_headers():
        assert answer[name.decode()] == value.decode()
    assert re.fullmatch("[A-Za-z0-9._-]{1,64}", answer["x-request-id"])
    assert answer["access-control-allow-origin"] == ORIGIN
    assert "X-Request-ID" in answer["access-control-expose-headers"]


ERRORS = [
    (("POST", "/v1/learn", {}, b"{}"), 401, "unauthorized"),
    (("GET", "/nowhere", AUTHORIZED, None), 404, "not_found"),
    (("GET", "/v1/learn", AUTHORIZED, None), 405, "method_not_allowed"),
    (("GET", "/conflict", AUTHORIZED, None), 409, "job_not_cancellable"),
    (("POST", "/v1/learn", AUTHORIZED, b"x" * (1 << 21)), 413, "payload_too_large"),
    (
        ("POST", "/v1/learn", AUTHORIZED | {"Content-Encoding": "gzip"}, b"\x1f"),
        415,
        "unsupported_media_type",
    ),
    (("POST", "/v1/learn", AUTHORIZED, b'{"a": NaN}'), 400, "bad_request"),
    (("GET", "/v1/whoami", AUTHORIZED | {"X-Project-Id": "other"}, None), 403, "forbidden"),
    (("GET", "/v1/whoami", AUTHORIZED | {"X-Project-Id": "../x"}, None), 422, "validation_error"),
    (("GET", "/boom", AUTHORIZED, None), 500, "internal_error"),
    (("GET", "/down", AUTHORIZED, None), 503, "unavailable"),
]


@pytest.mark.parametrize(("request_", "status", "code"), ERRORS)
def test_every_error_has_the_shape_and_all_headers(
    served: Address, request_: tuple[str, str, dict[str, str], bytes | None], status: int, code: str
) -> None:
    method, path, headers, body = request_
    answer = ask(served, method, path, headers | {"Origin": ORIGIN}, body)
    assert (answer.status, answer.json()["error"]) == (status, code)
    assert answer["content-type"] == "application/json"
    assert answer.json()["detail"]
    check_headers(answer)


def test_the_headers_that_belong_to_a_status(served: Address) -> None:
    assert ask(served, "GET", "/v1/whoami")["www-authenticate"] == "Bearer"
    assert "POST" in ask(served, "GET", "/v1/learn", AUTHORIZED)["allow"]
    assert int(ask(served, "GET", "/down", AUTHORIZED)["retry-after"]) >= 1


def test_an_unexpected_failure_says_only_the_request_id(
    served: Address, caplog: pytest.LogCaptureFixture
) -> None:
    answer = ask(served, "GET", "/boom", AUTHORIZED | {"X-Request-ID": "mine-1"})
    assert answer.json().keys() == {"error", "detail", "request_id"}
    assert answer.json()["request_id"] == answer["x-request-id"] == "mine-1"
    assert b"hunter2" not in answer.body
    assert "in _boom" in caplog.text


def test_what_only_the_operator_may_read_stays_in_the_log(
    served: Address, caplog: pytest.LogCaptureFixture
) -> None:
    answer = ask(served, "GET", "/down", AUTHORIZED)
    assert b"/srv" not in answer.body
    assert "/srv/data/lock" in caplog.text


def test_an_answer_torn_in_the_middle_is_cut_not_finished(served: Address) -> None:
    with Wire(served) as wire:
        wire.request("GET", "/torn", AUTHORIZED)
        with pytest.raises((ConnectionError, ValueError)):  # no last chunk ever comes
            wire.answer()


@pytest.mark.parametrize("given", ["a", "A.b_c-9", "x" * 64])
def test_a_fit_request_id_is_kept(served: Address, notes: Notes, given: str) -> None:
    answer = ask(served, "GET", "/v1/whoami", AUTHORIZED | {"X-Request-ID": given})
    assert answer["x-request-id"] == answer.json()["request_id"] == given
    assert given in notes.request_ids


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "ü", "a/b", "<script>"])
def test_any_other_request_id_is_replaced(served: Address, given: str) -> None:
    answer = ask(served, "GET", "/v1/version", {"X-Request-ID": given})
    assert answer["x-request-id"] != given
    assert re.fullmatch("[0-9a-f]{32}", answer["x-request-id"])


def test_two_request_ids_are_none(served: Address) -> None:
    with Wire(served) as wire:
        wire.send(b"GET /v1/version HTTP/1.1\r\nHost: x\r\nX-Request-ID: a\r\nX-Request-ID: b\r\n\r\n")
        assert wire.answer()["x-request-id"] not in {"a", "b"}


def test_the_log_is_told_of_each_request_and_of_its_caller(served: Address, notes: Notes) -> None:
    notes.request_ids.clear()
    notes.callers.clear()
    for path in ("/v1/whoami", "/v1/version"):
        ask(served, "GET", path, AUTHORIZED | {"X-Request-ID": path.rpartition("/")[2]})
    assert notes.request_ids == ["whoami", "version"]
    assert [caller.scope for caller in notes.callers] == [Scope()]


def test_a_page_has_its_own_policy_and_no_other_path_has() -> None:
    policy = "default-src 'self'"
    with edge(page_policies={"/docs": policy}) as address:
        assert ask(address, "GET", "/docs")["content-security-policy"] == policy
        assert "default-src 'none'" in ask(address, "GET", "/v1/version")["content-security-policy"]


def test_a_connection_lives_on_after_errors(served: Address) -> None:
    requests = [
        ("GET", "/nowhere", AUTHORIZED, None, 404),
        ("POST", "/v1/learn", {}, b'{"unread": 1}', 401),
        ("POST", "/v1/learn", AUTHORIZED | {"Content-Encoding": "br"}, b"unread", 415),
        ("GET", "/boom", AUTHORIZED, None, 500),
        ("POST", "/v1/learn", AUTHORIZED, b"{", 400),
        ("POST", "/v1/learn", AUTHORIZED, b'{"a": 1}', 200),
    ]
    with Wire(served) as wire:
        for method, path, headers, body, _ in requests:
            wire.request(method, path, headers, body)
        assert [wire.answer().status for _ in requests] == [status for *_, status in requests]


def test_head_has_the_headers_of_an_error_and_no_body(served: Address) -> None:
    with Wire(served) as wire:
        for path, status in (("/nowhere", 404), ("/boom", 500)):
            wire.request("HEAD", path, AUTHORIZED | {"Origin": ORIGIN})
            answer = wire.answer(head=True)
            assert answer.status == status
            check_headers(answer)


def test_a_preflight_is_answered_under_maintenance() -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    headers = asked | {
        "Access-Control-Request-Headers": "authorization, content-type, prefer, idempotency-key"
    }
    with edge(cors_origins=(ORIGIN,), maintenance=True) as address:
        answer = ask(address, "OPTIONS", "/v1/learn", headers)
        assert answer.status == 200
        assert answer["access-control-allow-origin"] == ORIGIN
        assert "X-Request-ID" in answer.headers or "x-request-id" in answer

        closed = ask(address, "POST", "/v1/learn", AUTHORIZED | {"Origin": ORIGIN}, b"{}")
        assert (closed.status, closed.json()["error"]) == (503, "maintenance")
        assert closed["retry-after"] == "3600"
        check_headers(closed)


@pytest.mark.parametrize("path", ["/v1/health", "/v1/health/live", "/v1/version"])
def test_maintenance_leaves_health_and_version(path: str) -> None:
    with edge(maintenance=True) as address:
        assert ask(address, "GET", path, AUTHORIZED).status == 200


def test_a_refused_preflight_has_the_shape_of_errors(served: Address) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "BREW"}
    answer = ask(served, "OPTIONS", "/v1/learn", asked)
    assert (answer.status, answer.json()["error"]) == (400, "bad_request")
    assert "origin, method" in answer.json()["detail"]
    assert "access-control-allow-origin" not in answer
    assert "Origin" in answer["vary"]


def test_a_page_of_another_origin_may_not_read(served: Address) -> None:
    answer = ask(served, "GET", "/v1/version", {"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer


def test_without_origins_cors_is_off() -> None:
    with edge() as address:
        answer = ask(address, "GET", "/v1/version", {"Origin": ORIGIN})
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_rate_limited_answer_has_all_headers_too() -> None:
    limits = Limits(1, 1, UNLIMITED.per_key)
    with edge(cors_origins=(ORIGIN,), limits=limits) as address:
        assert ask(address, "GET", "/nowhere", AUTHORIZED).status == 404
        answer = ask(address, "GET", "/nowhere", AUTHORIZED | {"Origin": ORIGIN})
        assert answer.status == 429
        check_headers(answer)
