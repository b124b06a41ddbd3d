"""All that one request or one job writes, as one transaction: its effects, and what belongs to them."""

import contextlib
from collections.abc import Callable, Iterator

from engramia.core.ports import ScopedStorage, Stores
from engramia.errors import StorageError


def _nothing() -> None:
    """Do nothing."""


class WithdrawnError(Exception):
    """The work is not to be done here: another has done it, or does. No failure of it."""


class OneTransaction:
    """One scope's storage for one piece of work, in one thread. Implements `ScopedStorage`.

    The first `writing()` opens the real transaction, which stays open until `transaction()` is left; from
    then on reads see its writes. What takes long has to come before, for it holds up every other writer of
    the scope. Used once.
    """

    def __init__(
        self,
        storage: ScopedStorage,
        *,
        before_opening: Callable[[], None] = _nothing,
        on_opened: Callable[[Stores], None] | None = None,
    ) -> None:
        """Work on `storage`; either hook refuses by raising.

        `before_opening` is called at each use of the storage until the real transaction is open, `on_opened`
        right after, before anything is written in it.
        """
        self._storage = storage
        self._before_opening = before_opening
        self._on_opened = on_opened
        self._stack = contextlib.ExitStack()
        self._stores: Stores | None = None
        self._last: list[Callable[[Stores], None]] = []
        self._on_failure: list[Callable[[BaseException], None]] = []
        self._afterwards: list[Callable[[], object]] = []
        self._spoilt = False

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep all of the block and what `at_end` was given if it ends normally, nothing otherwise."""
        try:
            with self._stack:
                yield
                self._end()
        except WithdrawnError:
            raise
        except BaseException as error:
            for told in self._on_failure:
                told(error)
            raise
        for tell in self._afterwards:
            tell()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Stores]:
        """Open the stores for reading."""
        if self._stores is not None:
            yield self._stores
            return
        self._before_opening()
        with self._storage.reading() as stores:
            yield stores

    @contextlib.contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[Stores]:
        """Join the transaction; it is durable when it ends, whatever `durable` says."""
        del durable
        stores = self._opened()
        try:
            yield stores
        except BaseException:
            self._spoilt = True  # what the block did before it failed must not be kept, whoever catches this
            raise

    def erase(self) -> None:
        """Refuse: what is being written cannot be erased at the same time."""
        raise StorageError("A scope cannot be erased from within a transaction of its own.")

    def at_end(self, write: Callable[[Stores], None]) -> None:
        """Let `write` be called right before the commit, after those given before; what it raises undoes all.

        The real transaction is opened for it if nothing else was written.
        """
        self._last.append(write)

    def after_commit(self, tell: Callable[[], object]) -> None:
        """Let `tell` be called once all is kept."""
        self._afterwards.append(tell)

    def on_failure(self, tell: Callable[[BaseException], None]) -> None:
        """Let `tell` be called with the error once all is undone, unless the work was withdrawn."""
        self._on_failure.append(tell)

    @property
    def is_open(self) -> bool:
        """Whether the real transaction is open, so that nobody else writes in the scope."""
        return self._stores is not None

    def _opened(self) -> Stores:
        if self._stores is None:
            self._before_opening()
            stores = self._stack.enter_context(self._storage.writing())
            if self._on_opened is not None:
                self._on_opened(stores)
            self._stores = stores
        return self._stores

    def _end(self) -> None:
        if self._spoilt:
            raise StorageError("A write of this transaction failed, so nothing of it is kept.")
        for write in self._last:
            write(self._opened())
