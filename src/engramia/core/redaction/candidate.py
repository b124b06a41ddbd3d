"""A stretch of UTF-8 bytes that may be a secret, with a view of what stands around it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

_ESCAPED_BREAK = b"nrtfv"
_ESCAPE = 3  # bytes of an escape in a URL, `%3D`
_WORD = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


@dataclass(frozen=True, slots=True)
class Span:
    """A secret found: its kind and where it stands, in bytes of the UTF-8 text."""

    kind: str
    start: int
    end: int


class Detector(Protocol):
    """Finds the spans of its kinds in UTF-8 bytes.

    `triggers` are short RE2 fragments, read without case. `find` is called only on texts that hold one of
    them, and must take time linear in the text.
    """

    @property
    def triggers(self) -> tuple[str, ...]: ...

    def find(self, data: bytes) -> Iterator[Span]: ...


def is_word(byte: int) -> bool:
    """Tell whether the byte is an ASCII letter or digit."""
    return byte in _WORD


@dataclass(frozen=True, slots=True)
class Candidate:
    """`data[start:end]` may be a secret."""

    data: bytes
    start: int
    end: int

    @property
    def value(self) -> str:
        """The candidate as text; bytes beyond ASCII become one character each."""
        return self.data[self.start : self.end].decode("latin-1")

    def before(self, count: int) -> str:
        """Return up to `count` bytes that stand before the candidate, as Latin-1."""
        return self.data[max(0, self.start - count) : self.start].decode("latin-1")

    def after(self, count: int) -> str:
        """Return up to `count` bytes that stand after the candidate, as Latin-1."""
        return self.data[self.end : self.end + count].decode("latin-1")

    def stands_alone(self) -> bool:
        r"""Tell whether no letter or digit touches the candidate on either side.

        The letter of an escape (`\n`, `%3D`) that stands before it is not part of a word.
        """
        if self.end < len(self.data) and is_word(self.data[self.end]):
            return False
        return self.start == 0 or not is_word(self.data[self.start - 1]) or self._follows_escape()

    def _follows_escape(self) -> bool:
        lead = self.data[max(0, self.start - _ESCAPE) : self.start]
        if len(lead) > 1 and lead[-2:-1] == b"\\" and lead[-1] in _ESCAPED_BREAK:
            return True
        return len(lead) == _ESCAPE and lead[:1] == b"%"
