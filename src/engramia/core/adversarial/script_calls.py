"""What JavaScript's own functions hand back when their arguments are constants."""

from collections.abc import Sequence
from typing import Final

from engramia.core.adversarial.python_calls import formatted
from engramia.core.adversarial.values import HOLE, as_text, decoded, joined

_AS_IT_IS: Final = {
    "JSON.stringify",
    "String",
    "Number",
    "parseFloat",
    "parseInt",
    "util.inspect",
    "Promise.resolve",
}
_CHANGES_NOTHING: Final = {"toString", "trim", "trimEnd", "toLocaleString"}


def converted(path: str, arguments: Sequence[object]) -> object:
    """Return the result of a function known by its full name, a hole for any other."""
    first = arguments[0] if arguments else HOLE
    if path in _AS_IT_IS:
        return first
    if path == "String.fromCharCode":
        return _characters(arguments)
    if path == "atob":
        return as_text(decoded("base64", first))
    if path == "Buffer.from" and len(arguments) > 1:
        codec = arguments[1]
        return decoded(codec, first) if isinstance(codec, str) and codec in {"base64", "hex"} else HOLE
    return _object_items(path, first) if path.startswith("Object.") and isinstance(first, dict) else HOLE


def method(owner: object, name: str, first: object) -> object:
    """Return the result of a method of a known text, number or array, a hole for any other."""
    if isinstance(owner, list) and name == "join":
        return joined(first if isinstance(first, str) else ",", owner)
    if name == "toFixed" and isinstance(owner, str) and isinstance(first, str) and first.isdecimal():
        return _fixed(owner, first)
    known = isinstance(owner, str | bytes | list)
    return as_text(owner) if known and name in _CHANGES_NOTHING else HOLE


def _characters(arguments: Sequence[object]) -> object:
    codes = [int(each[:7]) for each in arguments if isinstance(each, str) and each.isdecimal()]
    return "".join(chr(code & 0xFFFF) for code in codes) if len(codes) == len(arguments) else HOLE


def _fixed(number: str, digits: str) -> object:
    try:
        return formatted(float(number), f".{int(digits[:2])}f")
    except ValueError:
        return HOLE


def _object_items(path: str, owner: dict[object, object]) -> object:
    if path == "Object.entries":
        return [[key, value] for key, value in owner.items()]
    return list(owner.values()) if path == "Object.values" else list(owner) if path == "Object.keys" else HOLE
