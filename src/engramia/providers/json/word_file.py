"""`words.index`: the word indexes of a scope as they were, so that a process need not cut every text again.

A copy of what the journal says, never trusted over it: it counts only if its checksum holds and it names the
journal's present generation, and of it only the rows whose pattern still has the text that was cut. It is
not synced. Compaction, which lets go of deleted texts, makes it void: their words go with it.

    checksum of all that follows, one line of JSON (journal, generation, lengths), the parts, little-endian
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np
import orjson
from numpy.typing import NDArray

from engramia.core.postings import split
from engramia.core.roots import Pairs, Roots, paired
from engramia.core.word_index import CODE_CHARS, WordIndex
from engramia.providers.json import disk
from engramia.providers.json.rows import Body

FILE = "words.index"
_NEW = "words.index.new"
_FORMAT = 1
_GONE = np.uint32(0xFFFFFFFF)
_SUM = 8
_LONGEST_HEAD = 1024


class JournalState(NamedTuple):
    """Which journal, and how often it was compacted."""

    id: str
    generation: int


class CopiedIndex(NamedTuple):
    """By root, how many rows hold it; and which, one root's after another's."""

    counts: NDArray[np.uint32]
    rows: NDArray[np.uint32]

    def pairs(self, numbers: NDArray[np.uint32], becomes: NDArray[np.uint32]) -> Pairs:
        """Return the pairs of the rows that become one, with the roots by their new `numbers`."""
        rows = becomes[self.rows]
        kept = rows != _GONE
        return paired(np.repeat(numbers, self.counts)[kept], rows[kept])


@dataclass(frozen=True, slots=True)
class WordCopy:
    """The two indexes over rows 0 to n-1 and roots in the order of `names`."""

    keys: NDArray[np.bytes_]
    """Pattern keys without their prefix, by row."""
    prints: NDArray[np.uint64]
    """`fingerprint` by row."""
    names: list[str]
    tasks: CopiedIndex
    codes: CopiedIndex

    def put_into(self, roots: Roots, tasks: WordIndex, codes: WordIndex, rows: Sequence[int | None]) -> None:
        """Let two empty indexes over `roots` hold all rows for which `rows` gives the row to be."""
        numbers = np.array([roots.number(name) for name in self.names], np.uint32)
        becomes = np.array([_GONE if row is None else row for row in rows], np.uint32)
        held = becomes[becomes != _GONE]
        tasks.add_pairs(held, self.tasks.pairs(numbers, becomes))
        codes.add_pairs(held, self.codes.pairs(numbers, becomes))


def fingerprint(body: Body) -> int:
    """Return what tells the texts that are indexed from others under the same key: checksum and length."""
    text = f"{body.task}\0{body.code[:CODE_CHARS]}".encode()
    return crc32(text) << 32 | len(text)


def copy_of(
    roots: Roots, tasks: WordIndex, codes: WordIndex, rows: Sequence[tuple[int, bytes, int]]
) -> WordCopy:
    """Return a copy of two indexes that hold just `rows`, each given with its key and fingerprint."""
    place = np.zeros(max((row for row, _, _ in rows), default=-1) + 1, np.uint32)
    place[[row for row, _, _ in rows]] = np.arange(len(rows))
    of_tasks, of_codes = split(tasks.pairs()), split(codes.pairs())
    counts = [np.bincount(numbers, minlength=len(roots)) for numbers, _ in (of_tasks, of_codes)]
    used = np.flatnonzero(counts[0] + counts[1])
    names = roots.names()
    return WordCopy(
        np.array([key for _, key, _ in rows], "S26"),
        np.array([seen for _, _, seen in rows], np.uint64),
        [names[number] for number in used.tolist()],
        CopiedIndex(counts[0][used].astype(np.uint32), place[of_tasks[1]]),
        CopiedIndex(counts[1][used].astype(np.uint32), place[of_codes[1]]),
    )


def read(folder: Path, journal: JournalState) -> WordCopy | None:
    """Return the copy in `folder` if it is whole and of this journal, else None."""
    try:
        data = (folder / FILE).read_bytes()
    except OSError:
        return None
    line = data[: data.find(b"\n", 0, _LONGEST_HEAD)]
    if line[:_SUM] != b"%08x" % crc32(memoryview(data)[_SUM:]) or _state_in(line) != journal:
        return None
    return _decoded(data, orjson.loads(line[_SUM:])["bytes"])


def state_of(folder: Path) -> JournalState | None:
    """Return the journal that the copy in `folder` says it is of, None if there is none or it does not."""
    try:
        with (folder / FILE).open("rb") as file:
            return _state_in(file.readline(_LONGEST_HEAD))
    except OSError:
        return None


def write(folder: Path, journal: JournalState, copy: WordCopy) -> None:
    """Put `copy` in place of what was there; called with other writers shut out."""
    parts = _encoded(copy)
    head = {"format": _FORMAT, "id": journal.id, "generation": journal.generation}
    head["bytes"] = {name: len(part) for name, part in parts.items()}
    rest = orjson.dumps(head) + b"\n" + b"".join(parts.values())
    path = folder / _NEW
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, disk.FILE_MODE)
    try:
        disk.write_at(fd, b"%08x" % crc32(rest) + rest, 0)
        path.rename(folder / FILE)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)


def remove(folder: Path) -> None:
    """Take the copy away, and what a process that died left of one."""
    (folder / FILE).unlink(missing_ok=True)
    (folder / _NEW).unlink(missing_ok=True)


def _state_in(line: bytes) -> JournalState | None:
    try:
        head = orjson.loads(line[_SUM:])
        return JournalState(head["id"], head["generation"]) if head["format"] == _FORMAT else None
    except (ValueError, KeyError, TypeError):
        return None


def _encoded(copy: WordCopy) -> dict[str, bytes]:
    return {
        "keys": copy.keys.tobytes(),
        "prints": copy.prints.astype("<u8").tobytes(),
        "tasks": copy.tasks.counts.astype("<u4").tobytes(),
        "task_rows": copy.tasks.rows.astype("<u4").tobytes(),
        "codes": copy.codes.counts.astype("<u4").tobytes(),
        "code_rows": copy.codes.rows.astype("<u4").tobytes(),
        "names": "\n".join(copy.names).encode(),
    }


def _decoded(data: bytes, lengths: dict[str, int]) -> WordCopy:
    ends = accumulate(lengths.values(), initial=len(data) - sum(lengths.values()))
    whole = memoryview(data)
    part = {name: whole[start:end] for name, (start, end) in zip(lengths, pairwise(ends), strict=True)}
    return WordCopy(
        np.frombuffer(part["keys"], "S26"),
        np.frombuffer(part["prints"], "<u8"),
        str(part["names"], "utf-8").split("\n"),
        CopiedIndex(np.frombuffer(part["tasks"], "<u4"), np.frombuffer(part["task_rows"], "<u4")),
        CopiedIndex(np.frombuffer(part["codes"], "<u4"), np.frombuffer(part["code_rows"], "<u4")),
    )
