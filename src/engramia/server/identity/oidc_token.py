"""Reads a signed token (JWS compact form, RFC 7515) more narrowly than the standard allows.

Whatever two readers could take for different things is refused: padding, stray bits, repeated members,
numbers out of range, extensions.
"""

import base64
import re
from dataclasses import dataclass
from typing import Any

from engramia.errors import BadRequestError, InvalidTokenError
from engramia.server.identity.oidc_keys import ALGORITHMS
from engramia.server.kit import strict_json

TOKEN_MAX_BYTES = 16 * 1024
KID_MAX_CHARS = 512

_FORM = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says, not yet believed."""

    algorithm: str
    kid: str | None
    claims: dict[str, Any]
    signed: bytes
    signature: bytes


def read_token(presented: bytes) -> Token:
    """Return the parts of a token; raises `InvalidTokenError` for any form but the plainest."""
    if len(presented) > TOKEN_MAX_BYTES:
        raise InvalidTokenError(f"The token is longer than {TOKEN_MAX_BYTES} bytes.")
    match = _FORM.fullmatch(presented)
    if match is None:
        raise InvalidTokenError("The token is not a signed JWT.")
    header = _object(match[1], "header")
    _check_header(header)
    return Token(
        algorithm=_algorithm(header),
        kid=_kid(header),
        claims=_object(match[2], "payload"),
        signed=presented[: match.end(2)],
        signature=_bytes(match[3], "signature"),
    )


def _check_header(header: dict[str, Any]) -> None:
    """Raise for what changes the meaning of the rest; keys that a token brings along are never looked at."""
    if "crit" in header or "b64" in header:
        raise InvalidTokenError("The token's header asks for an extension that is not known here.")
    kind = header.get("typ")
    if kind is not None and not (isinstance(kind, str) and kind.lower() in _TYPES):
        raise InvalidTokenError("The token is of another type than an access token ('at+jwt' or 'JWT').")


def _algorithm(header: dict[str, Any]) -> str:
    named = header.get("alg")
    if not isinstance(named, str) or named not in ALGORITHMS:
        raise InvalidTokenError(f"The token's algorithm is none of {', '.join(sorted(ALGORITHMS))}.")
    return named


def _kid(header: dict[str, Any]) -> str | None:
    kid = header.get("kid")
    if "kid" in header and not (isinstance(kid, str) and len(kid) <= KID_MAX_CHARS):
        raise InvalidTokenError("The token's header names no key in a form that is known here.")
    return kid


def _object(segment: bytes, part: str) -> dict[str, Any]:
    try:
        document = strict_json.loads(_bytes(segment, part))
    except BadRequestError:
        raise InvalidTokenError(f"The token's {part} is not plain JSON.") from None
    if not isinstance(document, dict):
        raise InvalidTokenError(f"The token's {part} is not a JSON object.")
    return document


def _bytes(segment: bytes, part: str) -> bytes:
    """Return what `segment` encodes; raises for a spelling that is not the only one (RFC 4648, 3.5)."""
    if len(segment) % 4 == 1:
        raise InvalidTokenError(f"The token's {part} is not base64url.")
    decoded = base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != segment:
        raise InvalidTokenError(f"The token's {part} is not base64url.")
    return decoded
