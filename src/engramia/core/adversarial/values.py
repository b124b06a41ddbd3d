"""What an expression is known to be without running it: a constant, a text with holes, a choice, or open.

A value is an ordinary Python constant (text, number, bool, None, bytes, list, tuple, dict; containers may
hold any value) or one of the classes below.
"""

import base64
import binascii
import codecs
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

LONGEST: Final = 20_000
"""Characters or items beyond which a constant is not followed any further."""

_DEEPEST: Final = 20  # containers in containers; deeper ones are open


class When(IntEnum):
    """How a constant gets shown: whatever the input, on a computed condition, for one known input."""

    ALWAYS = 0
    CHOSEN = 1
    KEYED = 2


class Hole:
    """A value that only running the code can tell."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "HOLE"


HOLE: Final = Hole()

type Pieces = tuple[str | Hole, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """A text of which some pieces are known."""

    pieces: Pieces


@dataclass(frozen=True, slots=True)
class Parameter:
    """A function's argument, handed on unchanged."""

    name: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values, each with what chooses it."""

    options: tuple[tuple[object, When], ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """What one statement shows: known pieces and holes, the line (from 1) it stands in, and when."""

    pieces: Pieces
    line: int
    when: When = When.ALWAYS

    @property
    def length(self) -> int:
        """Return the number of known characters."""
        return sum(len(piece) for piece in self.pieces if isinstance(piece, str))


@dataclass(frozen=True, slots=True)
class Reading:
    """What a program shows, whether it does anything besides, and the numbers that it computes with."""

    shown: tuple[Shown, ...]
    works: bool
    inputs: frozenset[str] = frozenset()


def is_open(value: object) -> bool:
    """Return whether `value` itself (not something inside it) is unknown."""
    return isinstance(value, Hole | Parameter)


def number(value: float | str) -> str:
    """Return a number as text, the zeros at its end cut off as printing does."""
    try:
        text = str(value)[:LONGEST]
    except ValueError:  # an integer too long for Python to print
        return ""
    return text.rstrip("0").rstrip(".") or text if "." in text else text


def is_text(value: object) -> bool:
    """Return whether `value` is a text, with or without holes."""
    return isinstance(value, str | Text)


def is_key(value: object) -> bool:
    """Return whether `value` is a plain key; tuples of tuples of tuples may take for ever to hash."""
    parts = value if isinstance(value, tuple) and len(value) < LONGEST else (value,)
    return all(isinstance(part, str | bytes | int | float | bool | None) for part in parts)


def is_constant(value: object) -> bool:
    """Return whether `value` and all that it holds is known."""
    return not isinstance(value, Choice) and all(isinstance(piece, str) for piece in render(value))


def render(value: object) -> Pieces:
    """Return `value` as it would be printed, up to the quotes, which no comparison looks at."""
    return merged(_Printer().pieces(value, 0))


class _Printer:
    """Prints one value, up to a number of parts: containers may hold each other many times over."""

    def __init__(self) -> None:
        self.left = LONGEST

    def pieces(self, value: object, depth: int) -> Iterator[str | Hole]:
        """Yield the pieces of `value`; too much or too deep is a hole."""
        self.left -= 1
        if self.left < 0 or depth > _DEEPEST:
            yield HOLE
        elif isinstance(value, str):
            yield value[:LONGEST]
        elif isinstance(value, Text):
            yield from value.pieces
        elif isinstance(value, Mapping):
            yield from self._listed([(key, ": ", item) for key, item in value.items()], "{}", depth)
        elif isinstance(value, list | tuple):
            brackets = "[]" if isinstance(value, list) else "()"
            yield from self._listed([(item,) for item in value], brackets, depth)
        elif isinstance(value, bool | int | float | bytes | None):
            yield _plain(value)
        else:
            yield HOLE

    def _listed(self, items: Sequence[tuple[object, ...]], brackets: str, depth: int) -> Iterator[str | Hole]:
        yield brackets[0]
        for number, item in enumerate(items):
            if self.left < 0:
                yield HOLE
                return
            yield ", " if number else ""
            for part in item:
                yield from self.pieces(part, depth + 1)
        yield brackets[1]


def _plain(value: bool | float | bytes | None) -> str:
    try:
        return str(value)[:LONGEST]
    except ValueError:  # the same
        return ""


def merged(pieces: Iterable[str | Hole]) -> Pieces:
    """Return `pieces` with neighbouring texts joined and cut at the longest length."""
    found: list[str | Hole] = []
    run: list[str] = []
    for piece in pieces:
        if isinstance(piece, str):
            run.append(piece)
            continue
        found.extend(_run(run))
        run = []
        if not found or found[-1] is not HOLE:
            found.append(HOLE)
    return (*found, *_run(run))


def _run(texts: list[str]) -> list[str]:
    text = "".join(texts)[:LONGEST]
    return [text] if text else []


def text_of(values: Iterable[object]) -> object:
    """Return the values printed after one another as a text, whole or with holes."""
    pieces = merged(piece for value in values for piece in render(value))
    known = [piece for piece in pieces if isinstance(piece, str)]
    if len(known) == len(pieces):
        return "".join(known)
    return Text(pieces) if known else HOLE


def joined(separator: str, items: Iterable[object]) -> object:
    """Return `items` printed with `separator` between them."""
    parts: list[object] = []
    for number, item in enumerate(items):
        if number:
            parts.append(separator)
        parts.append(item)
    return text_of(parts) if parts else ""


def added(left: object, right: object) -> object:
    """Return `left + right` where it only puts constants one behind the other; sums are computed: a hole."""
    if isinstance(left, list) and isinstance(right, list) and len(left) + len(right) < LONGEST:
        return left + right
    if isinstance(left, bytes) and isinstance(right, bytes) and len(left) + len(right) < LONGEST:
        return left + right
    if is_text(left) or is_text(right):
        return text_of((left, right))
    return HOLE


def options(value: object, when: When = When.ALWAYS) -> Iterator[tuple[object, When]]:
    """Yield the alternatives of `value`, each with the strongest reason on its way."""
    if isinstance(value, Choice):
        for option, reason in value.options[:200]:
            yield from options(option, max(reason, when))
    else:
        yield value, when


def chosen(pairs: Iterable[tuple[object, When]]) -> object:
    """Return the choice between `pairs`, flat."""
    flat = [option for value, when in pairs for option in options(value, when)]
    return Choice(tuple(flat[:200])) if flat else HOLE


def item_of(container: object, key: object) -> object:
    """Return `container[key]`; with an open key one of the items."""
    if not is_key(key):
        return any_item(container)
    try:
        return container[key]  # type: ignore[index]  # whatever cannot be indexed is told by the error
    except (LookupError, TypeError, ValueError):
        return HOLE


def any_item(container: object) -> object:
    """Return a choice between the items of `container`, keyed if it looks like a table of results."""
    if isinstance(container, Mapping):
        return chosen((item, _reason(key, item)) for key, item in container.items())
    if isinstance(container, list | tuple):
        return chosen((item, When.CHOSEN) for item in container)
    return HOLE


def _reason(key: object, item: object) -> When:
    """Return KEYED for a table of results; a name that stands for a number or a word is in no such table."""
    simple = isinstance(item, int | float) or (isinstance(item, str) and len(item.split()) <= 1)
    name = isinstance(key, str) and all(each.isalpha() or each in " _-" for each in key)
    return When.CHOSEN if name and simple else When.KEYED


def decoded(codec: str, value: object) -> object:
    """Return the text behind an encoded constant (`base64`, `hex`, `rot13`), a hole if it is none."""
    data = value.encode(errors="replace") if isinstance(value, str) else value
    if not isinstance(data, bytes) or len(data) > LONGEST:
        return HOLE
    try:
        if codec == "base64":
            return base64.b64decode(data + b"=" * (-len(data) % 4), altchars=None)
        if codec == "hex":
            return bytes.fromhex(data.decode().replace("\\x", ""))
        return codecs.decode(data.decode(), "rot13")
    except (binascii.Error, ValueError, TypeError):
        return HOLE


def as_text(value: object) -> object:
    """Return bytes as the text they hold, anything else unchanged."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value
