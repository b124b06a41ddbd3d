"""The pepper: what keys are hashed under, so that a stolen database opens nothing.

It is `ENGRAMIA_SECRET_KEY`, or, while that is unset, made once and kept in the database. With the first key a
fingerprint of the pepper is kept, so that another one is refused by name and not by 401 to everyone. That
fingerprint is also what says that a first key was ever made.
"""

import hmac
import secrets

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert

from engramia.db.scoped import service_settings
from engramia.db.session import Database
from engramia.errors import StorageError
from engramia.server.keys.tables import service_secrets

_PEPPER, _FINGERPRINT = "key_pepper", "key_pepper_fingerprint"
_SIZE = 32
_ANOTHER = (
    "ENGRAMIA_SECRET_KEY is another than the one that the API keys in this database were made with, so that "
    "none of them would be known. Set it to that one again."
)
_ANOTHER_THAN_KEPT = (
    "ENGRAMIA_SECRET_KEY is set, and the API keys in this database were made with a secret that is kept in "
    "it, so that none of them would be known. Unset it, or set it to what `engramia keys pepper` prints."
)
_UNSET = (
    "ENGRAMIA_SECRET_KEY is not set, and the API keys in this database were made with one, so that none of "
    "them would be known. Set it to that one again."
)

_BEGIN = f"BEGIN; {service_settings()}"
_BEGIN_READING = f"BEGIN READ ONLY; {service_settings()}"


def settle(database: Database, configured: str | None) -> bytes:
    """Return the pepper, made if need be; raises `StorageError` if the keys were made with another one."""
    with database.transaction(_BEGIN) as (connection, _):
        if configured is None:
            pepper = _kept(connection) or _make(connection)
        else:
            pepper = configured.encode()
            _forget_copy(connection, pepper)
        _check(connection, pepper, configured)
    return pepper


def check(database: Database, configured: str | None) -> None:
    """Raise `StorageError` if the keys were made with another pepper; change nothing."""
    with database.transaction(_BEGIN_READING) as (connection, _):
        pepper = _kept(connection) if configured is None else configured.encode()
        _check(connection, pepper or b"", configured)


def kept(database: Database) -> str | None:
    """Return the pepper that is kept in the database, or None if none is."""
    with database.transaction(_BEGIN_READING) as (connection, _):
        pepper = _kept(connection)
    return None if pepper is None else pepper.decode()


def note_first_key(connection: Connection, pepper: bytes) -> bool:
    """Note that a key is made under `pepper`; return whether it is the first one ever.

    In a transaction that set the service: of many that do this at once one is first, if it is committed.
    Raises `StorageError` if the keys before it were made under another pepper.
    """
    noted = insert(service_secrets).values(name=_FINGERPRINT, value=_fingerprint(pepper))
    done = connection.execute(noted.on_conflict_do_nothing().returning(service_secrets.c.name))
    first = done.one_or_none() is not None
    if not first and _value(connection, _FINGERPRINT) != _fingerprint(pepper):
        raise StorageError(_ANOTHER)
    return first


def _check(connection: Connection, pepper: bytes, configured: str | None) -> None:
    found = _value(connection, _FINGERPRINT)
    if found is None or found == _fingerprint(pepper):
        return
    if configured is None:
        raise StorageError(_UNSET)
    copy = _kept(connection)
    raise StorageError(_ANOTHER if copy is None or _fingerprint(copy) != found else _ANOTHER_THAN_KEPT)


def _kept(connection: Connection) -> bytes | None:
    value = _value(connection, _PEPPER)
    return None if value is None else value.encode()


def _make(connection: Connection) -> bytes:
    """Keep a fresh pepper, unless another process has just done so; return the one that is kept."""
    fresh = insert(service_secrets).values(name=_PEPPER, value=secrets.token_urlsafe(_SIZE))
    connection.execute(fresh.on_conflict_do_nothing())
    return _kept(connection) or b""


def _forget_copy(connection: Connection, pepper: bytes) -> None:
    """Delete the pepper that is kept here once the environment has it."""
    copy = service_secrets.c.name == _PEPPER, service_secrets.c.value == pepper.decode()
    connection.execute(delete(service_secrets).where(*copy))


def _value(connection: Connection, name: str) -> str | None:
    found = select(service_secrets.c.value).where(service_secrets.c.name == name)
    return connection.execute(found).scalar_one_or_none()


def _fingerprint(pepper: bytes) -> str:
    return hmac.digest(pepper, b"engramia: fingerprint of the pepper", "sha256").hex()
