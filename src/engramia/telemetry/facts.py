"""What may stand in a log line: facts without secrets, bounded, and of kinds that JSON knows."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from functools import lru_cache, partial
from typing import Any

from engramia.core.ports import Redactor

MESSAGE_MAX_CHARS = 8_000
FACT_MAX_CHARS = 2_000
NAME_MAX_CHARS = 200
EXCEPTION_MAX_CHARS = 16_000
ITEMS_MAX = 50
DEPTH_MAX = 4

_MARGIN = 4_096
"""Read beyond the cut, so that a secret which lies across it is seen whole. A PEM key fits."""

HIDDEN = "[REDACTED]"

_INTEGER = range(-(2**63), 2**64)
_SECRET_NAMES = frozenset(
    "authorization proxy_authorization cookie set_cookie password passwd secret token api_key apikey "
    "x_api_key private_key access_token refresh_token id_token credential credentials".split()
)
_SECRET_ENDINGS = ("_password", "_secret", "_token", "_api_key", "_secret_key", "_private_key")

# The engine's redactor lets short and undocumented credentials pass: stored code is full of look-alikes. In a
# log line nothing is lost by hiding whatever follows the name of a header that carries one.
_HEADER = re.compile(
    r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie|x-api-key)"
    r"""(\\?["']?\s{0,4}[:=,]\s{0,4}(?:b(?=["']))?\\?["']?)(?:(?:bearer|basic|digest|token)\s{1,4})?[^\s"'\\,;]+"""
)
_BEARER = re.compile(r"\b(Bearer|bearer)\s{1,4}[A-Za-z0-9._~+/=-]{6,}")
_OWN_KEY = re.compile(r"sk_engramia_[A-Za-z0-9_-]+")
_TRIGGERS = ("authorization", "cookie", "x-api-key", "bearer", "sk_engramia_")


class Censor:
    """Makes facts fit to be logged; thread-safe."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        # The same few names stand in every line.
        self._name = lru_cache(maxsize=1024)(partial(self.text, limit=NAME_MAX_CHARS))

    def text(self, text: str, limit: int = FACT_MAX_CHARS) -> str:
        """Return `text` without secrets, at most `limit` characters and a note of what was cut."""
        clean = self._redacted(text[: limit + _MARGIN])
        return clean if len(text) <= limit else f"{clean[:limit]}… ({len(text)} characters)"

    def ending(self, text: str, limit: int = EXCEPTION_MAX_CHARS) -> str:
        """Return the end of `text`, where a traceback names the error, as `text` does."""
        clean = self._redacted(text[-limit - _MARGIN :])
        return clean if len(text) <= limit else f"({len(text)} characters) …{clean[-limit:]}"

    def facts(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Return `facts` as values that any JSON encoder takes."""
        return self._mapping(facts, 0)

    def _redacted(self, text: str) -> str:
        # Lone surrogates and the like can be logged by nobody; the stream is UTF-8.
        text = text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
        if any(trigger in text.lower() for trigger in _TRIGGERS):
            text = _OWN_KEY.sub("[REDACTED:engramia_api_key]", text)
            text = _HEADER.sub(r"\1\2[REDACTED:authorization]", text)
            text = _BEARER.sub(r"\1 [REDACTED:authorization]", text)
        return self._redactor.redact(text)

    def _mapping(self, facts: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        return {
            self._name(name): HIDDEN if _secret(name) else self._guarded(value, depth)
            for name, value in ((_printed(name), value) for name, value in _first(facts.items()))
        }

    def _guarded(self, value: object, depth: int) -> object:
        try:
            return self._value(value, depth)
        except Exception as error:  # noqa: BLE001 - a fact that cannot be read must not cost the line
            return f"<unreadable: {type(error).__name__}>"

    def _value(self, value: object, depth: int) -> object:
        if value is None or isinstance(value, bool):
            return value
        scalar = _scalar(value)
        if scalar is not None:
            return scalar
        if depth < DEPTH_MAX and isinstance(value, Mapping):
            return self._mapping(value, depth + 1)
        if depth < DEPTH_MAX and isinstance(value, list | tuple | set | frozenset):
            return [self._guarded(item, depth + 1) for item in _first(value)]
        return self.text(_printed(value))


def _scalar(value: object) -> int | float | str | None:
    """Return what needs no censoring, or None."""
    match value:
        case int() if value in _INTEGER:
            return int(value)
        case float() if math.isfinite(value):
            return float(value)
        case date():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"
        case _:
            return None


def _first[T](items: Iterable[T]) -> Iterable[T]:
    return (item for _, item in zip(range(ITEMS_MAX), items, strict=False))


@lru_cache(maxsize=1024)
def _secret(name: str) -> bool:
    plain = name.lower().replace("-", "_")
    return plain in _SECRET_NAMES or plain.endswith(_SECRET_ENDINGS)


def _printed(value: object, printer: Callable[[object], str] = str) -> str:
    try:
        return printer(value)
    except Exception as error:  # noqa: BLE001 - a name or value that cannot be printed must not cost the line
        return f"<unreadable: {type(error).__name__}>"
