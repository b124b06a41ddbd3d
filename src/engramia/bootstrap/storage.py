"""Which storage and which database the settings choose."""

from typing import TYPE_CHECKING

from engramia.bootstrap.extras import installed
from engramia.bootstrap.secret import secret_of
from engramia.core.ports import Mover, Storage
from engramia.errors import StorageError
from engramia.settings import Settings, StorageKind

if TYPE_CHECKING:
    from engramia.db.audit import AuditLedger
    from engramia.db.replica import Replica
    from engramia.db.session import Database, Limits


def storage_from(settings: Settings) -> Storage:
    """Return the storage that the settings name; `StorageError` for Postgres without an address or extra."""
    if settings.storage is StorageKind.JSON:
        from engramia.providers.json.storage import JSONStorage

        return JSONStorage(settings.data_path)
    address = database_url(settings)
    if not (installed("sqlalchemy") and installed("psycopg")):
        raise StorageError('ENGRAMIA_STORAGE=postgres needs the extra: pip install "engramia[postgres]".')
    from engramia.providers.postgres.storage import PostgresStorage

    return PostgresStorage(
        database_url=address,
        limits=database_limits(settings),
        ledger=ledger_from(settings),
        replica_url=secret_of(settings.database_replica_url),
    )


def mover_from(settings: Settings, kind: StorageKind) -> Mover:
    """Return what carries scopes out of and into the storage of this kind, which need not be the one in use.

    `StorageError` for Postgres without an address or the extra.
    """
    if kind is StorageKind.JSON:
        from engramia.providers.json.moving import JSONMover

        return JSONMover(settings.data_path)
    address = database_url(settings)
    if not (installed("sqlalchemy") and installed("psycopg")):
        raise StorageError('Postgres needs the extra: pip install "engramia[postgres]".')
    from engramia.providers.postgres.moving import PostgresMover

    return PostgresMover(address)


def database_from(settings: Settings) -> "Database":
    """Return the database that the settings name; `StorageError` without an address or the extra."""
    address = database_url(settings)
    if not (installed("sqlalchemy") and installed("psycopg")):
        raise StorageError('ENGRAMIA_DATABASE_URL needs the extra: pip install "engramia[postgres]".')
    from engramia.db.session import Database

    return Database(address, database_limits(settings))


def replica_from(settings: Settings) -> "Replica":
    """Return the replica that the settings name, over the database that they name; `StorageError` if none."""
    if settings.database_replica_url is None:
        raise StorageError("ENGRAMIA_DATABASE_REPLICA_URL is not set.")
    database = database_from(settings)
    from engramia.db.replica import Replica

    return Replica(settings.database_replica_url.get_secret_value(), database)


def database_limits(settings: Settings) -> "Limits":
    """Return how many connections a process may have, and how long it waits for one."""
    from engramia.db.session import Limits

    return Limits(
        pool_size=settings.database_pool_size,
        overflow=settings.database_max_overflow,
        pool_timeout=settings.database_pool_timeout,
    )


def ledger_from(settings: Settings) -> "AuditLedger":
    """Return what appends to the audit trail, under ENGRAMIA_SECRET_KEY if it is set."""
    from engramia.core.audit_chain import Seal
    from engramia.db.audit import AuditLedger

    return AuditLedger(Seal.of(secret_of(settings.secret_key)))


def database_url(settings: Settings) -> str:
    """Return the address of the database; `StorageError` if none is set."""
    if settings.database_url is None:
        raise StorageError(
            "Postgres needs an address: set ENGRAMIA_DATABASE_URL=postgresql://user:password@host:5432/name, "
            'or beside a running `engramia up`: eval "$(engramia up --print-env)".'
        )
    return settings.database_url.get_secret_value()
