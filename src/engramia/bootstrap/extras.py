"""Which optional packages are there."""

import importlib.util


def installed(module: str) -> bool:
    """Return whether a module could be imported, without importing it."""
    return importlib.util.find_spec(module) is not None
