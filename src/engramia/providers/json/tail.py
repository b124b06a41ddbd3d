"""Reading a journal on from a place: whole transactions, what is damaged, and where the torn end begins.

A line that is not what was written is *damage* if a whole transaction follows it or if it begins within the
length that is known to have been on the disk; else it is the *tail* of a write that died or is not done yet.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from engramia.providers.json.disk import read_at
from engramia.providers.json.lines import Line, parse, salvage

_CHUNK = 256 << 10  # small enough to stay in the processor's cache while it is parsed
UNKNOWN = -1


class Cursor(NamedTuple):
    """A place between two transactions: bytes and lines before it, and the last line's number."""

    offset: int = 0
    seq: int = UNKNOWN
    line: int = 0
    ragged: bool = False
    """The bytes before it are damaged and lack their newline."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a journal that are not what was written, or (no bytes) lines that are missing."""

    line: int
    offset: int
    raw: bytes
    missing: int = 0


@dataclass(slots=True)
class Batch:
    """Whole transactions in order: their events, the damage between them, and the place after them."""

    cursor: Cursor
    events: list[dict[str, Any]] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)


class _Raw(NamedTuple):
    """One line as read: where it begins, its bytes without the newline, and what it says, if anything."""

    offset: int
    raw: bytes
    newline: bool
    line: Line | None

    @property
    def end(self) -> int:
        return self.offset + len(self.raw) + self.newline


class Scan:
    """One pass over a journal from `start` to byte `end`."""

    def __init__(self, start: Cursor, end: int) -> None:
        self.end = end
        self._batch = Batch(start)
        self._open: list[_Raw] = []
        self._damaged_lines = 0  # since the last good one: they explain a gap in the numbers

    def batches(self, fd: int, synced: Callable[[], int]) -> Iterator[Batch]:
        """Yield what can be told for sure; `synced` gives the length once known to have been on the disk."""
        for chunk in _chunks(fd, self._batch.cursor.offset, self.end):
            for raw in chunk:
                self._take(raw)
            yield self._flush()
        if self._open:
            known = synced()
            self._settle(sum(1 for raw in self._open if raw.offset < known))
            yield self._flush()

    @property
    def tail_is_damaged(self) -> bool:
        """Whether the torn end holds a complete line that is not what was written."""
        return any(raw.newline and raw.line is None for raw in self._open)

    def _take(self, raw: _Raw) -> None:
        line = raw.line
        cursor = self._batch.cursor
        if line is not None and not line.more and not self._open and line.seq == cursor.seq + 1:
            self._batch.events += line.events
            self._batch.cursor = Cursor(raw.end, line.seq, cursor.line + 1)
            return
        self._open.append(raw)
        if line is not None and not line.more:
            self._settle(len(self._open))

    def _settle(self, count: int) -> None:
        """Accept the first `count` open lines, damaged ones as damage."""
        settled, self._open = self._open[:count], self._open[count:]
        for raw in settled:
            self._accept(raw)
            cursor = self._batch.cursor
            self._batch.cursor = Cursor(raw.end, cursor.seq, cursor.line + 1, not raw.newline)

    def _accept(self, raw: _Raw) -> None:
        pieces = [(0, raw.line)] if raw.line is not None else salvage(raw.raw)
        for start, piece in pieces:
            if isinstance(piece, bytes):
                self._damaged(raw.offset + start, piece)
            elif self._batch.cursor.seq != UNKNOWN and piece.seq <= self._batch.cursor.seq:
                self._damaged(raw.offset + start, raw.raw)  # a line that stands there twice
            else:
                self._accept_line(raw.offset + start, piece)

    def _accept_line(self, offset: int, line: Line) -> None:
        cursor = self._batch.cursor
        lost = line.seq - cursor.seq - 1 - self._damaged_lines if cursor.seq != UNKNOWN else 0
        if lost > 0:
            self._batch.damage.append(Damage(cursor.line + 1, offset, b"", missing=lost))
        self._damaged_lines = 0
        self._batch.events += line.events
        self._batch.cursor = Cursor(cursor.offset, line.seq, cursor.line)

    def _damaged(self, offset: int, piece: bytes) -> None:
        cursor = self._batch.cursor
        self._damaged_lines += 1
        self._batch.damage.append(Damage(cursor.line + 1, offset, piece))

    def _flush(self) -> Batch:
        batch, self._batch = self._batch, Batch(self._batch.cursor)
        return batch


def first_line(fd: int) -> Line | None:
    """Return the journal's first line, or None if it is damaged."""
    return parse(read_at(fd, 4096, 0).partition(b"\n")[0])


def _chunks(fd: int, offset: int, end: int) -> Iterator[list[_Raw]]:
    """Yield the lines from `offset` to `end` in large groups; what follows the last newline comes last."""
    start, begun = offset, list[bytes]()  # a line that goes on in the next chunk
    while offset < end:
        chunk = read_at(fd, min(_CHUNK, end - offset), offset)
        if not chunk:
            break
        offset += len(chunk)
        *lines, rest = chunk.split(b"\n")
        if lines:
            lines[0] = b"".join([*begun, lines[0]])
            yield list(_raws(lines, start))
            start, begun = offset - len(rest), []
        begun.append(rest)
    if start < offset:
        yield [_Raw(start, b"".join(begun), newline=False, line=None)]


def _raws(lines: list[bytes], start: int) -> Iterator[_Raw]:
    for line in lines:
        yield _Raw(start, line, newline=True, line=parse(line))
        start += len(line) + 1
