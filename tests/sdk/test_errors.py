"""What the server says when it refuses is what the error says."""

import logging
import pickle

import pytest

from engramia import errors
from engramia.sdk.errors import Refusal, error_for
from engramia.sdk.webhook import EngramiaConnectionError, EngramiaHTTPError, EngramiaWebhook
from tests.sdk.api_server import ApiServer, answer, raw, refusal
from tests.sdk.conftest import KEY, Connect


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "bad_request", errors.BadRequestError),
        (401, "unauthorized", errors.AuthenticationError),
        (402, "payment_required", errors.PaymentRequiredError),
        (403, "plan_upgrade_required", errors.AuthorizationError),
        (404, "not_found", errors.NotFoundError),
        (405, "method_not_allowed", EngramiaHTTPError),
        (409, "job_not_cancellable", errors.ConflictError),
        (410, "gone", errors.GoneError),
        (413, "payload_too_large", errors.BadRequestError),
        (415, "unsupported_media_type", errors.BadRequestError),
        (422, "validation_error", errors.ValidationError),
        (429, "rate_limited", errors.RateLimitedError),
        (429, "quota_exceeded", errors.QuotaExceededError),
        (429, "overage_budget_cap_reached", errors.QuotaExceededError),
        (500, "internal_error", EngramiaHTTPError),
        (501, "provider_not_configured", errors.ProviderError),
        (501, "database_required", errors.DatabaseRequiredError),
        (502, "bad_provider_output", errors.ProviderError),
        (503, "maintenance", errors.UnavailableError),
        (504, "upstream_timeout", errors.ProviderError),
    ],
)
def test_a_refusal_is_the_error_that_the_library_would_raise(
    server: ApiServer, connect: Connect, status: int, code: str, kind: type[Exception]
) -> None:
    server.then(refusal(status, code, "Because.", metric="eval_runs"))
    with pytest.raises(EngramiaHTTPError) as caught:
        connect(retries=0).metrics()
    error = caught.value
    assert isinstance(error, kind)
    assert (error.status, error.code, error.detail) == (status, code, "Because.")
    assert error.facts == {"metric": "eval_runs"}
    assert error.request_id == server.asked[0].headers["x-request-id"]
    assert str(error) == f"{status} {code}: Because."


def test_an_error_names_the_field_the_wait_and_the_servers_request_id(
    server: ApiServer, connect: Connect
) -> None:
    issues = [{"loc": ["body", "skills", 0], "msg": "no", "type": "x"}]
    wrong = answer({"error": "validation_error", "detail": "d", "issues": issues}, 422, X_Request_ID="r-7")
    server.then(wrong, refusal(429, "rate_limited", wait="12"))
    client = connect(retries=0)
    with pytest.raises(errors.ValidationError) as first:
        client.metrics()
    assert first.value.field == "skills.0"
    assert isinstance(first.value, EngramiaHTTPError)
    assert first.value.request_id == "r-7"
    with pytest.raises(errors.RateLimitedError) as second:
        client.metrics()
    assert second.value.retry_after == 12.0


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"<html><h1>502 Bad Gateway</h1></html>", "text/html", 502),
        (b'{"message": "no such host"}', "application/json", 404),
        (b"[1, 2]", "application/json", 404),
        (b"\xff\xfe\x00", "application/octet-stream", 500),
        (b"", "text/plain", 504),
        (b"[" * 200_000, "application/json", 500),
        (b"<html>It works!</html>", "text/html", 200),
        (b'{"hello": "world"}', "application/json", 200),
        (b'{"matches": 7, "has_more": false, "next_offset": null}', "application/json", 200),
        (b"null", "application/json", 200),
    ],
)
def test_what_is_not_engramias_is_told_as_that(
    server: ApiServer, client: EngramiaWebhook, body: bytes, kind: str, status: int
) -> None:
    server.then(raw(body, status, kind))
    with pytest.raises(EngramiaHTTPError) as caught:
        client.recall("t")
    assert (caught.value.status, caught.value.code) == (status, "unexpected_answer")
    assert kind in caught.value.detail
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_with_the_key(
    server: ApiServer, client: EngramiaWebhook, status: int
) -> None:
    server.then(raw(b"", status, Location="https://elsewhere.example/v1/metrics"))
    with pytest.raises(EngramiaHTTPError, match=r"redirects to https://elsewhere\.example") as caught:
        client.metrics()
    assert caught.value.code == "redirected"
    assert len(server.asked) == 1


def test_the_key_is_in_no_error_and_no_log(
    server: ApiServer, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.then(
        raw(f"you sent Bearer {KEY}".encode(), 503, "text/plain"),
        refusal(403, "forbidden", f"{KEY} is bad", key=KEY),
        raw(f"<p>{KEY}</p>".encode(), 500, "text/html", X_Request_ID=KEY),
        raw(b"", 302, Location=f"https://elsewhere.example/?key={KEY}"),
    )
    client = connect()
    for _ in range(3):
        with pytest.raises(EngramiaHTTPError) as caught:
            client.metrics()
        error = caught.value
        assert KEY not in f"{error!r} {error} {error.detail} {error.facts} {error.request_id}"
    assert "answered 503" in caplog.text
    assert KEY not in caplog.text


def test_errors_travel_between_processes() -> None:
    refused = error_for(
        Refusal(422, "validation_error", "d", {"issues": [{"loc": ["body", "task"]}]}, "r", 2.0)
    )
    copy = pickle.loads(pickle.dumps(refused))  # noqa: S301 - made in the line itself
    assert (type(copy), str(copy), vars(copy)) == (type(refused), str(refused), vars(refused))
    lost = EngramiaConnectionError("gone", code="connection_lost", sent=True)
    copy = pickle.loads(pickle.dumps(lost))  # noqa: S301 - made in the line itself
    assert (str(copy), copy.code, copy.sent) == ("gone", "connection_lost", True)
