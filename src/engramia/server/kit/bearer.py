"""Reads `Authorization: Bearer ...` (RFC 6750, 2.1)."""

import re
from collections.abc import Iterable

from engramia.errors import AuthenticationError

_FORM = re.compile(rb"bearer +(\S(?:.*\S)?)\s*", re.IGNORECASE)

type RawHeaders = Iterable[tuple[bytes, bytes]]


def presented_token(headers: RawHeaders) -> bytes | None:
    """Return the one bearer token of a request, or None if it has none or nothing that can be read as one."""
    values = [value for name, value in headers if name == b"authorization"]
    match = _FORM.fullmatch(values[0]) if len(values) == 1 else None
    return match[1] if match else None


def bearer_token(headers: RawHeaders) -> bytes:
    """Return the one bearer token of a request; raises `AuthenticationError` that says what is amiss."""
    token = presented_token(headers)
    if token is not None:
        return token
    count = sum(name == b"authorization" for name, _ in headers)
    if count == 0:
        raise AuthenticationError("No API key: send the header 'Authorization: Bearer <key>'.")
    if count > 1:
        raise AuthenticationError("There is more than one Authorization header; send one.")
    raise AuthenticationError("The Authorization header must have the form 'Bearer <key>'.")
