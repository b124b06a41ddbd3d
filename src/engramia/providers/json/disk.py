"""What the journal asks of the file system: durable writes, errors in our words."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from engramia.errors import StorageError, StorageFullError

if sys.platform == "win32":  # pragma: no cover
    raise StorageError(
        "The JSON storage needs POSIX file locks and does not run on Windows; use Postgres there."
    )

import fcntl

FILE_MODE = 0o600
FOLDER_MODE = 0o700
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_ZEROS = bytes(64 << 10)
_DENIED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn an `OSError` of the block into the `StorageError` that says `what` failed and why."""
    try:
        yield
    except OSError as error:
        raise translate(error, what) from error


def translate(error: OSError, what: str) -> StorageError:
    """Return the `StorageError` that tells a person what failed, why, and what to do."""
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return StorageFullError(f"{what}: {reason}. Nothing of it was kept; free some space and repeat it.")
    if error.errno in _DENIED:
        return StorageError(f"{what}: {reason}. Check owner, mode and mount of the data path.")
    return StorageError(f"{what}: {reason}.")


def begin_sync(fd: int, offset: int, size: int) -> None:
    """Let the disk take these bytes now, so that `sync_file` waits for less; an error is told by that."""
    if sys.platform != "darwin":
        with contextlib.suppress(OSError):
            os.posix_fadvise(fd, offset, size, os.POSIX_FADV_DONTNEED)


def sync_file(fd: int) -> None:
    """Return once the file's bytes and length are on the disk."""
    if sys.platform == "darwin":  # fsync stops at the drive's cache there
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(fd)


def sync_folder(folder: Path) -> None:
    """Return once the folder's entries (made, renamed, removed) are on the disk."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_at(fd: int, data: bytes, offset: int) -> None:
    """Write all of `data` at `offset`: one system call unless the kernel takes less."""
    written = os.pwrite(fd, data, offset)
    while written < len(data):
        written += os.pwrite(fd, memoryview(data)[written:], offset + written)


def read_at(fd: int, size: int, offset: int) -> bytes:
    """Return up to `size` bytes at `offset`; fewer at the end of the file only."""
    parts = []
    while size > 0 and (part := os.pread(fd, size, offset)):
        parts.append(part)
        size, offset = size - len(part), offset + len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def end_of_data(fd: int, start: int, end: int) -> int:
    """Return the place behind the last byte between `start` and `end` that is not zero, else `start`."""
    while end > start:
        place = max(start, end - len(_ZEROS))
        read = read_at(fd, end - place, place)
        if not _ZEROS.startswith(read):
            return place + len(read.rstrip(b"\0"))
        end = place
    return start


def make_folder(folder: Path) -> None:
    """Make `folder` and its parents, durably, readable by the owner alone; nothing if it is there."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=FOLDER_MODE)
    sync_folder(folder.parent)


def status(path: str) -> os.stat_result | None:
    """Return what is known of the file at `path`, or None if there is none."""
    try:
        return os.stat(path)  # noqa: PTH116 -- on the path of every recall, and twice as fast as Path.stat
    except FileNotFoundError:
        return None
