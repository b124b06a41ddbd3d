"""The file in a scope's folder that says that there may be unfinished jobs in its journal."""

from pathlib import Path

from engramia.providers.json import disk

FILE = "unfinished-jobs"


class JobMarker:
    """Put there before the first job's line is written, taken away after the last one's end is on the disk.

    Both happen with the scope's file lock held: whatever dies when, a scope with an unfinished job has its
    marker, and a marker without a job costs one look.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / FILE
        self._durable: tuple[int, int] | None = None  # which file was last synced

    def put(self) -> None:
        """Return once the marker is on the disk."""
        if self._durable is not None and self._identity() == self._durable:
            return
        with disk.translated(f"Cannot write {self._path}"):
            self._path.touch(mode=disk.FILE_MODE)
            disk.sync_folder(self._folder)  # also of a marker that is there: its maker may have died before
        self._durable = self._identity()

    def _identity(self) -> tuple[int, int] | None:
        found = disk.status(str(self._path))
        return (found.st_dev, found.st_ino) if found else None

    def take_away(self) -> None:
        """Delete the marker; one that a power cut brings back does no harm."""
        with disk.translated(f"Cannot delete {self._path}"):
            self._path.unlink(missing_ok=True)
