"""The path of a request as the router sees it, and as limits see it."""

import re
from urllib.parse import unquote

from starlette.types import Scope

_SLASHES = re.compile("/{2,}")


def route_path(scope: Scope) -> str:
    """Return the path below the application's root, percent-decoded once, as the router matches it."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path.removeprefix(root) if root else path


def normalised(path: str) -> str:
    """Return `path` without what tells spellings of one address apart: case, slashes, percent-encoding."""
    if "%" in path:
        path = unquote(path)
    return _SLASHES.sub("/", path).rstrip("/").lower() or "/"
