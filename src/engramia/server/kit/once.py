"""Requests with an `Idempotency-Key`: done once, however often they are sent.

What is promised, and why failures are not repeated, is in `docs/decisions/0025-idempotency.md`.
"""

import contextlib
import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson
from starlette import requests

from engramia.core import limits
from engramia.core.idempotency import Answer, KeyedRequest, fingerprint, identity
from engramia.core.model import Scope
from engramia.core.ports import IdempotencyStore, Stores
from engramia.errors import IdempotencyKeyReusedError, InProgressError, StorageError, ValidationError
from engramia.memory.engine import Engine
from engramia.server.kit.one_transaction import OneTransaction, WithdrawnError
from engramia.server.kit.schemas import Request

_log = logging.getLogger("engramia.idempotency")

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"

_KEPT = timedelta(hours=limits.IDEMPOTENCY_HOURS)
_SOON_SECONDS = 1.0
"""When to ask again for what another request is still at work on; most are done in milliseconds."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sending of a request that is to be done once."""

    id: str
    fingerprint: str
    lease: timedelta | None = None
    """How long until another attempt may begin although this one has not ended: it is announced before it
    begins. None for a quick one, which is not: one in another process waits for its transaction."""
    token: str = field(default_factory=lambda: secrets.token_hex(8))


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a request: its status and JSON body; `kept` is what to replay, if not all of it."""

    status: int
    content: bytes
    kept: bytes | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request is answered."""

    status: int
    content: bytes
    is_replay: bool


def key_of(request: requests.Request) -> str:
    """Return the request's key; several headers are one, as HTTP has it."""
    return ", ".join(request.headers.getlist(HEADER))


def attempt_of(
    request: requests.Request, operation: str, caller: str | None, body: Request
) -> Attempt | None:
    """Return the attempt that a request is, or None if it carries no key."""
    if HEADER not in request.headers:
        return None
    return attempt_at(operation, caller, key_of(request), body)


def attempt_at(
    operation: str, caller: str | None, key: str, body: Request, lease: timedelta | None = None
) -> Attempt:
    """Return an attempt of `caller` (the id of its API key) at an operation, under an `Idempotency-Key`.

    Raises `ValidationError` for a key that is not 1 to 255 printable ASCII characters.
    """
    if not 1 <= len(key) <= limits.IDEMPOTENCY_KEY_MAX_CHARS or not (key.isascii() and key.isprintable()):
        raise ValidationError(
            f"{HEADER} must be 1 to {limits.IDEMPOTENCY_KEY_MAX_CHARS} printable ASCII characters.",
            field=HEADER,
        )
    canonical = orjson.dumps(body.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)
    return Attempt(identity(operation, caller, key), fingerprint(key, canonical), lease)


def kept_answer(store: IdempotencyStore, attempt: Attempt, now: datetime) -> Answer | None:
    """Return what the request was answered before, or None if this attempt is to do it.

    Raises `IdempotencyKeyReusedError` if the key came with another body, `InProgressError` while another
    attempt is announced.
    """
    known = store.get(attempt.id, now)
    if known is None or known.token == attempt.token:
        return None
    _check_same_body(known.fingerprint, attempt)
    if known.answer is None:
        raise _in_progress()
    return known.answer


def keep_answer(store: IdempotencyStore, attempt: Attempt, now: datetime, answer: Answer) -> None:
    """Keep what the request is answered; to be called in the transaction of its effects."""
    store.put(KeyedRequest(attempt.id, attempt.fingerprint, attempt.token, now + _KEPT, answer), now)


type Work = Callable[[OneTransaction], Answered]


class Once:
    """Does requests once, and keeps what they were answered. One for a process; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[tuple[Scope, str], Attempt] = {}

    def do(self, scope: Scope, engine: Engine, attempt: Attempt, work: Work) -> Outcome:
        """Return what `work` answers, or what the request was answered before.

        `work` gets the storage to write into: what it writes is kept together with its answer, or neither is.
        What it raises leaves nothing, so that the request may be sent again. Raises what `kept_answer` does.
        """
        with self._alone(scope, attempt):
            with engine.storage.reading() as stores:
                kept = kept_answer(stores.idempotency, attempt, engine.clock.now())
            if kept is not None:
                return _replayed(kept)
            try:
                with _announced(engine, attempt):
                    return _done(engine, attempt, work)
            except _AnsweredMeanwhileError as meanwhile:
                return _replayed(meanwhile.answer)

    @contextlib.contextmanager
    def _alone(self, scope: Scope, attempt: Attempt) -> Iterator[None]:
        """Refuse a request that this process is at work on already."""
        place = (scope, attempt.id)
        with self._lock:
            known = self._under_way.setdefault(place, attempt)
        if known is not attempt:
            _check_same_body(known.fingerprint, attempt)
            raise _in_progress()
        try:
            yield
        finally:
            with self._lock:
                del self._under_way[place]


class _AnsweredMeanwhileError(WithdrawnError):
    """Another process was faster; nothing was written here."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


def _replayed(answer: Answer) -> Outcome:
    return Outcome(answer.status, answer.body.encode(), is_replay=True)


def _done(engine: Engine, attempt: Attempt, work: Work) -> Outcome:
    unit = OneTransaction(
        engine.storage, on_opened=lambda stores: _check_unanswered(stores, attempt, engine.clock.now())
    )
    with unit.transaction():
        did = work(unit)
        kept = Answer(did.status, (did.content if did.kept is None else did.kept).decode())
        unit.at_end(lambda stores: keep_answer(stores.idempotency, attempt, engine.clock.now(), kept))
    return Outcome(did.status, did.content, is_replay=False)


def _check_unanswered(stores: Stores, attempt: Attempt, now: datetime) -> None:
    answer = kept_answer(stores.idempotency, attempt, now)
    if answer is not None:
        raise _AnsweredMeanwhileError(answer)


@contextlib.contextmanager
def _announced(engine: Engine, attempt: Attempt) -> Iterator[None]:
    """Tell other processes of a slow attempt; if it fails, the next may begin at once."""
    if attempt.lease is None:
        yield
        return
    with engine.storage.writing(durable=False) as stores:
        now = engine.clock.now()
        _check_unanswered(stores, attempt, now)
        begun = KeyedRequest(attempt.id, attempt.fingerprint, attempt.token, now + attempt.lease)
        stores.idempotency.put(begun, now)
    try:
        yield
    except BaseException:
        _take_back(engine, attempt)
        raise


def _take_back(engine: Engine, attempt: Attempt) -> None:
    try:
        with engine.storage.writing(durable=False) as stores:
            stores.idempotency.drop(attempt.id, attempt.token)
    except StorageError as error:
        _log.warning("A failed request holds its key until its lease runs out: %s", error)


def _check_same_body(known: str, attempt: Attempt) -> None:
    if known != attempt.fingerprint:
        raise IdempotencyKeyReusedError(
            f"This {HEADER} came before with another body. Send the same body, or a new key.", field=HEADER
        )


def _in_progress() -> InProgressError:
    return InProgressError(
        f"A request with this {HEADER} is still under way; ask again for its answer.",
        retry_after=_SOON_SECONDS,
        code="idempotency_in_progress",
    )
