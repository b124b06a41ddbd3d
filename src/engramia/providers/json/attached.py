"""A journal file that is open: its descriptors, which journal it is, and how far it has been read.

Behind its last line may follow *room*: zero bytes for the lines to come. A line written into them changes
neither the file's length nor its blocks, which leaves a sync half as much to do.
"""

import contextlib
import errno
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from engramia.providers.json.disk import end_of_data, write_at
from engramia.providers.json.manifest import Manifest, open_manifest, read_manifest, write_manifest
from engramia.providers.json.snapshot import Header, read_header
from engramia.providers.json.tail import UNKNOWN, Batch, Cursor, Scan

_log = logging.getLogger(__name__)

_ROOM = 64 << 10
"""Bytes of room made at once, or as many as the file is long: another process looks through them."""


class ContradictionError(Exception):
    """The journal is not what its manifest knows, or no journal at all; the message says how."""


class AttachedFile:
    """An open journal file. Its descriptors keep its inode from being given to another file."""

    def __init__(self, fd: int, manifest_fd: int | None, *, writable: bool = True) -> None:
        found, known, header = os.fstat(fd), read_manifest(manifest_fd), read_header(fd)
        _contradict(found.st_size, known, header)
        self.fd = fd
        self.manifest_fd = manifest_fd
        self.writable = writable
        self.inode = (found.st_dev, found.st_ino)
        self.header = header
        self.id = header.id if header else known.id if known else ""
        self.generation = header.generation if header else known.generation if known else 0
        self.length = found.st_size
        """The file's length in bytes, room included, when it was last looked at."""
        self.written = False
        """Whether anything was written here, by which there may be room behind the last line."""
        self.cursor = Cursor()
        self.torn = False
        """Whether something that is no whole transaction was found behind the cursor, maybe behind zeros."""
        self.weighed = header.length if header else 0
        """Length (bytes) when it was last compacted, or when that was last found not worth it."""
        self._users = 1

    @classmethod
    def open(cls, folder: Path, path: Path) -> "AttachedFile":
        """Open the journal at `path`; raise `ContradictionError` if the folder's manifest knows another."""
        # The manifest first: the journal is then at least as long as it says.
        manifest_fd = open_manifest(folder, create=False)
        fd: int | None = None
        try:
            fd, writable = _open_for_both(path)
            return cls(fd, manifest_fd, writable=writable)
        except BaseException:
            _close(fd, manifest_fd)
            raise

    def is_at(self, found: os.stat_result) -> bool:
        """Return whether this is the file that was `found`, and if so note its length."""
        if (found.st_dev, found.st_ino) != self.inode:
            return False
        self.length = found.st_size
        return True

    @property
    def goes_on(self) -> bool:
        """Whether there is anything but room behind the cursor, or not even what was read."""
        offset = self.cursor.offset
        if self.torn or self.cursor.seq == UNKNOWN:
            return True
        return self.length != offset and os.pread(self.fd, 1, offset) != b"\0"

    def scan(self) -> tuple[Scan, Iterator[Batch]]:
        """Return a scan from the cursor to the last byte that says anything, and its batches."""
        length, start = os.fstat(self.fd).st_size, self.cursor.offset
        if length < start:
            raise ContradictionError("has become shorter")
        # Zeros that were something else when they were synced are damage, not room.
        end = end_of_data(self.fd, max(start, min(self.synced_length(), length)), length)
        scan = Scan(self.cursor, end)
        return scan, scan.batches(self.fd, self.synced_length)

    def write(self, data: bytes) -> None:
        """Write `data` behind the cursor; if this raises, nothing of it was kept."""
        offset, self.written = self.cursor.offset, True
        if offset + len(data) > self.length and len(data) < _ROOM:
            with contextlib.suppress(OSError):  # a full disk may still have space for the data alone
                self._write_or_cut(data + bytes(min(_ROOM, offset)))
                return
        self._write_or_cut(data)

    def _write_or_cut(self, data: bytes) -> None:
        offset = self.cursor.offset
        try:
            write_at(self.fd, data, offset)
        except OSError:
            with contextlib.suppress(OSError):  # what cannot be cut now is cut by the next writer
                self.cut()
            raise
        self.length = max(self.length, offset + len(data))

    def cut(self) -> None:
        """Take away everything behind the cursor."""
        os.ftruncate(self.fd, self.cursor.offset)
        self.length, self.torn = self.cursor.offset, False

    def synced_length(self) -> int:
        """Return up to where the file is known to have been on the disk, in bytes."""
        known = read_manifest(self.manifest_fd)
        noted = known.length if known and (known.id, known.generation) == (self.id, self.generation) else 0
        return max(noted, self.header.length if self.header else 0)

    def note_synced(self, cursor: Cursor) -> None:
        """Write into the manifest that everything before `cursor` is on the disk.

        That is a guard, and what it guards is safe without it: an error is nothing but logged.
        """
        if self.manifest_fd is None or cursor.seq <= 0:
            return
        try:
            write_manifest(self.manifest_fd, Manifest(self.id, self.generation, cursor.seq, cursor.offset))
        except OSError as error:
            _log.info("The manifest of journal %s was not written: %s", self.id, error)

    def goes_on_from(self, old: "AttachedFile") -> Cursor | None:
        """Return where to read on if this is `old`, compacted just where `old` was read to; else None."""
        header = self.header
        if header is None or (header.id, header.base) != (old.id, old.cursor.seq):
            return None
        return Cursor(header.length, header.last, header.last - header.base)

    def keep_open(self) -> None:
        """Put off closing: the descriptors stay until `close` is called once more."""
        self._users += 1

    def close(self) -> None:
        """Close the descriptors, unless somebody keeps them open."""
        self._users -= 1
        if not self._users:
            _close(self.fd, self.manifest_fd)


def _contradict(size: int, known: Manifest | None, header: Header | None) -> None:
    """Raise `ContradictionError` if a journal of `size` bytes cannot be the one that is known."""
    if size == 0:
        raise ContradictionError("is empty")
    if known is None:
        return
    if header is not None and header.id != known.id:
        raise ContradictionError("is not the journal that its manifest.json knows")
    generation = header.generation if header is not None else known.generation
    if generation < known.generation:
        raise ContradictionError("is an older journal than its manifest.json knows")
    if generation == known.generation and size < known.length:
        raise ContradictionError(f"has {size:,} bytes where {known.length:,} were known to be on the disk")


def _open_for_both(path: Path) -> tuple[int, bool]:
    """Return a descriptor for reading and writing, or for reading alone where writing is not allowed."""
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC), True
    except OSError as error:
        if error.errno not in {errno.EROFS, errno.EACCES, errno.EPERM}:
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC), False


def _close(*fds: int | None) -> None:
    for fd in fds:
        if fd is not None:
            os.close(fd)
