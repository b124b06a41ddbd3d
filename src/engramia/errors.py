"""Every error Engramia raises on purpose, as one tree without HTTP.

EngramiaError
├── ValidationError            the caller's input is wrong; names the field and the limit
├── NotFoundError              the thing named does not exist in this scope
├── AuthorizationError         the caller may not do this
├── QuotaExceededError         the plan's limit is reached
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


class EngramiaError(Exception):
    """Base of everything Engramia raises on purpose."""


class ValidationError(EngramiaError):
    """The caller's input is wrong: `field` names it, the message says the limit that it broke."""

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


class NotFoundError(EngramiaError):
    """The thing named does not exist in this scope."""


class AuthorizationError(EngramiaError):
    """The caller may not do this."""


class QuotaExceededError(EngramiaError):
    """The plan's limit is reached."""


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
