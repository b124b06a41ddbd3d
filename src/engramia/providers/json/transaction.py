"""What the stores of one `reading()` or `writing()` block share: the state, and where events go."""

from collections.abc import Sequence
from typing import NoReturn, Self, cast

from engramia.errors import StorageError
from engramia.providers.json import codec
from engramia.providers.json.state import ScopeState

_LEFT_BLOCK = "These stores belong to a block that has been left; open a new one."


class _Left:
    """Stands in the place of the state once the block is left."""

    def __getattr__(self, _name: str) -> NoReturn:
        raise StorageError(_LEFT_BLOCK)


_LEFT = cast("ScopeState", _Left())


class Transaction:
    """Collects the bytes of events for the journal, and applies them to the state when that is asked for."""

    def __init__(self, state: ScopeState, *, writable: bool) -> None:
        self._state = self._readable = state
        self._writable = writable
        self._events: list[bytes] = []
        self._applied = 0
        self.touched = False
        """Whether the state may differ from the journal."""
        self.found_no_job = False
        """Whether somebody looked for a job to do and there was none unfinished."""
        self._broken = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._readable = _LEFT

    @property
    def state(self) -> ScopeState:
        """The state after all events so far. Its use raises `StorageError` once the block is left."""
        if self._applied < len(self._events) and self._readable is self._state:
            self.apply()
        return self._readable

    def emit(self, *events: codec.Json) -> None:
        """Keep `events` for the journal and the state; raise `StorageError` in a block for reading."""
        self.check_writable()
        self._events += [*map(codec.dumps, events)]  # all of them or, if one cannot be written, none

    def apply(self) -> None:
        """Bring the state up to date with the events."""
        due, self._applied = self._events[self._applied :], len(self._events)
        self.touched = True
        try:
            self._state.apply([*map(codec.loads, due)])  # what will be replayed, not what was handed in
        except BaseException:
            self._broken = True
            raise

    def check_writable(self) -> None:
        """Raise `StorageError` in a block for reading, and once the block is left."""
        if self._readable is _LEFT:
            raise StorageError(_LEFT_BLOCK)
        if not self._writable:
            raise StorageError("This block was opened by reading(); open writing() to change anything.")

    def finished(self) -> Sequence[bytes]:
        """Return all events; raise `StorageError` if one failed half way: nothing is worth keeping then."""
        if self._broken:
            raise StorageError("A write of this transaction failed; nothing of it was kept.")
        return self._events
