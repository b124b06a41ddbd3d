"""Files that faults are tried on lie on a disk, wherever those of other tests do."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Return a folder on the machine's disk."""
    with tempfile.TemporaryDirectory(prefix="engramia-fault-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
