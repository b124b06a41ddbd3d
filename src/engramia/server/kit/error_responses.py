"""What the OpenAPI document says of errors: their schema, and each status with an example."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import orjson
import pydantic
from starlette.exceptions import HTTPException

from engramia import errors
from engramia.server.kit.errors import Problem, problem_of, status_of


class Error(pydantic.BaseModel):
    """What every error looks like; some carry more fields, flat beside these."""

    model_config = pydantic.ConfigDict(extra="allow")

    error: str = pydantic.Field(description="Code in snake_case; what a client branches on.")
    detail: str = pydantic.Field(description="A sentence for a human.")


class Issue(pydantic.BaseModel):
    """What is wrong with one field."""

    loc: list[str | int] = pydantic.Field(description="Path of the field.")
    msg: str = pydantic.Field(description="What is wrong with it.")
    type: str = pydantic.Field(description="Kind of the fault.")


class InvalidInput(Error):
    """A request that can be read but not accepted."""

    issues: list[Issue] = pydantic.Field(default=[], description="What is wrong with which field.")


@dataclass(frozen=True, slots=True)
class _Documented:
    """A status in the OpenAPI document: when it comes, and one body as an example."""

    description: str
    example: Problem
    others: tuple[str, ...] = ()


def _example(exc: BaseException) -> Problem:
    return problem_of(exc, request_id="01k9zq3v5t8w2xn4bq6rjd7mhc")


def _table() -> dict[int, _Documented]:
    documented = (
        _Documented(
            "The request cannot be read.",
            _example(errors.BadRequestError("The body is not JSON: it ends too early.")),
        ),
        _Documented("No valid key.", _example(errors.AuthenticationError("This key is not valid."))),
        _Documented(
            "The subscription is past due.",
            _example(
                errors.PaymentRequiredError(
                    "Your subscription payment is past due. Update your payment method to continue."
                )
            ),
        ),
        _Documented(
            "The caller's role or plan does not allow this.",
            _example(errors.AuthorizationError("Role 'reader' does not have permission 'learn'.")),
            ("plan_upgrade_required",),
        ),
        _Documented("It does not exist.", _example(errors.NotFoundError("There is no such pattern."))),
        _Documented(
            "The path does not take the method.",
            _example(HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "POST"})),
        ),
        _Documented(
            "The thing's state does not allow this.",
            _example(errors.ConflictError("The job is not pending.", code="job_not_cancellable")),
            ("conflict", "idempotency_in_progress", "key_already_created"),
        ),
        _Documented("It existed and does no more.", _example(errors.GoneError("This account was deleted."))),
        _Documented("The body is too large.", _example(errors.PayloadTooLargeError(1 << 20))),
        _Documented(
            "The body is encoded.",
            _example(
                errors.UnsupportedMediaTypeError(
                    "Content-Encoding 'gzip' is not read here; send the body as it is."
                )
            ),
        ),
        _Documented(
            "A field is wrong.",
            _example(errors.ValidationError("task must not be blank.", field="task")),
            ("idempotency_key_reused",),
        ),
        _Documented(
            "Too many requests, or the plan's limit is reached.",
            _example(errors.RateLimitedError(60, 12.0)),
            ("quota_exceeded", "overage_budget_cap_reached"),
        ),
        _Documented("An unexpected failure.", _example(RuntimeError())),
        _Documented(
            "Not set up on this server.",
            _example(
                errors.ProviderNotConfiguredError("evaluate asks a language model, and none is configured.")
            ),
            ("database_required",),
        ),
        _Documented(
            "The model's answer cannot be used.",
            _example(errors.ProviderOutputError("Fewer than half of the judges gave a valid answer.")),
            ("provider_refused",),
        ),
        _Documented(
            "Briefly down.",
            _example(
                errors.UnavailableError(
                    "The storage cannot be reached just now; try again shortly.", retry_after=5
                )
            ),
            ("maintenance", "storage_full", "storage_corrupt", "storage_error", "embedding_model_mismatch"),
        ),
        _Documented(
            "The model did not answer in time.",
            _example(errors.ProviderTimeoutError("OpenAI did not answer in time.")),
        ),
    )
    return {each.example.status: each for each in documented}


ERRORS_BY_STATUS: Mapping[int, _Documented] = MappingProxyType(_table())
"""Every status that an error may have, with an example."""

_HEADER_TEXTS = {
    "Allow": "Methods that the path takes.",
    "Retry-After": "Whole seconds after which asking again makes sense.",
    "WWW-Authenticate": "How to authenticate.",
}


def responses_for(*statuses: int | type[errors.EngramiaError]) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of statuses, or of the classes of errors, for `responses=` of a route."""
    numbers = sorted({each if isinstance(each, int) else status_of(each) for each in statuses})
    return {status: _response(ERRORS_BY_STATUS[status]) for status in numbers}


def _response(documented: _Documented) -> dict[str, Any]:
    example = documented.example
    also = (
        f" Other codes: {', '.join(f'`{code}`' for code in documented.others)}." if documented.others else ""
    )
    headers = {
        name: {"description": _HEADER_TEXTS[name], "schema": {"type": "string"}} for name in example.headers
    }
    return {
        "model": InvalidInput if example.status == HTTPStatus.UNPROCESSABLE_ENTITY else Error,
        "description": f"{documented.description}{also}",
        "content": {"application/json": {"example": orjson.loads(example.body())}},
        **({"headers": headers} if headers else {}),
    }
