"""Every error of the tree as it goes over the wire."""

import inspect
import re

import orjson
import pydantic
import pytest
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from engramia import errors
from engramia.server.kit.error_responses import ERRORS_BY_STATUS, responses_for
from engramia.server.kit.errors import EXCEPTION_HANDLERS, ISSUES_MAX, Problem, job_error_of, problem_of

OTHER_TOKEN = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
BRIEFLY_DOWN = {"Retry-After": "5"}
CASES: list[tuple[BaseException, int, str, dict[str, str]]] = [
    (errors.ValidationError("task must not be blank.", field="task"), 422, "validation_error", {}),
    (errors.IdempotencyKeyReusedError("No.", field="Idempotency-Key"), 422, "idempotency_key_reused", {}),
    (errors.BadRequestError("No."), 400, "bad_request", {}),
    (errors.PayloadTooLargeError(7), 413, "payload_too_large", {}),
    (errors.UnsupportedMediaTypeError("No."), 415, "unsupported_media_type", {}),
    (errors.AuthenticationError("Who?"), 401, "unauthorized", {"WWW-Authenticate": "Bearer"}),
    (errors.InvalidTokenError("No."), 401, "unauthorized", OTHER_TOKEN),
    (errors.AuthorizationError("No."), 403, "forbidden", {}),
    (errors.AuthorizationError("No.", code="plan_upgrade_required"), 403, "plan_upgrade_required", {}),
    (errors.NotFoundError("No."), 404, "not_found", {}),
    (errors.GoneError("No."), 410, "gone", {}),
    (errors.ConflictError("No."), 409, "conflict", {}),
    (errors.InProgressError("No.", retry_after=0.5), 409, "conflict", {"Retry-After": "1"}),
    (errors.PaymentRequiredError("Pay."), 402, "payment_required", {}),
    (errors.QuotaExceededError("No."), 429, "quota_exceeded", {}),
    (errors.RateLimitedError(60, 0.2), 429, "rate_limited", {"Retry-After": "1"}),
    (errors.DatabaseRequiredError("No."), 501, "database_required", {}),
    (errors.UnavailableError("No."), 503, "unavailable", BRIEFLY_DOWN),
    (errors.UnavailableError("No.", retry_after=1.2), 503, "unavailable", {"Retry-After": "2"}),
    (errors.MaintenanceError("No."), 503, "maintenance", {"Retry-After": "3600"}),
    (errors.StorageError("No."), 503, "storage_error", {}),
    (errors.StorageFullError("No."), 503, "storage_full", {}),
    (errors.StorageCorruptError("No."), 503, "storage_corrupt", {}),
    (errors.StorageUnavailableError("No."), 503, "unavailable", BRIEFLY_DOWN),
    (errors.EmbeddingModelMismatchError("No."), 503, "embedding_model_mismatch", {}),
    (errors.ProviderError("No."), 503, "unavailable", BRIEFLY_DOWN),
    (errors.ProviderNotConfiguredError("No."), 501, "provider_not_configured", {}),
    (errors.ProviderRefusedError("No."), 502, "provider_refused", {}),
    (errors.ProviderLimitedError("No.", retry_after=17), 503, "unavailable", {"Retry-After": "17"}),
    (errors.ProviderBusyError("No."), 503, "unavailable", BRIEFLY_DOWN),
    (errors.ProviderUnreachableError("No."), 503, "unavailable", BRIEFLY_DOWN),
    (errors.ProviderTimeoutError("No."), 504, "upstream_timeout", {}),
    (errors.ProviderOutputError("No."), 502, "bad_provider_output", {}),
    (errors.EngramiaError("No."), 500, "internal_error", {}),
    (RuntimeError("No."), 500, "internal_error", {}),
    (HTTPException(404), 404, "not_found", {}),
    (HTTPException(405, headers={"Allow": "GET"}), 405, "method_not_allowed", {"Allow": "GET"}),
    (HTTPException(401), 401, "unauthorized", {"WWW-Authenticate": "Bearer"}),
    (HTTPException(418, "Short and stout."), 418, "i_m_a_teapot", {}),
    (HTTPException(499, "Odd."), 499, "error", {}),
    (HTTPException(500, "secret"), 500, "internal_error", {}),
]


@pytest.mark.parametrize(("exc", "status", "code", "headers"), CASES)
def test_status_code_and_headers(exc: Exception, status: int, code: str, headers: dict[str, str]) -> None:
    problem = problem_of(exc)
    body = orjson.loads(problem.body())
    assert (problem.status, body["error"], dict(problem.headers)) == (status, code, headers)
    assert body["detail"]


def test_every_class_of_the_tree_is_among_them() -> None:
    tree = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)}
    assert tree == {type(exc) for exc, *_ in CASES if isinstance(exc, errors.EngramiaError)}


def test_facts_stand_flat_beside_the_sentence() -> None:
    facts = {"metric": "eval_runs", "current": 500, "limit": 500, "reset_date": "2026-12-01"}
    problem = problem_of(errors.QuotaExceededError("The month's runs are used up.", facts=facts))
    assert orjson.loads(problem.body()) == {
        "error": "quota_exceeded",
        "detail": "The month's runs are used up.",
        **facts,
    }


def test_a_402_has_its_sentence_under_both_names() -> None:
    body = orjson.loads(problem_of(errors.PaymentRequiredError("Pay.")).body())
    assert body == {"error": "payment_required", "message": "Pay.", "detail": "Pay."}


def test_an_unexpected_failure_tells_nothing() -> None:
    body = orjson.loads(problem_of(KeyError("hunter2"), request_id="r1").body())
    assert body.keys() == {"error", "detail", "request_id"}
    assert "hunter2" not in body["detail"]


@pytest.mark.parametrize(
    "message",
    [
        "Cannot open /var/lib/engramia/default/journal",
        "connection to postgresql://app:hunter2@db.internal:5432/brain failed",
        "[Errno 13] Permission denied: '/home/anna/.cache/engramia/model.safetensors'",
    ],
)
@pytest.mark.parametrize(
    "kind",
    [
        errors.StorageError,
        errors.StorageCorruptError,
        errors.StorageUnavailableError,
        errors.ProviderUnreachableError,
        errors.ProviderNotConfiguredError,
        errors.ProviderOutputError,
        errors.ProviderTimeoutError,
        errors.UnavailableError,
    ],
)
def test_no_sentence_of_ours_leaks_paths_or_connection_strings(
    kind: type[errors.EngramiaError], message: str
) -> None:
    for said in (problem_of(kind(message)).detail, job_error_of(kind(message))[1]):
        assert not re.search("hunter2|/var|/root|journal|safetensors", said)


def test_a_path_of_the_api_is_no_secret() -> None:
    said = problem_of(errors.ProviderNotConfiguredError("POST /v1/evaluate needs a model.")).detail
    assert said == "POST /v1/evaluate needs a model."


class Item(pydantic.BaseModel):
    score: float = pydantic.Field(ge=0, le=10)
    tags: dict[str, int] = {}


def invalid(**values: object) -> Problem:
    with pytest.raises(pydantic.ValidationError) as caught:
        Item.model_validate(values)
    return problem_of(caught.value)


def test_an_invalid_field_is_named_and_its_value_is_not_repeated() -> None:
    secret = "hunter2" * 1_000
    body = orjson.loads(invalid(score=secret, tags={"a": 1}).body())
    assert body["detail"].startswith("score: ")
    assert body["issues"][0]["loc"] == ["score"]
    assert body["issues"][0].keys() == {"loc", "msg", "type"}
    assert "hunter2" not in repr(body)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", "\0", b"\xff"])
def test_values_that_json_cannot_carry_do_no_harm(value: object) -> None:
    assert invalid(score=value).status == 422
    assert orjson.loads(invalid(score=1, tags={f"k{value!s}": "x"}).body())["issues"]


def test_keys_and_issues_without_end_are_cut() -> None:
    body = invalid(score=1, tags={f"{number}{'k' * 10_000}": "x" for number in range(500)}).body()
    assert len(orjson.loads(body)["issues"]) == ISSUES_MAX
    assert len(body) < 10_000


def test_a_lone_surrogate_in_a_sentence_is_replaced() -> None:
    body = problem_of(errors.NotFoundError("There is no '\ud800\0'.")).body()
    assert orjson.loads(body)["detail"] == "There is no '\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}'."


def test_a_request_that_fastapi_refuses() -> None:
    raw = [{"loc": ("body", "task"), "msg": "Field required", "type": "missing", "input": {}}]
    body = orjson.loads(problem_of(RequestValidationError(raw)).body())
    assert body == {
        "error": "validation_error",
        "detail": "task: Field required",
        "issues": [{"loc": ["body", "task"], "msg": "Field required", "type": "missing"}],
    }


def test_a_failed_job_keeps_code_and_sentence() -> None:
    assert job_error_of(errors.NotFoundError("No such pattern.")) == ("not_found", "No such pattern.")
    code, detail = job_error_of(RuntimeError("hunter2"))
    assert code == "internal_error"
    assert "hunter2" not in detail


def test_every_documented_status_has_an_example_of_itself() -> None:
    documented = responses_for(*ERRORS_BY_STATUS)
    for status, each in ERRORS_BY_STATUS.items():
        example = documented[status]["content"]["application/json"]["example"]
        assert each.example.status == status
        assert documented[status]["model"].model_validate(example)
    assert {problem_of(exc).status for exc, *_ in CASES} - set(ERRORS_BY_STATUS) == {418, 499}


def test_the_openapi_document_takes_them() -> None:
    app = FastAPI(exception_handlers=dict(EXCEPTION_HANDLERS))

    @app.post("/x", responses=responses_for(errors.RateLimitedError, errors.AuthenticationError, 422))
    def endpoint() -> None: ...

    answers = app.openapi()["paths"]["/x"]["post"]["responses"]
    assert answers.keys() == {"200", "401", "422", "429"}
    assert answers["429"]["headers"].keys() == {"Retry-After"}
    assert answers["422"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/InvalidInput"
    }
