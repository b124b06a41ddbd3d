"""The journal's line: one JSON object of a sequence number, a checksum and the events of a transaction.

    {"seq":12,"crc":"9ae0daaf","events":[{...},{...}]}

The checksum (CRC-32) covers every byte that carries meaning: the number and all that follows the checksum. A
long transaction takes several lines; all but its last say `"more":true`.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from zlib import crc32

import orjson

_HEAD = b'{"seq":'
_MIDDLE = b',"crc":"'
_MORE = b'"more":true,'
_LINE_BYTES = 64 << 10  # damage to one line of a long import costs no more than this


class Line(NamedTuple):
    """What one line says. `more` is set when the next line belongs to the same transaction."""

    seq: int
    events: list[dict[str, Any]]
    more: bool


def frame(seq: int, events: Sequence[bytes], *, more: bool = False) -> bytes:
    """Return the line, newline included, that holds `events` (each one JSON object)."""
    number = b"%d" % seq
    rest = b'%b"events":[%b]}' % (_MORE if more else b"", b",".join(events))
    return b'%b%b%b%08x",%b\n' % (_HEAD, number, _MIDDLE, crc32(rest, crc32(number)), rest)


def frame_transaction(seq: int, events: Sequence[bytes]) -> tuple[bytes, int]:
    """Return the lines of one transaction, numbered from `seq`, and the number of the last."""
    if sum(map(len, events)) <= _LINE_BYTES:
        return frame(seq, events), seq
    groups = list(_groups(events))
    last = seq + len(groups) - 1
    framed = (frame(number, group, more=number < last) for number, group in enumerate(groups, seq))
    return b"".join(framed), last


def _groups(events: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Yield the events in groups of at most `_LINE_BYTES`, or of one event if that is longer."""
    group: list[bytes] = []
    size = 0
    for event in events:
        if group and size + len(event) > _LINE_BYTES:
            yield group
            group, size = [], 0
        group.append(event)
        size += len(event)
    yield group


def parse(line: bytes) -> Line | None:
    """Return what `line` (without its newline) says, or None if it is not what was written."""
    middle = line.find(_MIDDLE, len(_HEAD), 40)
    if middle < 0 or not line.startswith(_HEAD):
        return None
    start = middle + len(_MIDDLE)
    seen = crc32(memoryview(line)[start + 10 :], crc32(line[len(_HEAD) : middle]))
    if line[start : start + 10] != b'%08x",' % seen:
        return None
    try:
        body = orjson.loads(line)
        return Line(body["seq"], body["events"], "more" in body)
    except (ValueError, KeyError):
        return None


def salvage(damaged: bytes) -> Iterator[tuple[int, Line | bytes]]:
    """Yield, each with its place, the whole lines in `damaged` (a flipped newline joins two) and the rest."""
    starts = _starts(damaged)
    for start, end in zip(starts, [*starts[1:], len(damaged)], strict=True):
        piece = damaged[start:end]
        yield start, parse(piece) or parse(piece[:-1]) or piece


def _starts(damaged: bytes) -> list[int]:
    starts, place = [0], damaged.find(_HEAD, 1)
    while place >= 0:
        starts.append(place)
        place = damaged.find(_HEAD, place + 1)
    return starts
