"""Checksums that vendors build into their tokens and numbers."""

import zlib

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CRC_LENGTH = 6
_RANDOM_LENGTH = 30


def base62_crc32(text: str) -> str:
    """Return the CRC-32 of ASCII text in six base62 digits, as GitHub writes it at the end of its tokens."""
    number = zlib.crc32(text.encode("latin-1"))
    digits = ""
    for _ in range(_CRC_LENGTH):
        number, rest = divmod(number, len(_BASE62))
        digits = _BASE62[rest] + digits
    return digits


def carries_crc32(token: str) -> bool:
    """Tell whether a token's last 36 characters are 30 random ones and their CRC-32 in base62."""
    body = token.rpartition("_")[2]
    if len(body) != _RANDOM_LENGTH + _CRC_LENGTH:
        return False
    return base62_crc32(body[:_RANDOM_LENGTH]) == body[_RANDOM_LENGTH:]


def passes_luhn(digits: str) -> bool:
    """Tell whether decimal digits end in their Luhn check digit (ISO/IEC 7812-1)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + place % 2)
        total += sum(divmod(doubled, 10))
    return total % 10 == 0
