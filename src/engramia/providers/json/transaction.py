"""What the stores of one `reading()` or `writing()` block share: the state, and where events go."""

from engramia.errors import StorageError
from engramia.providers.json import codec
from engramia.providers.json.state import ScopeState


class Transaction:
    """Applies events to the state at once and collects their bytes for the journal."""

    def __init__(self, state: ScopeState, *, writable: bool) -> None:
        self._state = state
        self._writable = writable
        self._open = True
        self.events: list[bytes] = []
        self.touched = False
        """Whether the state may differ from the journal."""
        self.found_no_job = False
        """Whether somebody looked for a job to do and there was none unfinished."""
        self._broken = False

    def state(self) -> ScopeState:
        """Return the state; raise `StorageError` once the block is left."""
        if not self._open:
            raise StorageError("These stores belong to a block that has been left; open a new one.")
        return self._state

    def emit(self, *events: codec.Json) -> None:
        """Apply `events` and keep them for the journal; raise `StorageError` in a block for reading."""
        state = self.state()
        self.check_writable()
        data = [*map(codec.dumps, events)]
        self.touched = True
        try:
            state.apply([*map(codec.loads, data)])  # what will be replayed, not what was handed in
        except BaseException:
            self._broken = True
            raise
        self.events += data

    def check_writable(self) -> None:
        """Raise `StorageError` in a block for reading."""
        if not self._writable:
            raise StorageError("This block was opened by reading(); open writing() to change anything.")

    def check_whole(self) -> None:
        """Raise `StorageError` if an event failed half way: the rest must not be kept without it."""
        if self._broken:
            raise StorageError("A write of this transaction failed; nothing of it was kept.")

    def close(self) -> None:
        """Let the stores of the block be used no more."""
        self._open = False
