"""Damaged bytes of a journal, kept in files of their own, so that compaction loses nothing."""

import logging
import os
from pathlib import Path

from engramia.errors import StorageError
from engramia.providers.json import disk
from engramia.providers.json.tail import Damage

_PREFIX = "quarantine-"
_log = logging.getLogger(__name__)


class Quarantine:
    """The damage found in the journal at `path`; its bytes are kept in `folder`."""

    def __init__(self, folder: Path, path: Path) -> None:
        self._folder = folder
        self._path = path
        self._found: dict[tuple[int, int], str] = {}
        self._unkept = False

    def keep(self, generation: int, damage: Damage) -> None:
        """Copy damaged bytes into a file, durably, and say so once; all processes name the file alike."""
        place = (generation, damage.offset)
        if place in self._found:
            return
        if damage.missing:
            message = f"{self._path}: {damage.missing} line(s) are missing before line {damage.line}"
        else:
            copy = self._copy(f"{_PREFIX}{generation}-{damage.offset}.txt", damage.raw)
            message = f"{self._path}: line {damage.line} is damaged; {len(damage.raw):,} bytes {copy}"
        self._found[place] = message
        _log.warning("%s", message)

    def check(self) -> None:
        """Raise `StorageError` if damaged bytes are in the journal alone, which must not be replaced then."""
        if self._unkept:
            raise StorageError(f"the damaged bytes of {self._path} could not be kept elsewhere")

    def _copy(self, name: str, raw: bytes) -> str:
        """Return what became of the bytes: reading goes on also where they cannot be copied."""
        path = self._folder / name
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, disk.FILE_MODE)
            try:
                disk.write_at(fd, raw + b"\n", 0)
                disk.sync_file(fd)
            finally:
                os.close(fd)
            disk.sync_folder(self._folder)
        except OSError as error:
            self._unkept = True
            return f"stay where they are, for {path} cannot be written ({error.strerror})"
        return f"are kept in {path}"

    def files(self) -> list[str]:
        """Return the names of the files that hold damaged bytes, found now or earlier."""
        return sorted(path.name for path in self._folder.glob(f"{_PREFIX}*"))

    def messages(self) -> list[str]:
        """Return what this process has found, one sentence each."""
        return list(self._found.values())
