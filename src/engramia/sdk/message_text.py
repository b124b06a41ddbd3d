"""The words in what frameworks pass around: messages, parts of messages, structured answers."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def as_text(value: object) -> str:
    """Return `value` as text: itself, the text of a message or of its parts, else JSON; "" for None."""
    match value:
        case None:
            return ""
        case str():
            return value
        case Mapping():
            return _of_mapping(value)
        case list() | tuple() if _are_parts(value):
            return "\n".join(filter(None, map(as_text, value)))
        case _:
            return _of_object(value)


def last_of(messages: Iterable[object], *roles: str) -> str:
    """Return the text of the last message, a mapping or an object, whose role or type is one of `roles`."""
    message = next((each for each in reversed(list(messages)) if role_of(each) in roles), None)
    match message:
        case (str(), content):
            return as_text(content)
        case _:
            return as_text(message)


def role_of(message: object) -> str:
    """Return the role or type of a message; "" if it has none."""
    role: object
    match message:
        case (str(role), _):
            pass
        case Mapping():
            role = message.get("role") or message.get("type")
        case _:
            role = getattr(message, "role", None) or getattr(message, "type", None)
    return str(getattr(role, "value", role) or "")


def _of_mapping(value: Mapping[str, Any]) -> str:
    for field in ("text", "content"):
        if isinstance(value.get(field), str | list):
            return as_text(value[field])
    return _as_json(value)


def _of_object(value: object) -> str:
    if isinstance(text := getattr(value, "text", None), str):
        return text
    content = getattr(value, "content", None)
    return _as_json(value) if content is None or callable(content) else as_text(content)


def _are_parts(value: Sequence[object]) -> bool:
    """Return whether these are parts of one text: texts themselves, or things that have a text."""
    return bool(value) and all(
        isinstance(part, str)
        or (isinstance(part, Mapping) and ("text" in part or "type" in part))
        or isinstance(getattr(part, "text", None), str)
        for part in value
    )


def _as_json(value: object) -> str:
    dump = getattr(value, "model_dump_json", None)
    if callable(dump):
        return str(dump())
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError):
        return str(value)
