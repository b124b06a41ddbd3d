"""The port for keyed requests over one transaction."""

from datetime import datetime

from sqlalchemy import Connection, Integer, Row, bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert

from engramia.core.idempotency import Answer, KeyedRequest
from engramia.core.model import Scope
from engramia.db.scoped import scope_settings
from engramia.providers.postgres import rows
from engramia.providers.postgres.tables import idempotency_keys as keys
from engramia.providers.postgres.transaction import ScopeTransaction, ours

_PRUNE_AT_ONCE = 256
_PRUNES_IN_SIXTEEN = 1
"""How many of sixteen requests, by the first digit of their ids, look for what has expired."""

_of_id = keys.c.id == bindparam("of_id")
_GET = select(keys).where(ours(keys), _of_id, keys.c.expires_at > bindparam("now"))
_new = insert(keys)
_PUT = _new.on_conflict_do_update(
    index_elements=["tenant_id", "project_id", "id"],
    set_={column.name: _new.excluded[column.name] for column in keys.c if not column.primary_key},
)
_DROP = delete(keys).where(ours(keys), _of_id, keys.c.token == bindparam("of_token"), keys.c.status.is_(None))
_EXPIRED = (
    select(keys.c.id)
    .where(ours(keys), keys.c.expires_at <= bindparam("now"))
    .order_by(keys.c.expires_at)
    .limit(bindparam("at_most", type_=Integer))
)
_PRUNE = delete(keys).where(ours(keys), keys.c.id.in_(_EXPIRED), keys.c.expires_at <= bindparam("now"))


class PostgresIdempotencyStore:
    """Implements `IdempotencyStore`."""

    def __init__(self, transaction: ScopeTransaction) -> None:
        self._transaction = transaction

    def get(self, id: str, now: datetime) -> KeyedRequest | None:
        """Return what is kept of the request, or None."""
        row = self._transaction.execute(_GET, of_id=id, now=now).one_or_none()
        return None if row is None else _request(row)

    def put(self, request: KeyedRequest, now: datetime) -> None:
        """Keep a request under its id; now and then, let go of some that expired."""
        scope, answer = self._transaction.scope, request.answer
        self._transaction.write(
            _PUT,
            tenant_id=scope.tenant_id,
            project_id=scope.project_id,
            id=rows.text(request.id, "id"),
            fingerprint=request.fingerprint,
            token=request.token,
            expires_at=request.expires_at,
            status=None if answer is None else answer.status,
            body=None if answer is None else rows.text(answer.body, "body"),
        )
        if int(request.id[:1], 16) < _PRUNES_IN_SIXTEEN:
            self._transaction.write(_PRUNE, now=now, at_most=_PRUNE_AT_ONCE)

    def drop(self, id: str, token: str) -> bool:
        """Forget this attempt, unless it was answered."""
        return self._transaction.write(_DROP, of_id=id, of_token=token) == 1


def store_over(connection: Connection, scope: Scope) -> PostgresIdempotencyStore:
    """Return the store of a scope in a transaction that was opened for something else of its tenant."""
    connection.exec_driver_sql(scope_settings(scope))
    return PostgresIdempotencyStore(ScopeTransaction(connection, scope, None, writable=True))


def _request(row: Row[tuple[object, ...]]) -> KeyedRequest:
    return KeyedRequest(
        id=row.id,
        fingerprint=row.fingerprint,
        token=row.token,
        expires_at=rows.utc(row.expires_at),
        answer=None if row.status is None else Answer(row.status, row.body),
    )
