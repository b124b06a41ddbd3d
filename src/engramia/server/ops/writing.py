"""Whether the storage can be written, found out by writing."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from engramia.providers.json import disk

_BYTES = bytes(4096)


def writes_into(folder: Path) -> Callable[[], None]:
    """Return what writes to a file under `folder`, waits until it is on the disk, and leaves no trace of it.

    It raises `StorageError`, and `StorageFullError` where there is no space. The folder is made if missing.
    """
    folder = folder.expanduser().absolute()

    def check() -> None:
        with disk.translated(f"Cannot write into {folder}"):
            disk.make_folder(folder)
            # It has no name, so that it is gone even if the process dies here.
            with tempfile.TemporaryFile(dir=folder, prefix=".probe-", buffering=0) as file:
                file.write(_BYTES)
                disk.sync_file(file.fileno())

    return check
