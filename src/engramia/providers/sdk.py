"""What the vendors' SDKs have in common: made at the first use, and their errors turned into ours.

OpenAI's and Anthropic's SDKs come from one generator and share their classes' names.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

from engramia.errors import (
    ProviderError,
    ProviderLimitedError,
    ProviderNotConfiguredError,
    ProviderOutputError,
    ProviderRefusedError,
    ProviderTimeoutError,
    ProviderUnreachableError,
)

CONNECT_SECONDS = 10.0
_SAID = 200
_TOO_SLOW, _CONFLICT, _LIMITED, _SERVER = 408, 409, 429, 500
_CREDENTIALS = (401, 403)


class SDK:
    """A vendor's SDK and its client, both made at the first use."""

    def __init__(self, vendor: str, make: Callable[[], tuple[Any, Any]]) -> None:
        """Take the vendor's name as people write it, and what imports the module and makes the client."""
        self.vendor = vendor
        self._make = make
        self._lock = threading.Lock()
        self._made: tuple[Any, Any] | None = None

    def get(self) -> tuple[Any, Any]:
        """Return the SDK's module and the client; raises `ProviderNotConfiguredError` without the SDK."""
        with self._lock:
            self._made = self._made or self._imported()
            return self._made

    def close(self) -> None:
        """Close the connections that are kept open between calls."""
        with self._lock:
            if self._made is not None:
                self._made[1].close()
                self._made = None

    def _imported(self) -> tuple[Any, Any]:
        try:
            return self._make()
        except ImportError as error:
            extra = self.vendor.lower()
            raise ProviderNotConfiguredError(f'{error}: pip install "engramia[{extra}]"') from error


@contextmanager
def translated(sdk: Any, vendor: str) -> Iterator[None]:
    """Turn the errors inside, the SDK's and those of the HTTP client under it, into ours."""
    import httpx2

    try:
        yield
    except sdk.APIStatusError as error:
        raise _status_error(error, vendor) from error
    except (sdk.APITimeoutError, httpx2.TimeoutException) as error:
        raise ProviderTimeoutError(f"{vendor} did not answer in time.") from error
    except (sdk.APIConnectionError, httpx2.RequestError) as error:
        raise ProviderUnreachableError(f"{vendor} cannot be reached: {error.__cause__ or error}") from error
    except (_base(sdk, vendor), ValueError, TypeError, AttributeError, RecursionError) as error:
        # The SDK parses without checking: an answer of another shape fails anywhere inside it.
        raise ProviderOutputError(f"{vendor}'s answer cannot be read: {type(error).__name__}") from error


def _base(sdk: Any, vendor: str) -> type[Exception]:
    base: type[Exception] = getattr(sdk, f"{vendor}Error")
    return base


class _UnavailableError(ProviderUnreachableError):
    """A failure of the vendor's that came with a wish, in seconds, when to ask again."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def _status_error(error: Any, vendor: str) -> ProviderError:
    status = error.status_code
    code = getattr(error, "code", None) or getattr(error, "type", None)
    said = f"{vendor} answered {status}{f' {code}' if code else ''}"
    wish = _retry_after(error.response.headers)
    if status == _LIMITED:
        return ProviderLimitedError(f"{said}.", retry_after=wish)
    if status == _TOO_SLOW:
        return ProviderTimeoutError(f"{said}.")
    if status >= _SERVER or status == _CONFLICT:
        return (
            ProviderUnreachableError(f"{said}.")
            if wish is None
            else _UnavailableError(f"{said}.", retry_after=wish)
        )
    # What it says about a key contains parts of the key.
    told = getattr(error, "api_message", None) or error.message
    return ProviderRefusedError(f"{said}." if status in _CREDENTIALS else f"{said}: {str(told)[:_SAID]}")


def _retry_after(headers: Any) -> float | None:
    """Return the wished seconds (RFC 9110, 10.2.3: a number or a date), or None."""
    value = headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except ValueError:
        return None
