"""Keys in the database, inside a transaction that set their tenant."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, or_, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.elements import ColumnElement

from engramia.core.model import Scope
from engramia.core.query import Page
from engramia.server.keys.model import Key
from engramia.server.keys.tables import api_keys, service_counters
from engramia.server.kit.permissions import Role

CHANGES = "key_changes"
"""The counter that goes up with each change that takes something from a key or a project."""
CHANNEL = "engramia_keys"
"""Where listeners are told of such a change: its number and the tenant."""

_TOLD = tuple(column for column in api_keys.c if column.name != "digest")


def add(connection: Connection, key: Key, digest: bytes) -> None:
    """Store a new key."""
    connection.execute(
        insert(api_keys).values(
            tenant_id=key.scope.tenant_id,
            id=key.id,
            project_id=key.scope.project_id,
            name=key.name,
            role=key.role.value,
            digest=digest,
            key_prefix=key.key_prefix,
            max_patterns=key.max_patterns,
            created_at=key.created_at,
            created_by=key.created_by,
            expires_at=key.expires_at,
        )
    )


def find(connection: Connection, tenant_id: str, id: str) -> Key | None:
    """Return the tenant's key, or None if it has none of this id."""
    row = connection.execute(select(*_TOLD).where(_is(tenant_id, id))).one_or_none()
    return None if row is None else _key(row)


def find_by_digest(connection: Connection, digest: bytes) -> Key | None:
    """Return the key of a digest, whosever it is; the transaction must have set the digest."""
    row = connection.execute(select(*_TOLD).where(api_keys.c.digest == digest)).one_or_none()
    return None if row is None else _key(row)


def page(connection: Connection, scope: Scope, *, limit: int, offset: int) -> Page[Key]:
    """Return the project's keys, newest first."""
    statement = (
        select(*_TOLD)
        .where(api_keys.c.tenant_id == scope.tenant_id, api_keys.c.project_id == scope.project_id)
        .order_by(api_keys.c.created_at.desc(), api_keys.c.id.desc())
        .limit(limit + 1)
        .offset(offset)
    )
    rows = connection.execute(statement).all()
    return Page(tuple(_key(row) for row in rows[:limit]), offset, len(rows) > limit)


def other_live_owners(connection: Connection, key: Key, now: datetime) -> bool:
    """Return whether the key's tenant has another owner key that is neither revoked nor expired."""
    statement = (
        select(api_keys.c.id)
        .where(
            api_keys.c.tenant_id == key.scope.tenant_id,
            api_keys.c.id != key.id,
            api_keys.c.role == Role.OWNER.value,
            api_keys.c.revoked_at.is_(None),
            or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now),
        )
        .limit(1)
    )
    return connection.execute(statement).one_or_none() is not None


def revoke(connection: Connection, key: Key, now: datetime) -> None:
    """Let the key open nothing any more."""
    changed = update(api_keys).where(_is(key.scope.tenant_id, key.id)).values(revoked_at=now)
    connection.execute(changed)


def renew(connection: Connection, key: Key, digest: bytes, key_prefix: str, now: datetime) -> None:
    """Put another secret's digest in place of the key's."""
    values = {"digest": digest, "key_prefix": key_prefix, "rotated_at": now}
    connection.execute(update(api_keys).where(_is(key.scope.tenant_id, key.id)).values(values))


def note_use(connection: Connection, tenant_id: str, id: str, at: datetime, unless_since: datetime) -> None:
    """Note when the key was last used, unless that was noted after `unless_since`."""
    seldom = or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < unless_since)
    connection.execute(update(api_keys).where(_is(tenant_id, id), seldom).values(last_used_at=at))


def announce(connection: Connection, tenant_id: str) -> None:
    """Count a change to the tenant's keys or projects, and tell every process of it, once it is committed.

    In a transaction that set the service, last: changes wait here for one another.
    """
    counter = postgresql.insert(service_counters).values(name=CHANGES, value=1)
    counted = counter.on_conflict_do_update(
        index_elements=[service_counters.c.name], set_={"value": service_counters.c.value + 1}
    ).returning(service_counters.c.value)
    number = connection.execute(counted).scalar_one()
    connection.exec_driver_sql("SELECT pg_notify(%s, %s)", (CHANNEL, f"{number} {tenant_id}"))


def _is(tenant_id: str, id: str) -> ColumnElement[bool]:
    return (api_keys.c.tenant_id == tenant_id) & (api_keys.c.id == id)


def _key(row: Row[Any]) -> Key:
    return Key(
        id=row.id,
        name=row.name,
        key_prefix=row.key_prefix,
        role=Role(row.role),
        scope=Scope(row.tenant_id, row.project_id),
        max_patterns=row.max_patterns,
        expires_at=row.expires_at,
        created_at=row.created_at,
        created_by=row.created_by,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
        rotated_at=row.rotated_at,
    )
