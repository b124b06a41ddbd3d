"""The HNSW indexes over the signs of vectors, one for each dimension, made beside the work: no writer waits.

An index is made by whoever owns the table, concurrently, on a connection of its own. The application acts as
a role that owns nothing; but it may have logged in as one that does, and then makes what searches missed.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, NullPool, create_engine, text

from engramia.db.faults import translated
from engramia.db.scoped import directory_settings
from engramia.db.session import parse_url
from engramia.errors import StorageError

_log = logging.getLogger("engramia.storage")

INDEXABLE = 16_000
"""Dimensions that a vector may have at most."""
COMPARED = 32_768
"""Vectors of a scope up to which all are compared, without an index."""
_NEIGHBOURS = 12
"""In the graph, of each vector. To insert one changes twice as many, and looks at the neighbours of each."""
_CONNECT_TIMEOUT = 10
_LOCK = 7_283_519_047  # any number that nobody else locks
_MEMORY_LEAST_KB = 65_536

_WANTED = text(
    "SELECT DISTINCT dimension FROM scopes WHERE dense > :beyond AND dimension <= :most ORDER BY dimension"
)
_VALID = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
_OWNS = text(
    "SELECT pg_has_role(session_user, relowner, 'USAGE') FROM pg_class "
    "WHERE oid = 'pattern_vectors'::regclass"
)


def index_name(dimension: int) -> str:
    """Return the name of the index over vectors of a dimension."""
    return f"pattern_vectors_signs_{dimension}"


def make_index(url: str, dimension: int) -> bool:
    """Make the index over vectors of a dimension (1 to 16,000) as the owner; False if nothing was to be done.

    It takes minutes for a million vectors; reads and writes go on meanwhile. One that was left half done is
    made anew. If another process is at it, nothing is done. Raises `StorageError` where the role may not.
    """
    if not 1 <= dimension <= INDEXABLE:
        raise StorageError(
            f"There is no index for vectors of dimension {dimension}; 1 to {INDEXABLE} can be."
        )
    with _connected(url) as connection:
        locked = connection.execute(text(f"SELECT pg_try_advisory_lock({_LOCK})")).scalar_one()
        valid = connection.execute(_VALID, {"name": index_name(dimension)}).scalar_one_or_none()
        if not locked or valid:
            return False
        if valid is not None:
            connection.execute(text(f"DROP INDEX CONCURRENTLY {index_name(dimension)}"))
        connection.execute(
            text(
                f"CREATE INDEX CONCURRENTLY {index_name(dimension)} ON pattern_vectors "
                f"USING hnsw ((binary_quantize(embedding)::bit({dimension})) bit_hamming_ops) "
                f"WITH (m = {_NEIGHBOURS}) WHERE dimension = {dimension}"
            )
        )
    return True


def may_make_indexes(url: str) -> bool:
    """Return whether the role that this address logs in as owns the table."""
    with _connected(url) as connection:
        return bool(connection.execute(_OWNS).scalar_one())


def make_wanted_indexes(url: str, beyond: int = COMPARED) -> list[int]:
    """Make the index of each dimension that a scope has more than `beyond` vectors of; return those made."""
    with _connected(url) as connection:
        connection.execute(text(directory_settings(local=False)))
        wanted = connection.execute(_WANTED, {"beyond": beyond, "most": INDEXABLE}).scalars().all()
    return [dimension for dimension in wanted if make_index(url, dimension)]


class IndexMaker:
    """Makes the indexes that searches have missed, one at a time, on a thread of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def make(self, dimension: int | None, done: Callable[[int], None]) -> None:
        """Begin to make an index, unless one is being made, and call `done` then; None is for no index."""
        if dimension is None:
            return
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._make, args=(dimension, done), name="engramia-index", daemon=True
                )
                self._thread.start()

    def wait(self, timeout: float) -> None:
        """Wait until the index that is being made is there."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _make(self, dimension: int, done: Callable[[int], None]) -> None:
        try:
            if may_make_indexes(self._url):
                make_index(self._url, dimension)
                done(dimension)
            else:
                _log.warning(
                    "A large scope is searched without an index over its vectors of dimension %d: run "
                    "`engramia db index` as the owner of the tables.",
                    dimension,
                )
        except StorageError as error:
            _log.warning("No index for vectors of dimension %d was made: %s", dimension, error)


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    """Yield a connection as the role that logs in, each statement a transaction of its own."""
    engine = create_engine(
        parse_url(url),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={"connect_timeout": _CONNECT_TIMEOUT, "application_name": "engramia-index"},
    )
    with translated(), engine.connect() as connection:
        _widen_memory(connection)
        yield connection


def _widen_memory(connection: Connection) -> None:
    """Let the index be built in memory as far as the server's own setting is lower than is sensible."""
    memory = connection.execute(
        text("SELECT setting::bigint FROM pg_settings WHERE name = 'maintenance_work_mem'")
    ).scalar_one()
    if memory <= _MEMORY_LEAST_KB:
        connection.execute(text("SET maintenance_work_mem = '512MB'"))
