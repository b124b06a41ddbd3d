"""The port for keyed requests over the state of one scope."""

from datetime import datetime

from engramia.core.idempotency import KeyedRequest
from engramia.providers.json.idempotency import decode_keyed, encode_keyed
from engramia.providers.json.transaction import Transaction


class JSONIdempotencyStore:
    """Implements `IdempotencyStore`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def get(self, id: str, now: datetime) -> KeyedRequest | None:
        """Return what is kept of the request, or None."""
        row = self._transaction.state.idempotency.rows.get(id)
        request = None if row is None else decode_keyed(id, row)
        return request if request is not None and now < request.expires_at else None

    def put(self, request: KeyedRequest, now: datetime) -> None:
        """Keep a request under its id, and let go of all that expired."""
        self._transaction.emit(encode_keyed(request, now))

    def drop(self, id: str, token: str) -> bool:
        """Forget this attempt, unless it was answered."""
        row = self._transaction.state.idempotency.rows.get(id)
        if row is None or row.token != token or row.answer is not None:
            return False
        self._transaction.emit({"kind": "keyed_dropped", "id": id})
        return True
