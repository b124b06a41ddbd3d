"""Making a key once for an `Idempotency-Key`, in the transaction that makes it.

The secret is shown to the first request alone: a repeated one is told which key it made.
"""

from datetime import datetime
from http import HTTPStatus

import orjson
from sqlalchemy import Connection

from engramia.core.idempotency import Answer
from engramia.core.model import Scope
from engramia.errors import ConflictError
from engramia.providers.postgres.idempotency_store import store_over
from engramia.server.kit.once import HEADER, Attempt, keep_answer, kept_answer


def check_not_made(connection: Connection, scope: Scope, attempt: Attempt, now: datetime) -> None:
    """Raise `ConflictError` with the key's id if the request has made one; `IdempotencyKeyReusedError`, too.

    To be called when the transaction holds what others would wait for.
    """
    answer = kept_answer(store_over(connection, scope), attempt, now)
    if answer is not None:
        raise ConflictError(
            f"A request with this {HEADER} has made a key already. Its secret was shown once and is not "
            "kept: rotate the key for a new one, or revoke it.",
            code="key_already_created",
            facts={"id": orjson.loads(answer.body)["id"]},
        )


def note_made(connection: Connection, scope: Scope, attempt: Attempt, now: datetime, key_id: str) -> None:
    """Keep that the request has made this key."""
    answer = Answer(HTTPStatus.CREATED, orjson.dumps({"id": key_id}).decode())
    keep_answer(store_over(connection, scope), attempt, now, answer)
