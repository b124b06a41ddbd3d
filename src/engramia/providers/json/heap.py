"""Memory that was needed for a moment, given back to the system."""

import ctypes
from collections.abc import Callable
from functools import cache


def give_back() -> None:
    """Hand the heap's free pages back.

    glibc keeps those that lie below something still in use, and what building an index takes for a moment is
    as much as the vectors themselves. Where the C library is another one, nothing happens.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
