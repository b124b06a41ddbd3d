"""Requests that carry a key of their caller's, so that sending one again does nothing again."""

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import datetime

_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered: its status, and a JSON text."""

    status: int
    body: str


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """What is kept of a request with a key. Neither the key nor the body can be read out of it."""

    id: str
    fingerprint: str
    """Of the body: another one under the same key is another request."""
    token: str
    """Of the attempt that stored this."""
    expires_at: datetime
    """From when on it is as if it had never been."""
    answer: Answer | None = None
    """None while the attempt is under way."""


def identity(operation: str, caller: str | None, key: str) -> str:
    """Return the id of a request: who asked, for what, under which key; 32 hexadecimal digits."""
    return hashlib.sha256(json.dumps([operation, caller, key]).encode()).hexdigest()[:_DIGITS]


def fingerprint(key: str, body: bytes) -> str:
    """Return what tells `body` from others under the same key; 32 hexadecimal digits.

    Keyed by the caller's key, which is not stored: a plain hash would let whoever reads the store try out
    what redaction took from the body.
    """
    return hmac.digest(key.encode(), body, "sha256").hex()[:_DIGITS]
