"""What can go wrong between a client and its server.

EngramiaError
├── EngramiaConnectionError       no answer came: refused, unknown host, bad certificate, lost on the way
│   └── EngramiaTimeoutError      no answer came in time
├── EngramiaJobError              a job ended without a result
└── EngramiaHTTPError             the server answered that it did not do it
    ├── HTTPBadRequestError       400, 413, 415
    ├── HTTPAuthenticationError   401
    ├── HTTPPaymentRequiredError  402
    ├── HTTPAuthorizationError    403
    ├── HTTPNotFoundError         404
    ├── HTTPConflictError         409
    ├── HTTPGoneError             410
    ├── HTTPValidationError       422
    ├── HTTPRateLimitedError      429 `rate_limited`
    ├── HTTPQuotaExceededError    429 with any other code
    ├── HTTPDatabaseRequiredError 501 `database_required`
    ├── HTTPProviderError         501 `provider_not_configured`, 502, 504
    └── HTTPUnavailableError      503

Each of the last group is also the error of the same name in `engramia.errors`, so that
`except AuthorizationError` means the same whether a program uses the library or the server.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engramia import errors


class EngramiaConnectionError(errors.EngramiaError):
    """No answer came.

    `code` is one of `connection_refused`, `unknown_host`, `host_lookup_failed`, `bad_certificate`,
    `tls_failed`, `unreachable`, `connection_lost`, `not_http`, `timeout`. `sent` is False if the server
    cannot have acted on the request, True if it may have.
    """

    def __init__(self, message: str, *, code: str, sent: bool, request_id: str | None = None) -> None:
        super().__init__(message, code=code)
        self.sent = sent
        self.request_id = request_id

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (type(self), self.args, vars(self))


class EngramiaTimeoutError(EngramiaConnectionError):
    """No answer came within the time that the call had."""


class EngramiaJobError(errors.EngramiaError):
    """A job ended without a result; `job` is what the server says of it, `status` how it ended."""

    def __init__(self, message: str, *, job: Mapping[str, Any], code: str) -> None:
        super().__init__(message, code=code)
        self.job = dict(job)
        self.status = str(job.get("status"))

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (type(self), self.args, vars(self))


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the server said when it did not do what was asked."""

    status: int
    code: str
    detail: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    request_id: str | None = None
    retry_after: float | None = None


class EngramiaHTTPError(errors.EngramiaError):
    """The server answered that it did not do it.

    `status` is the HTTP status, `code` a snake_case name to branch on, `detail` a sentence for people,
    `facts` the other fields of the answer, `request_id` what the server's log has it under, `retry_after` the
    seconds after which asking again makes sense (None where the server named none).
    """

    def __init__(self, refusal: Refusal) -> None:
        message = f"{refusal.status} {refusal.code}: {refusal.detail}"
        # Named, not super(): what it is besides (a ValidationError, ...) has other parameters.
        errors.EngramiaError.__init__(self, message, code=refusal.code, facts=refusal.facts)
        self.code: str = refusal.code
        self.status = refusal.status
        self.detail = refusal.detail
        self.request_id = refusal.request_id
        self.retry_after = refusal.retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (type(self), self.args, vars(self))


class HTTPBadRequestError(EngramiaHTTPError, errors.BadRequestError):
    """The request cannot be read, or is too large."""


class HTTPAuthenticationError(EngramiaHTTPError, errors.AuthenticationError):
    """The API key is missing or not valid."""


class HTTPPaymentRequiredError(EngramiaHTTPError, errors.PaymentRequiredError):
    """The subscription is past due."""


class HTTPAuthorizationError(EngramiaHTTPError, errors.AuthorizationError):
    """The key's role or plan does not allow this."""


class HTTPNotFoundError(EngramiaHTTPError, errors.NotFoundError):
    """It does not exist in the key's project."""


class HTTPConflictError(EngramiaHTTPError, errors.ConflictError):
    """The thing's state does not allow this."""


class HTTPGoneError(EngramiaHTTPError, errors.GoneError):
    """It existed and does no more."""


class HTTPValidationError(EngramiaHTTPError, errors.ValidationError):
    """A field is wrong: `field` names the first one, `facts["issues"]` lists them all."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.field = _field_of(refusal.facts.get("issues"))


class HTTPRateLimitedError(EngramiaHTTPError, errors.RateLimitedError):
    """More requests in a minute than are allowed, and waiting for the next would have taken too long."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.retry_after: float = refusal.retry_after or 0.0


class HTTPQuotaExceededError(EngramiaHTTPError, errors.QuotaExceededError):
    """The plan's limit is reached; `facts` say which, and when it begins anew."""


class HTTPDatabaseRequiredError(EngramiaHTTPError, errors.DatabaseRequiredError):
    """The server would need Postgres for this."""


class HTTPProviderError(EngramiaHTTPError, errors.ProviderError):
    """The server's language model is not set up, gave no usable answer, or none in time."""


class HTTPUnavailableError(EngramiaHTTPError, errors.UnavailableError):
    """A part of the service is down; for a while only, if there is a `retry_after`."""


_BY_STATUS: Mapping[int, type[EngramiaHTTPError]] = {
    400: HTTPBadRequestError,
    401: HTTPAuthenticationError,
    402: HTTPPaymentRequiredError,
    403: HTTPAuthorizationError,
    404: HTTPNotFoundError,
    409: HTTPConflictError,
    410: HTTPGoneError,
    413: HTTPBadRequestError,
    415: HTTPBadRequestError,
    422: HTTPValidationError,
    429: HTTPQuotaExceededError,
    502: HTTPProviderError,
    503: HTTPUnavailableError,
    504: HTTPProviderError,
}
_BY_CODE: Mapping[str, type[EngramiaHTTPError]] = {
    "rate_limited": HTTPRateLimitedError,
    "database_required": HTTPDatabaseRequiredError,
    "provider_not_configured": HTTPProviderError,
}


def error_for(refusal: Refusal) -> EngramiaHTTPError:
    """Return the error that `refusal` is."""
    kind = _BY_CODE.get(refusal.code) or _BY_STATUS.get(refusal.status, EngramiaHTTPError)
    return kind(refusal)


def _field_of(issues: object) -> str:
    match issues:
        case [{"loc": [*loc]}, *_]:
            return ".".join(str(part) for part in loc if part not in ("body", "query", "path"))
        case _:
            return ""


def _remade(kind: type[Exception], args: tuple[Any, ...], state: Mapping[str, Any]) -> Exception:
    """Return an error out of its parts, as unpickling in another process needs."""
    error = kind.__new__(kind, *args)
    vars(error).update(state)
    return error
