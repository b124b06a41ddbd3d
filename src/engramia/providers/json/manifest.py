"""The journal's companion: how long the journal was when it was last safely on the disk.

It is what tells an emptied or shortened journal from a young one. It is written in place after each sync and
never synced itself: after a power cut it may lag behind the journal, but never claims more than was synced.
"""

import os
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import orjson

from engramia.providers.json.disk import FILE_MODE, read_at, write_at

FILE = "manifest.json"
_SIZE = 192  # one sector's worth: a write of it is never torn by a dying process


class Manifest(NamedTuple):
    """What is known of a journal: which one, its generation, its last line and length (bytes) when synced."""

    id: str
    generation: int
    seq: int
    length: int


def open_manifest(folder: Path, *, create: bool) -> int | None:
    """Return a descriptor of the folder's manifest, or None if there is none that we may open."""
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
    path = folder / FILE
    try:
        return os.open(path, flags, FILE_MODE)
    except FileNotFoundError:
        return None
    except OSError:
        if create:
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def read_manifest(fd: int | None) -> Manifest | None:
    """Return what the manifest says, or None if it is missing, empty or damaged."""
    text = read_at(fd, 2 * _SIZE, 0) if fd is not None else b""
    try:
        values = orjson.loads(text)
        crc = values.pop("crc")
        known = Manifest(**values)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return known if crc == _checksum(known) else None


def write_manifest(fd: int, manifest: Manifest) -> None:
    """Put `manifest` in place of what the file says, in one write."""
    values = _dumped(manifest)
    write_at(fd, b"%-*b\n" % (_SIZE - 1, b'%b,"crc":"%08x"}' % (values[:-1], crc32(values))), 0)


def _checksum(manifest: Manifest) -> str:
    return f"{crc32(_dumped(manifest)):08x}"


def _dumped(manifest: Manifest) -> bytes:
    return orjson.dumps(
        {"id": manifest.id, "generation": manifest.generation, "seq": manifest.seq, "length": manifest.length}
    )
