"""Every error Engramia raises on purpose, as one tree without HTTP.

EngramiaError
├── ValidationError            the caller's input is wrong; names the field and the limit
│   └── IdempotencyKeyReusedError  an Idempotency-Key came before with another body
├── BadRequestError            the request cannot be read at all
│   ├── PayloadTooLargeError   it is larger than the limit
│   └── UnsupportedMediaTypeError  it is encoded in a way that is not read here
├── AuthenticationError        nobody knows who is calling
│   └── InvalidTokenError      the token they showed is not to be believed
├── AuthorizationError         the caller may not do this
├── NotFoundError              the thing named does not exist in this scope
├── GoneError                  it existed and does no more
├── ConflictError              the thing is in a state that does not allow this
│   └── InProgressError        the same request is still under way
├── PaymentRequiredError       the subscription is past due
├── QuotaExceededError         the plan's limit is reached
├── RateLimitedError           too many requests in a minute
├── DatabaseRequiredError      this needs Postgres, and the storage is JSON
├── UnavailableError           a part of the service is briefly down
│   └── MaintenanceError       the operator has closed the service for a while
├── StorageError               the store could not do what was asked
│   ├── StorageFullError       no space left; nothing of the write was kept
│   ├── StorageCorruptError    bytes on disk are not what was written
│   ├── StorageUnavailableError  the store cannot be reached in time
│   └── EmbeddingModelMismatchError  the store was filled by another embedding model
└── ProviderError              a model or vendor outside could not answer
    ├── ProviderNotConfiguredError  nothing is set up to answer
    ├── ProviderRefusedError   the vendor refused the credentials or the request (401, 403, 400)
    ├── ProviderLimitedError   the vendor asks us to slow down (429)
    ├── ProviderBusyError      too many calls wait for the provider already; nothing was sent
    ├── ProviderUnreachableError  no connection, or the vendor failed (5xx)
    ├── ProviderTimeoutError   no answer within the deadline
    └── ProviderOutputError    the answer could not be used
"""

from collections.abc import Mapping


class EngramiaError(Exception):
    """Base of everything Engramia raises on purpose.

    `code` is a snake_case name where a client would branch on more than the class; `facts` are flat values
    that go with the sentence.
    """

    def __init__(
        self, *args: object, code: str | None = None, facts: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(*args)
        self.code = code
        self.facts = dict(facts or {})


class ValidationError(EngramiaError):
    """The caller's input is wrong: `field` names it, the message says the limit that it broke."""

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


class IdempotencyKeyReusedError(ValidationError):
    """An Idempotency-Key came before with another body."""

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message, field=field)
        self.code = "idempotency_key_reused"


class BadRequestError(EngramiaError):
    """The request cannot be read at all: no field of it is to blame."""


class PayloadTooLargeError(BadRequestError):
    """The request is larger than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"Request body too large. Maximum allowed: {limit} bytes.")
        self.limit = limit


class UnsupportedMediaTypeError(BadRequestError):
    """The request is encoded in a way that is not read here."""


class AuthenticationError(EngramiaError):
    """Nobody knows who is calling, or they cannot prove it."""


class InvalidTokenError(AuthenticationError):
    """A token was shown and is not to be believed: malformed, forged, expired, or for somebody else."""


class AuthorizationError(EngramiaError):
    """The caller may not do this."""


class NotFoundError(EngramiaError):
    """The thing named does not exist in this scope."""


class GoneError(EngramiaError):
    """The thing named existed and does no more."""


class ConflictError(EngramiaError):
    """The thing is in a state that does not allow this; `code` says which."""


class InProgressError(ConflictError):
    """The same request is still under way; asking again after `retry_after` seconds may find its answer."""

    def __init__(self, message: str, *, retry_after: float, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class PaymentRequiredError(EngramiaError):
    """The subscription is past due."""


class QuotaExceededError(EngramiaError):
    """The plan's limit is reached; `facts` are metric, current, limit and reset_date where they are known."""


class RateLimitedError(EngramiaError):
    """More than `limit` requests in a minute; the next one passes after `retry_after` seconds."""

    def __init__(self, limit: int, retry_after: float) -> None:
        super().__init__(f"Rate limit exceeded. Max {limit} requests per minute.")
        self.limit = limit
        self.retry_after = retry_after


class DatabaseRequiredError(EngramiaError):
    """What was asked for needs Postgres, and the storage is JSON."""


class UnavailableError(EngramiaError):
    """A part of the service is briefly down; asking again after `retry_after` seconds may help."""

    def __init__(self, message: str, *, retry_after: float | None = None, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class MaintenanceError(UnavailableError):
    """The operator has closed the service for a while."""


class StorageError(EngramiaError):
    """The store could not do what was asked."""


class StorageFullError(StorageError):
    """No space is left; nothing of the write was kept."""


class StorageCorruptError(StorageError):
    """Bytes on disk are not what was written."""


class StorageUnavailableError(StorageError):
    """The store cannot be reached in time."""


class EmbeddingModelMismatchError(StorageError):
    """The store was filled by another embedding model; `engramia reindex` re-embeds it."""


class ProviderError(EngramiaError):
    """A model or vendor outside could not answer."""


class ProviderNotConfiguredError(ProviderError):
    """Nothing is set up to answer."""


class ProviderRefusedError(ProviderError):
    """The vendor refused the credentials or the request."""


class ProviderLimitedError(ProviderError):
    """The vendor asks us to slow down; `retry_after` is its wish in seconds, if it said one."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ProviderBusyError(ProviderError):
    """Too many calls wait for the provider already; nothing was sent."""


class ProviderUnreachableError(ProviderError):
    """No connection, or the vendor failed on its side."""


class ProviderTimeoutError(ProviderError):
    """No answer within the deadline."""


class ProviderOutputError(ProviderError):
    """The answer came and could not be used."""
