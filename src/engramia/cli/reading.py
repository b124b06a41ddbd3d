"""Texts that come from files or standard input."""

import sys
from pathlib import Path
from typing import BinaryIO

from engramia.errors import ValidationError

STDIN = "-"
_UTF8_MAX = 4
"""Bytes of the longest character in UTF-8."""


def text_from(source: Path, *, field: str, max_chars: int) -> str:
    """Return the UTF-8 text of a file (`-` is standard input), read no further than `max_chars` allows."""
    if str(source) == STDIN:
        return _decoded(
            _bounded(sys.stdin.buffer, "standard input", field, max_chars), "Standard input", field
        )
    try:
        with source.open("rb") as file:
            return _decoded(_bounded(file, str(source), field, max_chars), str(source), field)
    except OSError as error:
        raise unreadable(source, error, field=field) from error


def unreadable(source: Path, error: OSError, *, field: str) -> ValidationError:
    """Return the error that says why a file cannot be read."""
    return ValidationError(f"Cannot read {source}: {error.strerror or error}.", field=field)


def _bounded(file: BinaryIO, name: str, field: str, max_chars: int) -> bytes:
    most = max_chars * _UTF8_MAX
    content = file.read(most + 1)
    if len(content) > most:
        raise ValidationError(f"{name} is larger than {field} may be: {max_chars:,} characters.", field=field)
    return content


def _decoded(content: bytes, name: str, field: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValidationError(
            f"{name} is not UTF-8 text (byte {error.start:,} is 0x{content[error.start]:02x}).",
            field=field,
        ) from error
