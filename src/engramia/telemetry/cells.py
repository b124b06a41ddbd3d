"""Where the numbers of the metrics are kept: in the process, or in a folder that several processes share.

A file of the folder belongs to one process. It is made of segments of a fixed size; a segment begins with
the number of its 8-byte words in use, and then come series: the words of the name and of the values, the
length of the name in bytes, the name itself filled up to whole words, the values. Everything is in the byte
order of the machine, which alone reads it.
"""

import logging
import math
import mmap
import os
import threading
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol
from uuid import uuid4


class Row(Protocol):
    """The numbers of one series."""

    def __getitem__(self, place: int, /) -> float: ...
    def __setitem__(self, place: int, value: float, /) -> None: ...
    def __iter__(self) -> Iterator[float]: ...
    def __len__(self) -> int: ...


type Cells = Callable[[str, int], Row]
"""Makes the cells of a new series, given its name and their number, all 0."""

SEGMENT_BYTES = 256 * 1024
SUFFIX = ".cells"

_WORD = 8
_HEAD = 3
"""Words before a series' name: those of the name, of the values, and the name's length in bytes."""

_log = logging.getLogger("engramia.telemetry")


def private_cells(_name: str, count: int) -> Row:
    """Return cells that this process alone counts in."""
    return array("d", bytes(count * _WORD))


class SharedCells:
    """Cells in a file of this process, which outlives it and which the others add to their own.

    Make it in the process that counts: a fork would write into its parent's numbers. If the disk is full, the
    series that no longer fit are counted by this process alone.
    """

    def __init__(self, folder: Path) -> None:
        """Count in a new file under `folder`, which exists."""
        self.path = folder / f"{os.getpid()}-{uuid4().hex}{SUFFIX}"
        self._lock = threading.Lock()
        self._words: memoryview | None = None
        self._full = False

    def __call__(self, name: str, count: int) -> Row:
        """Return the cells of a new series."""
        encoded = name.encode()
        title = -(-len(encoded) // _WORD)
        size = _HEAD + title + count
        with self._lock:
            words = self._room(size)
            if words is None:
                return private_cells(name, count)
            begin = words[0]
            values = begin + _HEAD + title
            words[begin : begin + _HEAD] = array("Q", (title, count, len(encoded)))
            words[begin + _HEAD : values] = array("Q", encoded.ljust(title * _WORD, b"\0"))
            # Last, for who reads at this moment.
            words[0] = begin + size
        return words[values : values + count].cast("B").cast("d")

    def _room(self, size: int) -> memoryview | None:
        if self._words is not None and self._words[0] + size <= len(self._words):
            return self._words
        if self._full or 1 + size > SEGMENT_BYTES // _WORD:
            return None
        try:
            self._words = _new_segment(self.path)
        except OSError as error:
            self._full = True
            _log.warning("Some metrics of this process are not shared: %s", error)
            return None
        return self._words


def shared_totals(folder: Path) -> dict[str, list[float]]:
    """Return each series under `folder` with its cells added up over all processes, the dead ones too."""
    totals: dict[str, list[float]] = defaultdict(list)
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        for name, values in _series(_contents(path)):
            if not all(0 <= value < math.inf for value in values):
                continue  # damaged: nothing is counted downwards
            known = totals[name]
            known.extend([0.0] * (len(values) - len(known)))
            for place, value in enumerate(values):
                known[place] += value
    return dict(totals)


def prepare(folder: Path) -> None:
    """Make `folder`, without what an earlier server counted in it; to be called before any worker starts."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob(f"*{SUFFIX}"):
        path.unlink(missing_ok=True)


def _new_segment(path: Path) -> memoryview:
    with path.open("a+b", buffering=0) as file:
        offset = file.seek(0, os.SEEK_END)
        # Not a hole: to touch a page of a hole that a full disk cannot fill kills the process.
        file.write(bytes(SEGMENT_BYTES))
        words = memoryview(mmap.mmap(file.fileno(), SEGMENT_BYTES, offset=offset)).cast("Q")
    words[0] = 1
    return words


def _contents(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""  # a server that begins anew has just removed it


def _series(data: bytes) -> Iterator[tuple[str, Row]]:
    """Yield what a file holds; a segment that makes no sense ends where it stops making some."""
    for offset in range(0, len(data) - SEGMENT_BYTES + 1, SEGMENT_BYTES):
        segment = memoryview(data)[offset : offset + SEGMENT_BYTES]
        words = segment.cast("Q")
        place, used = 1, min(words[0], len(words))
        while place + _HEAD <= used:
            title, count, length = words[place : place + _HEAD]
            values = place + _HEAD + title
            if values + count > used or length > title * _WORD:
                break
            name = bytes(segment[(place + _HEAD) * _WORD :][:length])
            yield name.decode("utf-8", "replace"), words[values : values + count].cast("B").cast("d")
            place = values + count
