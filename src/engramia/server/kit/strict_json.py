"""JSON as the service accepts it: RFC 8259 without what means different things to different readers.

orjson does most of the refusing: NaN, Infinity, numbers that overflow, lone surrogates, other encodings than
UTF-8, a byte order mark, anything after the document. One walk over what it returns finds the rest.
"""

import json
import re
from typing import Any

import orjson

from engramia.errors import BadRequestError

DEPTH_MAX = 64
INTEGER_MIN, INTEGER_MAX = -(1 << 63), (1 << 64) - 1
KEY_SHOWN_CHARS = 80

_TOO_DEEP = f"The body is nested deeper than {DEPTH_MAX} levels."
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*+\\u0000")
_EXACT = float(1 << 63)
"""From here on a float may be what orjson made of an integer beyond 64 bits."""


def loads(body: bytes) -> object:
    r"""Return the JSON document in `body`.

    Raises `BadRequestError` for what is not JSON in UTF-8 and for NaN and Infinity, numbers beyond the range
    of a double, integers beyond 64 bits, lone surrogates, NUL characters, over 64 levels and repeated keys.
    Takes time and memory in proportion to the body.
    """
    value = _parsed(body)
    if b"\\u0000" in body and (nul := _NUL.search(body)):
        raise BadRequestError(f"The body holds a NUL character (\\u0000) at byte {nul.end() - 6}.")
    if _suspicious(value, body):
        _read_slowly(body)
    return value


def _parsed(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(_reason(body, str(error))) from None  # the cause would keep the body alive


def _reason(body: bytes, said: str) -> str:
    if not body.strip():
        return "The body is empty; JSON is expected."
    if said.startswith("depth limit"):
        return _TOO_DEEP
    if said.startswith("str is not valid UTF-8"):
        return "The body is not valid UTF-8."
    return f"The body is not valid JSON: {said}."


def _suspicious(value: object, body: bytes) -> bool:
    """Return whether a key may be repeated or an integer too large; raise for too many levels.

    A repeated key costs the parsed value at least the colon behind it: without one, the colons of the body
    are those behind the keys and those within the strings, unless an escape hides some.
    """
    level: list[Any] = [[value]]
    colons, large = 0, False
    for _ in range(DEPTH_MAX + 1):
        more_colons, more_large, level = _survey(level)
        colons += more_colons
        large = large or more_large
        if not level:
            return large or colons != body.count(b":") or b"\\u003a" in body or b"\\u003A" in body
    raise BadRequestError(_TOO_DEEP)


def _survey(level: list[Any]) -> tuple[int, bool, list[Any]]:
    """Return the colons on one level of the document, whether a number is large, and the level below."""
    colons, large = 0, False
    below: list[Any] = []
    for container in level:
        if type(container) is dict and container:
            colons += ":".join(container).count(":") + 1
        for member in container.values() if type(container) is dict else container:
            kind = type(member)
            if kind is str:
                colons += member.count(":")
            elif kind is dict or kind is list:
                below.append(member)
            elif kind is float:
                large = large or not -_EXACT < member < _EXACT
    return colons, large, below


def _read_slowly(body: bytes) -> None:
    json.loads(body, object_pairs_hook=_unique, parse_int=_in_range)


def _unique(pairs: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise BadRequestError(f"The body holds the key {key[:KEY_SHOWN_CHARS]!r} twice in one object.")
        seen.add(key)


def _in_range(digits: str) -> None:
    if not INTEGER_MIN <= int(digits) <= INTEGER_MAX:
        raise BadRequestError(f"The body holds an integer beyond 64 bits: {digits[:20]}….")
