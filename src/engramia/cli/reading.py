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


def given_once(text: str | None, file: Path | None, stdin: str | None, *, field: str, max_chars: int) -> str:
    """Return the text of `--field TEXT`, `--field-file FILE` or `-`; just one of them must be there."""
    if sum(value is not None for value in (text, file, stdin)) != 1:
        raise ValidationError(
            f"Give the {field} once: --{field} TEXT, --{field}-file FILE, or - for standard input.",
            field=field,
        )
    if stdin not in (None, STDIN):
        raise ValidationError(f"Unexpected argument {stdin!r}; only - is taken.", field=field)
    return text if text is not None else text_from(file or Path(STDIN), field=field, max_chars=max_chars)


def given_at_most_once(text: str | None, file: Path | None, *, field: str, max_chars: int) -> str | None:
    """Return the text of `--field TEXT` or `--field-file FILE`, or None without both."""
    if text is not None and file is not None:
        raise ValidationError(f"Give the {field} once: --{field} TEXT or --{field}-file FILE.", field=field)
    return text if file is None else text_from(file, field=field, max_chars=max_chars)


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
