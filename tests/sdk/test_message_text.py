"""The words in what frameworks pass around."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from pydantic import BaseModel

from engramia.sdk.message_text import as_text, last_of, role_of


class Answer(BaseModel):
    median: int


@dataclass
class Message:
    role: str
    content: object


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("plain", "plain"),
        (["one", "two"], "one\ntwo"),
        ([{"type": "text", "text": "one"}, {"type": "input_text", "text": "two"}], "one\ntwo"),
        ({"role": "user", "content": "asked"}, "asked"),
        ({"role": "user", "content": [{"type": "text", "text": "asked"}]}, "asked"),
        (Message("user", "asked"), "asked"),
        (SimpleNamespace(text="said"), "said"),
        ([SimpleNamespace(text="said"), "more"], "said\nmore"),
        (Answer(median=42), '{"median":42}'),
        ({"median": 42}, '{"median": 42}'),
        ([1, 2], "[1, 2]"),
        (42, "42"),
        (b"x", "\"b'x'\""),
    ],
)
def test_the_text_of(value: object, text: str) -> None:
    assert as_text(value) == text


def test_a_circle_has_a_text_all_the_same() -> None:
    circle: list[object] = []
    circle.append(circle)
    assert as_text({"a": circle}).startswith("{'a': [[")


@pytest.mark.parametrize(
    ("message", "role"),
    [
        (("user", "asked"), "user"),
        ({"role": "user"}, "user"),
        ({"type": "human"}, "human"),
        (Message("assistant", ""), "assistant"),
        (SimpleNamespace(role=SimpleNamespace(value="system")), "system"),
        (object(), ""),
    ],
)
def test_the_role_of(message: object, role: str) -> None:
    assert role_of(message) == role


def test_the_last_message_of_somebody() -> None:
    messages = [
        {"role": "user", "content": "first"},
        ("user", "second"),
        {"role": "assistant", "content": "no"},
    ]
    assert last_of(messages[:1], "user", "human") == "first"
    assert last_of(messages, "user", "human") == "second"
    assert last_of(messages, "assistant") == "no"
    assert last_of(messages, "system") == ""
