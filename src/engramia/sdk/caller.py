"""Calls until they are answered: again after a failure that may pass, never for longer than the deadline."""

import json
import logging
import re
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from random import SystemRandom
from typing import Any

from engramia.sdk.calls import Call, Document
from engramia.sdk.connections import Answer, Deadline, Pool, Request
from engramia.sdk.errors import EngramiaConnectionError, Refusal, error_for

_log = logging.getLogger("engramia.sdk")

_BACKOFF_MOST = 30.0
_SHOWN_CHARS = 200
_PASSING = frozenset(
    {"connection_refused", "host_lookup_failed", "unreachable", "connection_lost", "timeout"}
)
"""Failures that may be gone the next time; a bad certificate or an unknown host stays as it is."""
_BRIEF = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_LASTING = frozenset({"quota_exceeded", "overage_budget_cap_reached"})
"""Codes of a 429 that no minute of waiting ends."""
_UNDER_WAY = "idempotency_in_progress"
"""Code of a 409 to a call whose first sending is still at work."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how often is tried: `timeout` (`slow_timeout`) seconds in all, `retries` times more.

    Before try n+1 it waits a random part of `backoff` x 2^(n-1) seconds, 30 at most, so that many clients do
    not come back at the same moment ("full jitter").
    """

    timeout: float
    slow_timeout: float
    retries: int
    backoff: float
    random: Callable[[], float] = SystemRandom().random
    sleep: Callable[[float], object] = time.sleep

    def deadline(self, call: Call[Any]) -> Deadline:
        """Return by when `call` has to be answered."""
        return Deadline(self.slow_timeout if call.slow else self.timeout)

    def pause(self, tries: int, least: float | None) -> float:
        """Return the seconds to wait after `tries` tries; `least` is what the server wished for."""
        pause = self.random() * min(_BACKOFF_MOST, self.backoff * 2.0 ** min(tries - 1, 16))
        return pause if least is None else least + pause / 2


class Caller:
    """Sends calls to one server as one caller."""

    def __init__(
        self, pool: Pool, prefix: str, headers: Mapping[str, str], key: str | None, patience: Patience
    ) -> None:
        self._pool = pool
        self._prefix = prefix
        self._headers = dict(headers)
        self._key = key
        self._patience = patience

    def run[T](self, call: Call[T], *, seconds: float | None = None, prefer: str | None = None) -> T:
        """Return what `call` is answered; `seconds` may shorten the time that it has.

        Raises `EngramiaHTTPError` if the server refuses, `EngramiaConnectionError` if no answer comes.
        """
        deadline = self._patience.deadline(call)
        if seconds is not None:
            deadline = Deadline(min(seconds, deadline.remaining()))
        request = self._request(call, prefer)
        answer = self._answered(call, request, deadline)
        document = self._document(answer)
        if not _is_answer(call, answer, document):
            raise error_for(self._refusal(answer, document, request))
        try:
            return call.read(document or {})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise error_for(self._foreign(answer, request)) from error

    def _request(self, call: Call[Any], prefer: str | None) -> Request:
        body = call.content()
        headers = {**self._headers, "X-Request-ID": uuid.uuid4().hex}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if prefer is not None:
            headers["Prefer"] = prefer
        if call.idempotency_key is not None:
            headers["Idempotency-Key"] = call.idempotency_key
        return Request(call.method, self._prefix + call.path, headers, body)

    def _answered(self, call: Call[Any], request: Request, deadline: Deadline) -> Answer:
        """Return the last answer; the failure of the last try if there was none."""
        tries = 0
        while True:
            tries += 1
            try:
                answer = self._pool.exchange(request, deadline, repeatable=call.repeatable)
            except EngramiaConnectionError as error:
                error.request_id = request.headers["X-Request-ID"]
                if not self._again(tries, _may_pass(error, call), None, deadline):
                    raise
                _log.info("%s %s: %s Asking again.", call.method, call.path, error)
            else:
                wish = _retry_after(answer)
                if not self._again(tries, self._is_brief(call, answer), wish, deadline):
                    return answer
                _log.info("%s %s answered %d. Asking again.", call.method, call.path, answer.status)

    def _again(self, tries: int, worth_it: bool, wish: float | None, deadline: Deadline) -> bool:
        """Wait for the next try and return True, if there is one and it would come in time."""
        if not worth_it or tries > self._patience.retries:
            return False
        pause = self._patience.pause(tries, wish)
        if pause >= deadline.remaining():
            return False
        self._patience.sleep(pause)
        return True

    def _is_brief(self, call: Call[Any], answer: Answer) -> bool:
        """Return whether the answer says that asking later may do."""
        if answer.status == HTTPStatus.CONFLICT:
            return (self._document(answer) or {}).get("error") == _UNDER_WAY
        if answer.status not in _BRIEF or _is_answer(call, answer, document := self._document(answer)):
            return False
        code = (document or {}).get("error")
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            return code not in _LASTING
        # Without Retry-After our own 503 is one that lasts (a full or damaged store); a proxy's is not.
        return "retry-after" in answer.headers or not isinstance(code, str)

    def _document(self, answer: Answer) -> Document | None:
        """Return the answer's JSON object, None if it is something else."""
        body = self._without_key(answer.body) if answer.status >= HTTPStatus.MULTIPLE_CHOICES else answer.body
        # Nested so deep that it cannot be read, or not text at all: something else, too.
        with suppress(ValueError, RecursionError):
            value = json.loads(body)
            return value if isinstance(value, dict) else None
        return None

    def _refusal(self, answer: Answer, document: Document | None, request: Request) -> Refusal:
        code, detail = (document or {}).get("error"), (document or {}).get("detail")
        if answer.status < HTTPStatus.BAD_REQUEST or not isinstance(code, str) or document is None:
            return self._foreign(answer, request)
        facts = {name: value for name, value in document.items() if name not in {"error", "detail"}}
        return Refusal(
            answer.status,
            code,
            detail if isinstance(detail, str) else str(facts.get("message", "The server said no more.")),
            facts,
            self._request_id(answer, request),
            _retry_after(answer),
        )

    def _foreign(self, answer: Answer, request: Request) -> Refusal:
        """Return what is to be said of an answer that is not Engramia's."""
        where = self._text(answer.headers.get("location", ""))
        if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
            code = "redirected"
            said = f"The server redirects to {where or 'nowhere'}; redirects are not followed with a key."
        else:
            code = "unexpected_answer"
            kind = self._text(answer.headers.get("content-type", "no type"))
            begins = self._text(answer.body[: 4 * _SHOWN_CHARS].decode(errors="replace"))
            said = f"This is not Engramia's answer; is the url right, or a proxy in between? {kind}: {begins}"
        return Refusal(answer.status, code, said, {}, self._request_id(answer, request), _retry_after(answer))

    def _request_id(self, answer: Answer, request: Request) -> str:
        return self._text(answer.headers.get("x-request-id", request.headers["X-Request-ID"]))

    def _text(self, text: str) -> str:
        """Return a text of somebody else's in one short line, without the key that it may repeat."""
        return " ".join(self._without_key(text.encode()).decode(errors="replace").split())[:_SHOWN_CHARS]

    def _without_key(self, said: bytes) -> bytes:
        return said.replace(self._key.encode(), b"[API key]") if self._key else said


def _is_answer(call: Call[Any], answer: Answer, document: Document | None) -> bool:
    if document is None:
        return False
    return answer.status // 100 == HTTPStatus.OK // 100 or call.answered_by in document


def _may_pass(error: EngramiaConnectionError, call: Call[Any]) -> bool:
    """Return whether `call` may be sent again after `error`, and whether that has a point."""
    return error.code in _PASSING and (call.repeatable or not error.sent)


def _retry_after(answer: Answer) -> float | None:
    """Return the seconds of `Retry-After`: a number, or a date as seen from the server's own clock."""
    said = answer.headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", said):
        return float(said)
    then, now = _moment(said), _moment(answer.headers.get("date", ""))
    if then is None:
        return None
    return max(0.0, then - (time.time() if now is None else now))


def _moment(text: str) -> float | None:
    with suppress(ValueError, TypeError, OverflowError):
        return parsedate_to_datetime(text).timestamp()
    return None
