"""Short pauses: what has come to stay is left alone by the garbage collector."""

import contextlib
import gc
from collections.abc import Iterator
from typing import Literal

_OLDEST = 2
_THRESHOLDS = (5_000, 3, 5)
"""A batch of recalls keeps thousands of objects until it is answered: by Python's own 700 they are looked
over several times before they go. A full collection comes about as often as by 700, 10 and 10."""


@contextlib.contextmanager
def short_pauses() -> Iterator[None]:
    """Let no object be looked at by more than one full collection while the block runs.

    The patterns of open scopes are objects that live as long as the process, and a full collection that goes
    over them all again stops every thread for a tenth of a second for each ten thousand of them. What a full
    collection finds alive is set apart; reference counting still frees it, and only a cycle that forms among
    such objects later has to wait for the end of the block.
    """
    before = gc.get_threshold()
    gc.callbacks.append(_set_apart)
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(_set_apart)
        gc.unfreeze()


def _set_apart(phase: Literal["start", "stop"], info: dict[str, int]) -> None:
    if phase == "stop" and info["generation"] == _OLDEST:
        gc.freeze()
