"""The form of a key: `sk_engramia_`, thirty random base62 characters, and six of their CRC-32.

The checksum tells a mistyped key from an unknown one without a look at the database.
"""

import hmac
import re
import secrets
import string
import zlib

PREFIX = "sk_engramia_"
SHOWN_CHARS = 4
"""How many of a key's random characters stand in lists, so that its holder knows it again."""

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_CHARS = 30
_CHECK_CHARS = 6
_FORM = re.compile(f"{PREFIX}([0-9A-Za-z]{{{_RANDOM_CHARS}}})([0-9A-Za-z]{{{_CHECK_CHARS}}})".encode())


def new_secret() -> str:
    """Return a fresh key."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARS))
    return PREFIX + body + _checksum(body.encode())


def is_well_formed(key: bytes) -> bool:
    """Return whether these bytes have the form of a key, its checksum included."""
    match = _FORM.fullmatch(key)
    return match is not None and _checksum(match[1]).encode() == match[2]


def shown_prefix(key: str) -> str:
    """Return the beginning of a key that may be shown."""
    return key[: len(PREFIX) + SHOWN_CHARS]


def digest_of(key: bytes, pepper: bytes) -> bytes:
    """Return what is stored of a key, 32 bytes: its HMAC-SHA-256 under the pepper."""
    return hmac.digest(pepper, key, "sha256")


def _checksum(body: bytes) -> str:
    rest, digits = zlib.crc32(body), ""
    for _ in range(_CHECK_CHARS):
        rest, digit = divmod(rest, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
