"""How every error looks on the wire: the one place that knows HTTP status codes.

One shape everywhere: `{"error": "<snake_case code>", "detail": "<sentence>", ...facts}`. A class of the error
tree has one status here; the sentence is the error's own where it is written for the caller, and a fixed one
where it speaks to the operator (paths, vendors' words), who finds it in the log.
"""

import logging
import math
import re
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import orjson
import pydantic
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from engramia import errors

_log = logging.getLogger("engramia.errors")

DETAIL_MAX_CHARS = 1_000
ISSUES_MAX = 20
ISSUE_MAX_CHARS = 300
LOC_MAX_CHARS = 100
SOON_SECONDS = 5.0
"""What `Retry-After` says where nobody knows when a dependency will be back."""
MAINTENANCE_SECONDS = 3_600

INTERNAL_DETAIL = "Something went wrong on our side; the log has it under this request id."

_INVISIBLE = re.compile("[\ud800-\udfff\x00]")
_CREDENTIALS_IN_URL = re.compile(r"\b([a-z][a-z0-9+.-]*://)[^\s/@]*@", re.IGNORECASE)
_FILE = re.compile(r"(?<![\w:/.])/(?!v1/|auth/|docs\b)[\w.@-]+(?:/[\w.@-]+)+")


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as it goes over the wire."""

    status: int
    error: str
    detail: str
    facts: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def with_headers(self, headers: Mapping[str, str]) -> "Problem":
        """Return the same problem with these headers besides its own."""
        return replace(self, headers={**self.headers, **headers})

    def body(self) -> bytes:
        """Return the JSON body."""
        return orjson.dumps({"error": self.error, "detail": self.detail, **self.facts}, default=str)


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a class of the tree is on the wire; `detail` stands in for a sentence that is not the caller's."""

    status: HTTPStatus
    error: str
    detail: str | None = None


_S = HTTPStatus
_KINDS: Mapping[type[BaseException], _Kind] = {
    errors.ValidationError: _Kind(_S.UNPROCESSABLE_ENTITY, "validation_error"),
    errors.BadRequestError: _Kind(_S.BAD_REQUEST, "bad_request"),
    errors.PayloadTooLargeError: _Kind(_S.REQUEST_ENTITY_TOO_LARGE, "payload_too_large"),
    errors.UnsupportedMediaTypeError: _Kind(_S.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
    errors.AuthenticationError: _Kind(_S.UNAUTHORIZED, "unauthorized"),
    errors.AuthorizationError: _Kind(_S.FORBIDDEN, "forbidden"),
    errors.NotFoundError: _Kind(_S.NOT_FOUND, "not_found"),
    errors.GoneError: _Kind(_S.GONE, "gone"),
    errors.ConflictError: _Kind(_S.CONFLICT, "conflict"),
    errors.PaymentRequiredError: _Kind(_S.PAYMENT_REQUIRED, "payment_required"),
    errors.QuotaExceededError: _Kind(_S.TOO_MANY_REQUESTS, "quota_exceeded"),
    errors.RateLimitedError: _Kind(_S.TOO_MANY_REQUESTS, "rate_limited"),
    errors.DatabaseRequiredError: _Kind(_S.NOT_IMPLEMENTED, "database_required"),
    errors.UnavailableError: _Kind(_S.SERVICE_UNAVAILABLE, "unavailable"),
    errors.MaintenanceError: _Kind(_S.SERVICE_UNAVAILABLE, "maintenance"),
    errors.StorageFullError: _Kind(
        _S.SERVICE_UNAVAILABLE, "storage_full", "The storage has no space left; nothing of this was kept."
    ),
    errors.StorageUnavailableError: _Kind(
        _S.SERVICE_UNAVAILABLE, "unavailable", "The storage cannot be reached just now; try again shortly."
    ),
    # Nothing that a client does and no waiting mends these: 503 without Retry-After takes the instance out of
    # rotation, and the code tells them from an outage that passes.
    errors.StorageCorruptError: _Kind(
        _S.SERVICE_UNAVAILABLE,
        "storage_corrupt",
        "The storage is damaged; `engramia doctor` names where, and the server's log has the details.",
    ),
    errors.EmbeddingModelMismatchError: _Kind(
        _S.SERVICE_UNAVAILABLE,
        "embedding_model_mismatch",
        "The store was filled by another embedding model; the operator has to run `engramia reindex`.",
    ),
    errors.StorageError: _Kind(
        _S.SERVICE_UNAVAILABLE, "storage_error", "The storage could not do this; the server's log says why."
    ),
    errors.ProviderNotConfiguredError: _Kind(_S.NOT_IMPLEMENTED, "provider_not_configured"),
    errors.ProviderOutputError: _Kind(_S.BAD_GATEWAY, "bad_provider_output"),
    # The operator's key or request is wrong, not the caller's: the gateway got an answer it cannot use, and
    # asking again gets the same one.
    errors.ProviderRefusedError: _Kind(
        _S.BAD_GATEWAY,
        "provider_refused",
        "The model's vendor refused the server's request; the server's log says why.",
    ),
    errors.ProviderTimeoutError: _Kind(_S.GATEWAY_TIMEOUT, "upstream_timeout"),
    errors.ProviderLimitedError: _Kind(
        _S.SERVICE_UNAVAILABLE, "unavailable", "The model's vendor asks us to slow down; try again shortly."
    ),
    errors.ProviderBusyError: _Kind(_S.SERVICE_UNAVAILABLE, "unavailable"),
    errors.ProviderError: _Kind(
        _S.SERVICE_UNAVAILABLE, "unavailable", "The model cannot be reached just now; try again shortly."
    ),
}
_BRIEF = (errors.UnavailableError, errors.StorageUnavailableError, errors.ProviderError)
"""Down for a while only: their 503 carries `Retry-After`."""

_STATUS_SENTENCES: Mapping[int, str] = {
    _S.NOT_FOUND: "There is nothing at this path.",
    _S.METHOD_NOT_ALLOWED: "This path does not take the method; the Allow header names those that it takes.",
    _S.INTERNAL_SERVER_ERROR: INTERNAL_DETAIL,
}
_STATUS_CODES: Mapping[int, str] = {
    _S.INTERNAL_SERVER_ERROR: "internal_error",
    _S.SERVICE_UNAVAILABLE: "unavailable",
    _S.GATEWAY_TIMEOUT: "upstream_timeout",
    _S.REQUEST_ENTITY_TOO_LARGE: "payload_too_large",
    _S.UNPROCESSABLE_ENTITY: "validation_error",
    _S.TOO_MANY_REQUESTS: "rate_limited",
}
_KNOWN = frozenset(HTTPStatus)
_CHALLENGE = {"WWW-Authenticate": "Bearer"}
_OTHER_TOKEN = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
"""To who showed a token: another one may help (RFC 6750, 3.1)."""


def problem_of(exc: BaseException, *, request_id: str | None = None) -> Problem:
    """Return `exc` as an answer; what nobody raised on purpose is a 500 that names only the request."""
    match exc:
        case errors.ValidationError():
            return _invalid([_Issue((exc.field,), str(exc), "value_error")], sentence=str(exc), code=exc.code)
        case RequestValidationError() | pydantic.ValidationError():
            return _invalid(_issues_of(exc.errors()))
        case errors.EngramiaError():
            return _of_the_tree(exc) or _internal(request_id)
        case HTTPException():
            return _of_the_framework(exc, request_id)
        case _:
            return _internal(request_id)


def _internal(request_id: str | None) -> Problem:
    facts = {} if request_id is None else {"request_id": request_id}
    return Problem(_S.INTERNAL_SERVER_ERROR, "internal_error", INTERNAL_DETAIL, facts)


def _kind_of(exc: BaseException) -> _Kind | None:
    return next((_KINDS[kind] for kind in type(exc).__mro__ if kind in _KINDS), None)


def status_of(kind: type[errors.EngramiaError]) -> int:
    """Return the status that errors of this class have."""
    return next((_KINDS[each].status for each in kind.__mro__ if each in _KINDS), _S.INTERNAL_SERVER_ERROR)


def _of_the_tree(exc: errors.EngramiaError) -> Problem | None:
    kind = _kind_of(exc)
    if kind is None:
        return None
    detail = kind.detail or _sentence(str(exc) or kind.status.phrase)
    if kind.status >= _S.INTERNAL_SERVER_ERROR:
        detail = _discreet(detail)
    return Problem(kind.status, exc.code or kind.error, detail, _facts(exc), _headers(exc, kind.status))


def _facts(exc: errors.EngramiaError) -> Mapping[str, object]:
    # The user guide shows the sentence of a 402 under both names.
    message = {"message": _sentence(str(exc))} if isinstance(exc, errors.PaymentRequiredError) else {}
    facts = {name: _sentence(value) if isinstance(value, str) else value for name, value in exc.facts.items()}
    return {**message, **facts}


def _headers(exc: errors.EngramiaError, status: int) -> Mapping[str, str]:
    if status == _S.UNAUTHORIZED:
        return _OTHER_TOKEN if isinstance(exc, errors.InvalidTokenError) else _CHALLENGE
    seconds = getattr(exc, "retry_after", None)
    if isinstance(exc, errors.MaintenanceError):
        seconds = seconds or MAINTENANCE_SECONDS
    if seconds is None and (status != _S.SERVICE_UNAVAILABLE or not isinstance(exc, _BRIEF)):
        return {}
    return {"Retry-After": retry_after(SOON_SECONDS if seconds is None else seconds)}


def retry_after(seconds: float) -> str:
    """Return `seconds` as the header has it: whole, rounded up, at least 1."""
    return str(max(1, math.ceil(seconds)))


def _of_the_framework(exc: HTTPException, request_id: str | None) -> Problem:
    status = exc.status_code
    if status == _S.INTERNAL_SERVER_ERROR:
        return _internal(request_id)
    phrase = HTTPStatus(status).phrase if status in _KNOWN else "Error"
    said = str(exc.detail)
    sentence = _STATUS_SENTENCES.get(status, phrase) if said in {"", phrase} else _sentence(said)
    headers = dict(exc.headers or {}) | (_CHALLENGE if status == _S.UNAUTHORIZED else {})
    return Problem(status, _STATUS_CODES.get(status, _snake(phrase)), sentence, headers=headers)


def _snake(phrase: str) -> str:
    return re.sub(r"[^a-z]+", "_", phrase.lower()).strip("_")


def _sentence(text: str, limit: int = DETAIL_MAX_CHARS) -> str:
    """Return `text` short enough to send and free of what JSON cannot carry."""
    clean = _INVISIBLE.sub("\N{REPLACEMENT CHARACTER}", text)
    return clean if len(clean) <= limit else clean[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _discreet(sentence: str) -> str:
    """Return a server's failure without what only its operator may read: credentials in URLs, files."""
    return _FILE.sub("(a file)", _CREDENTIALS_IN_URL.sub(r"\1", sentence))


@dataclass(frozen=True, slots=True)
class _Issue:
    """What is wrong with one field. `loc` is its path, from the part of the request (body, query) inwards."""

    loc: tuple[str | int, ...]
    msg: str
    type: str

    def wire(self) -> dict[str, object]:
        loc = [_sentence(part, LOC_MAX_CHARS) if isinstance(part, str) else part for part in self.loc]
        return {"loc": loc, "msg": _sentence(self.msg, ISSUE_MAX_CHARS), "type": self.type}

    def sentence(self) -> str:
        where = ".".join(str(part) for part in self.loc if part != "body")
        return _sentence(f"{where}: {self.msg}" if where else self.msg, ISSUE_MAX_CHARS)


def _issues_of(raw: Iterable[Any]) -> list[_Issue]:
    return [_Issue(tuple(each["loc"]), str(each["msg"]), str(each["type"])) for each in raw]


def _invalid(issues: Sequence[_Issue], *, sentence: str | None = None, code: str | None = None) -> Problem:
    more = f" ({len(issues) - 1} more)" if len(issues) > 1 else ""
    detail = _sentence(sentence) if sentence else f"{issues[0].sentence()}{more}"
    shown = [issue.wire() for issue in issues[:ISSUES_MAX]]
    return Problem(_S.UNPROCESSABLE_ENTITY, code or "validation_error", detail, {"issues": shown})


def response_of(problem: Problem) -> Response:
    """Return `problem` as a response for an exception handler."""
    return Response(
        problem.body(),
        status_code=problem.status,
        headers=dict(problem.headers),
        media_type="application/json",
    )


async def send_problem(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Send `problem` from a middleware."""
    await response_of(problem)(scope, receive, send)


def job_error_of(exc: BaseException) -> tuple[str, str]:
    """Return `(code, sentence)` to keep with a failed job: nothing that only the operator may read."""
    problem = problem_of(exc)
    if problem.error == "internal_error":
        return problem.error, "Something went wrong on our side; the server's log has it under this job's id."
    return problem.error, problem.detail


def log_failure(exc: BaseException, problem: Problem) -> None:
    """Log what the answer does not say: the whole of an unexpected failure, the operator's half of others."""
    if problem.error == "internal_error":
        _log.error("Unexpected failure", exc_info=exc)
    elif problem.status >= _S.INTERNAL_SERVER_ERROR and problem.status != _S.NOT_IMPLEMENTED:
        _log.warning("%s: %s", problem.error, exc)


async def answer_failure(request: Request, exc: Exception) -> Response:
    """Answer an exception that reached the application: log it, return its response."""
    problem = problem_of(exc, request_id=request.scope.get("state", {}).get("request_id"))
    log_failure(exc, problem)
    return response_of(problem)


type _Handler = Callable[[Request, Any], Coroutine[Any, Any, Response]]

EXCEPTION_HANDLERS: Mapping[int | type[Exception], _Handler] = MappingProxyType(
    dict.fromkeys(
        (errors.EngramiaError, HTTPException, RequestValidationError, pydantic.ValidationError),
        answer_failure,
    )
)
"""For `FastAPI(exception_handlers=...)`. `Exception` is left out: it would be answered outside every
middleware, without their headers; `LastResort` inside them answers it."""
