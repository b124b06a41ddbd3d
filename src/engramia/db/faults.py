"""Foreign errors, translated: what psycopg and SQLAlchemy raise, in terms of `engramia.errors`."""

import contextlib
from collections.abc import Iterator
from types import MappingProxyType

import psycopg
from psycopg import errors as pg
from sqlalchemy import exc

from engramia.errors import (
    StorageCorruptError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
)

OUTDATED = (
    "The database does not have the schema of this release. Run `engramia db upgrade` with the address of "
    "the role that owns it, then start again."
)

FORBIDDEN = (
    "The database does not let its user do this. The user of the application must be a member of the role "
    "engramia_app; `engramia db upgrade` needs the owner."
)

_TOO_LONG = "The database did not answer in time."
_BUSY = "The database is busy with another writer of this scope; try again."
_BY_ERROR = MappingProxyType(
    {
        pg.QueryCanceled: (StorageUnavailableError, _TOO_LONG),
        pg.IdleInTransactionSessionTimeout: (
            StorageUnavailableError,
            "The database ended a transaction that said nothing for too long; nothing of it was kept.",
        ),
        pg.LockNotAvailable: (StorageUnavailableError, _BUSY),
        pg.DeadlockDetected: (StorageUnavailableError, _BUSY),
        pg.SerializationFailure: (StorageUnavailableError, _BUSY),
        pg.DiskFull: (StorageFullError, "The database has no space left; nothing of this write was kept."),
        pg.OutOfMemory: (StorageUnavailableError, "The database is out of memory."),
        pg.TooManyConnections: (StorageUnavailableError, "The database takes no more connections."),
        pg.DataCorrupted: (StorageCorruptError, "The database found damaged data; its log says where."),
        pg.IndexCorrupted: (StorageCorruptError, "The database found a damaged index; its log says which."),
        pg.ReadOnlySqlTransaction: (StorageError, "This database is a replica, which takes no writes."),
        pg.UndefinedTable: (StorageError, OUTDATED),
        pg.UndefinedColumn: (StorageError, OUTDATED),
        pg.UndefinedFunction: (StorageError, OUTDATED),
        pg.InsufficientPrivilege: (
            StorageError,
            FORBIDDEN,
        ),
    }
)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raise what the database or its driver raises inside as a `StorageError` of the fitting kind."""
    try:
        yield
    except exc.TimeoutError as error:
        raise StorageUnavailableError("All connections to the database are in use; try again.") from error
    except (exc.DBAPIError, psycopg.Error) as error:
        raise translate(error) from error
    except exc.SQLAlchemyError as error:
        raise StorageError(f"The database could not be asked: {error}") from error


def translate(error: exc.DBAPIError | psycopg.Error) -> StorageError:
    """Return the error of ours that stands for a foreign one; no address or password is in its message."""
    origin = error.orig if isinstance(error, exc.DBAPIError) else error
    for known, (kind, message) in _BY_ERROR.items():
        if isinstance(origin, known):
            return kind(message)
    sentence = _first_line(origin)
    if isinstance(origin, psycopg.OperationalError | psycopg.InterfaceError):
        return StorageUnavailableError(f"The database cannot be reached: {sentence}")
    return StorageError(f"The database refused a statement: {sentence}")


def _first_line(error: BaseException | None) -> str:
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return (primary or str(error).strip() or type(error).__name__).splitlines()[0]
