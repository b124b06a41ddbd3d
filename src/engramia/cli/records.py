"""Exported records, read back: JSON lines one at a time, or one document with all of them."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import orjson

from engramia.errors import ValidationError

LINE_MAX_BYTES = 64 * 1024 * 1024
"""Longest line that is read; a record of the largest allowed texts is shorter."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that holds no JSON, by its number from 1."""

    line: int
    reason: str


@dataclass(slots=True)
class RecordFile:
    """The records of a file in either format, read as they are asked for.

    `bad` and `lines` fill up while `records` is read.
    """

    file: BinaryIO
    line_max: int = LINE_MAX_BYTES
    bad: list[BadLine] = field(default_factory=list)
    read_bytes: int = 0
    total: int | None = None
    """How many records there are; None while nobody knows."""
    _lines: "array[int]" = field(default_factory=lambda: array("Q"))

    def line_of(self, index: int) -> int | None:
        """Return the line of the record `index` (from 0), or None in a document of many lines."""
        return self._lines[index] if index < len(self._lines) else None

    def records(self) -> Iterator[Any]:
        """Yield the records; `ValidationError` if a document is not valid JSON."""
        numbered = self._numbered()
        first = next(numbered, None)
        if first is None:
            return
        document = self._document(*first)
        if document is not None:
            self.total = len(document)
            yield from document
            return
        yield from self._parsed(*first)
        for number, line in numbered:
            yield from self._parsed(number, line)

    def _document(self, number: int, line: bytes) -> list[Any] | None:
        """Return the records of a document that begins with `line`, or None for JSON lines."""
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            if not _begins_document(line):
                return None
            rest = self.file.read()
            self.read_bytes += len(rest)
            value = _document_of(line + rest, number)
        records = value.get("records") if isinstance(value, dict) and "data" not in value else value
        return records if isinstance(records, list) else None

    def _parsed(self, number: int, line: bytes) -> Iterator[Any]:
        if len(line) > self.line_max:
            self.bad.append(BadLine(number, f"the line is longer than {self.line_max:,} bytes"))
            return
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            self.bad.append(BadLine(number, f"not valid JSON: {error}"))
            return
        self._lines.append(number)
        yield value

    def _numbered(self) -> Iterator[tuple[int, bytes]]:
        """Yield (number, line) of every line that is not blank, cut one byte over the limit."""
        number = 0
        while line := self.file.readline(self.line_max + 1):
            number += 1
            self.read_bytes += len(line)
            if len(line) > self.line_max:
                self._skip_line()
            if line.strip():
                yield number, line

    def _skip_line(self) -> None:
        while (rest := self.file.readline(self.line_max)) and not rest.endswith(b"\n"):
            self.read_bytes += len(rest)


def _begins_document(line: bytes) -> bool:
    start = b"".join(line.split())
    return start in (b"{", b"[") or start.startswith((b'{"records"', b'{"count"', b"[{"))


def _document_of(content: bytes, number: int) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ValidationError(
            f"The document is not valid JSON: {error} (counted from line {number}).", field="file"
        ) from error
