"""How one log event looks: a JSON object, or a line for people."""

import logging
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from opentelemetry import trace
from structlog.contextvars import get_contextvars
from structlog.typing import EventDict

from engramia.telemetry.facts import MESSAGE_MAX_CHARS, Censor

CONTEXT_FIELDS = ("request_id", "tenant_id", "project_id")
"""Who asked, and where; a line that belongs to nobody has them as null."""

FIELDS = ("level", "message", "timestamp", "logger", *CONTEXT_FIELDS, "trace_id")
"""The fields of every line; a fact of the same name gets the prefix `fact_`."""

AUDIT_LOGGER = "engramia.audit"

_TRACEBACK_FRAMES = 50
_NOISE = frozenset({"_record", "_from_structlog", "color_message", "taskName"})
_CONTROLS = {
    code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"  # noqa: PLR2004 - where two digits end
    for code in (*range(32), *range(127, 160), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}
_CONTROLS_OF_A_BLOCK = {code: text for code, text in _CONTROLS.items() if code not in (9, 10)}


class Lines:
    """Turns events into text: the last processor of a `structlog.stdlib.ProcessorFormatter`."""

    def __init__(self, censor: Censor, *, json: bool) -> None:
        self._censor = censor
        self._json = json

    def __call__(self, _logger: object, _method: str, event: EventDict) -> str:
        """Return the line of one event, without its end."""
        fields = self._fields(event)
        return orjson.dumps(fields).decode() if self._json else _for_people(fields)

    def _fields(self, event: EventDict) -> dict[str, Any]:
        record: logging.LogRecord = event["_record"]
        facts = {**get_contextvars(), **_facts(event)}
        whose = self._censor.facts({name: facts.pop(name, None) for name in CONTEXT_FIELDS})
        fields = {
            "level": record.levelname.upper(),
            "message": self._censor.text(str(event.get("event")), MESSAGE_MAX_CHARS),
            "timestamp": timestamp(record.created),
            "logger": record.name,
            **whose,
            "trace_id": _trace_id(),
        }
        for name, value in self._censor.facts(facts).items():
            fields[f"fact_{name}" if name in FIELDS else name] = value
        failure = _failure(event)
        return fields if failure is None else {**fields, "exception": self._censor.ending(failure)}


def timestamp(seconds: float) -> str:
    """Return seconds since 1970 as RFC 3339 in UTC, to the microsecond."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _facts(event: EventDict) -> dict[str, Any]:
    facts = {
        name: value
        for name, value in event.items()
        if name not in _NOISE and name not in ("event", "exc_info", "facts", "stack_info", "stack")
    }
    spread = event.get("facts")
    return {**facts, **spread} if isinstance(spread, Mapping) else facts


def _trace_id() -> str | None:
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else None


def _failure(event: EventDict) -> str | None:
    """Return the traceback that the event carries, innermost frame and error last."""
    info = event.get("exc_info")
    error = info[1] if isinstance(info, tuple) else sys.exception() if info is True else info
    if not isinstance(error, BaseException):
        return event.get("stack_info")
    return "".join(traceback.format_exception(error, limit=-_TRACEBACK_FRAMES)).rstrip("\n")


def _for_people(fields: Mapping[str, Any]) -> str:
    """Return time, level, logger, message and facts; nothing in them can end the line or colour it."""
    head = f"{fields['timestamp']} {fields['level']:<8} {fields['logger']}: {fields['message']}"
    known = {name: value for name, value in fields.items() if name not in FIELDS[:4] and value is not None}
    failure = known.pop("exception", None)
    line = f"{head}{_listed(known, json=fields['logger'] == AUDIT_LOGGER)}".translate(_CONTROLS)
    if failure is None:
        return line
    block = str(failure).translate(_CONTROLS_OF_A_BLOCK).replace("\n", "\n    ")
    return f"{line}\n    {block}"


def _listed(facts: Mapping[str, Any], *, json: bool) -> str:
    if not facts:
        return ""
    if json:
        return f" {orjson.dumps(facts).decode()}"
    return "".join(f" {name}={_shown(value)}" for name, value in facts.items())


def _shown(value: object) -> str:
    plain = isinstance(value, str) and value != "" and not any(sign in value for sign in ' "=')
    return str(value) if plain else orjson.dumps(value).decode()
