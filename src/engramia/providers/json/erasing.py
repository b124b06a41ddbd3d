"""Folders of erased scopes: renamed away first, then deleted, so that a crash leaves no half of one."""

import secrets
import shutil
from pathlib import Path

from engramia.providers.json import disk

_MARK = ".erased-"


def erased_name(folder: Path) -> Path:
    """Return a fresh name that no scope's folder can have, to rename `folder` to."""
    return folder.with_name(f"{folder.name}{_MARK}{secrets.token_hex(8)}")


def is_erased(folder: Path) -> bool:
    """Return whether `folder` was renamed to be deleted."""
    return _MARK in folder.name


def remove_erased(folder: Path) -> None:
    """Delete a renamed folder; another process may be doing the same."""
    with disk.translated(f"Cannot delete the erased folder {folder}"):
        shutil.rmtree(folder, onexc=_gone_already)
        disk.sync_folder(folder.parent)


def _gone_already(_call: object, _path: str, error: BaseException) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
