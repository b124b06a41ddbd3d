"""Where a block for reading is served: on the replica where it can be, else on the primary."""

from contextlib import ExitStack

from engramia.db.replica import Replica
from engramia.db.session import Database
from engramia.errors import StorageError
from engramia.providers.postgres.transaction import Opened


class ReadingPlace:
    """Opens one transaction for reading in `stack`, by the statements `begin`."""

    def __init__(self, stack: ExitStack, begin: str, database: Database, replica: Replica | None) -> None:
        self._stack, self._begin = stack, begin
        self._database, self._replica = database, replica
        self._left: Replica | None = None
        """The replica, while the block is read there."""

    def open(self) -> Opened:
        """Begin the transaction, on the replica if it has all that was committed before."""
        found = None if self._replica is None else self._replica.open(self._stack, self._begin)
        if found is None:
            return self._on_primary()
        self._left = self._replica
        return found

    def leave_replica(self, error: StorageError) -> Opened | None:
        """Begin anew on the primary, since the replica failed with `error`; None if this is the primary."""
        replica, self._left = self._left, None
        if replica is None:
            return None
        replica.rest(str(error))
        return self._on_primary()

    def _on_primary(self) -> Opened:
        return self._stack.enter_context(self._database.transaction(self._begin, reads=True))
