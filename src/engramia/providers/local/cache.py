"""The graph kept on disk between processes, so that only the first one needs the onnx package's time."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

_log = logging.getLogger(__name__)
_DIGEST_BYTES = hashlib.sha256().digest_size


def cached(path: Path, build: Callable[[], bytes]) -> bytes:
    """Return what stands in `path`; if it is missing or damaged, build it and keep it there.

    A folder that cannot be written costs time, not the answer: what was built is returned all the same.
    """
    content = _read(path)
    if content is None:
        content = build()
        _keep(path, content)
    return content


def _read(path: Path) -> bytes | None:
    """Return the content if its own digest, which stands before it, fits."""
    try:
        stored = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        _log.warning("The cached model graph %s cannot be read and is built anew: %s", path, error)
        return None
    digest, content = stored[:_DIGEST_BYTES], stored[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        _log.warning("The cached model graph %s is damaged and is built anew.", path)
        return None
    return content


def _keep(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, hashlib.sha256(content).digest() + content)
    except OSError as error:
        _log.warning("The model graph cannot be kept in %s, every start builds it anew: %s", path, error)


def _replace(path: Path, content: bytes) -> None:
    # Another process may use the same name now: a rename shows it the old file or the whole new one.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
