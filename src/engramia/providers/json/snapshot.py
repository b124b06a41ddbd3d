"""Whole journal files: the header that names one, and writing a new one that begins with a snapshot."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import orjson

from engramia.errors import StorageError
from engramia.providers.json.disk import write_at
from engramia.providers.json.lines import frame
from engramia.providers.json.tail import first_line

KIND = "journal"
FORMAT = 1
_NEEDS = "0.1.0"  # the first release of Engramia that reads `FORMAT`
_WRITE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Header:
    """The first line's event: which journal this is, and where the snapshot that it begins with ends.

    `base` is the number of the last line that the snapshot sums up; `last` (line number) and `length` (bytes)
    are where the snapshot ends. A process that had read up to `base` goes on from there.
    """

    id: str
    generation: int
    base: int
    last: int = 0
    length: int = 0

    def line(self) -> bytes:
        """Return the journal's first line, as long before as after the snapshot's end is known."""
        event = {
            "kind": KIND,
            "format": FORMAT,
            "needs": _NEEDS,
            "id": self.id,
            "generation": self.generation,
            "base": self.base,
            "last": f"{self.last:015d}",
            "length": f"{self.length:015d}",
        }
        return frame(self.base + 1, [orjson.dumps(event)])


def read_header(fd: int) -> Header | None:
    """Return the journal's header, or None if its line is damaged; a newer format raises `StorageError`."""
    line = first_line(fd)
    event = line.events[0] if line else {}
    if event.get("kind") != KIND:
        return None
    if event["format"] > FORMAT:
        raise StorageError(
            f"This journal has format {event['format']}, which needs Engramia {event['needs']} or newer; "
            f"this release reads format {FORMAT}. Upgrade Engramia to open it."
        )
    return Header(event["id"], event["generation"], event["base"], int(event["last"]), int(event["length"]))


def write_snapshot(fd: int, lines: Iterator[list[bytes]], header: Header) -> Header:
    """Write the header and `lines` (each a list of events) and return the header with the end in it."""
    offset, seq, size = len(header.line()), header.base + 1, 0
    pending: list[bytes] = []
    for seq, events in enumerate(lines, header.base + 2):
        pending.append(frame(seq, events))
        size += len(pending[-1])
        if size >= _WRITE_BYTES:
            write_at(fd, b"".join(pending), offset)
            offset, size, pending = offset + size, 0, []
    write_at(fd, b"".join(pending), offset)
    done = replace(header, last=seq, length=offset + size)
    write_at(fd, done.line(), 0)
    return done
