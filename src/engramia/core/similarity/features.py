"""What of a task's text can matter: its literals, identifiers, numbers, names, words and their order."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from engramia.core.similarity.connections import Conjunctions, Ends, conjunctions_of, ends_of
from engramia.core.similarity.lexicon import (
    CONNECTORS,
    FOREIGN,
    FUNCTION_WORDS,
    NEGATIONS,
    NUMBER_WORDS,
    PHRASES,
    PLACES,
    POLES,
    SYMBOLS,
    UNITS,
    UNWORDS,
    WHERE,
    canonical,
)
from engramia.core.similarity.tokens import Kind, Token

_REMEMBERED_LENGTH = 1_000
_CHUNK_LENGTH = 64
"""Chunks longer than this are no words: they are not kept in the cache of chunks."""

_SUPERSCRIPTS = {ord(mark): f"^{digit} " for digit, mark in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}
_PLAIN_MARKS = str.maketrans(_SUPERSCRIPTS | {0x2019: "'", 0x2212: "-"})
_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3"
_LETTER = rf"[^\W\d_{_CJK}]"

# One quoted literal or one run without spaces. Bounded, so that an open quote costs its neighbourhood only.
_PIECE = re.compile(
    r"""(?<!\w)'([^'\n]{1,200})'(?!\w)|"([^"\n]{1,200})"|`([^`'\n]{1,200})[`']"""
    r"""|\u201c([^\u201d\n]{1,200})\u201d|\u00ab([^\u00bb\n]{1,200})\u00bb"""
    r"""|\u201e([^\u201c\u201d\n]{1,200})[\u201c\u201d]|\u300c([^\u300d\n]{1,200})\u300d"""
    r"""|([^\s"`\u201c\u201d\u00ab\u00bb\u201e\u300c\u300d]+|["`\u201c\u201d\u00ab\u00bb\u201e\u300c\u300d])"""
)
_QUOTE = re.compile("['\"`\u201c\u201d\u00ab\u00bb\u201e\u300c\u300d]")
"""Without any of these there is no literal."""
_CHUNK = 8
"""The group of `_PIECE` that is no literal."""

_CODE = re.compile(
    r"[_\\$*~@#{|]|\w/[^/]*[./]|^\.{0,2}/|[^\W\d_]\.[^\W\d_]|[a-z][A-Z]|[^\W\d_]\+\+|^\.\w|^--?[a-zA-Z]|%[A-Za-z]"
    r"|[A-Za-z]\d|\d[A-Za-z]+\d|://|\w[=:<>^]\w|\d[-+/:]\w|\w\+\d|\w-\d|\^\d|\w-$"
)
_NUMBER = re.compile(r"([-+]?)(\d+(?:[.,]\d+)*)(%|[^\W\d_]{1,9})?")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+")
_ORDINAL = re.compile(r"(\d+|n)-?'?(?:st|nd|rd|th)")
_WORD = re.compile(rf"[{_CJK}]|{_LETTER}+(?:'{_LETTER}+)?|\d+(?:\.\d+)?|<=|>=|==|!=|->|=>|[<>≤≥≠→,;/+*^%=-]")
_SHORT_PAIR = re.compile(r"[^\W\d_]{1,2}-[^\W\d_]{1,2}|[A-Z]+-[A-Z]+")
_LONG_PAIR = re.compile(r"[a-z]{4,}(?:/[a-z]{4,})+")
_DROPPED = frozenset(("an", "the", "An", "The", "THE"))
_ARTICLE = "a"


_AFTER_NAMES = frozenset((Kind.CONNECTOR, Kind.BREAK))

_BREAK: Token = (",", Kind.BREAK)
_TURNED = frozenset(word for word, _ in PHRASES) | UNITS.keys()
"""Words that may be taken for others beside their neighbours."""
_GRAMMAR = FUNCTION_WORDS | NEGATIONS
_NO_WORDS: frozenset[str] = frozenset()
_NEAR = 3
"""Between "in" and the place that it is about stand fewer words than this."""


@dataclass(frozen=True)
class Features:
    """A parsed task: its tokens in order, and sets of what can differ."""

    text: str
    """The whole text, folded, for a look whether something stands in it at all."""
    tokens: tuple[Token, ...]
    literals: frozenset[str]
    codes: frozenset[str]
    numbers: frozenset[str]
    names: frozenset[str]
    """Words of `content` that are written like names: capitals within a sentence, or capitals only."""
    content: frozenset[str]
    """Canonical words that say something."""
    everything: frozenset[str]
    """The texts of all tokens."""
    negated: bool
    poles: dict[str, tuple[int, ...]]
    """Axis of opposition -> the poles that the text names, as often as it does, ascending."""

    @cached_property
    def unbroken(self) -> list[str]:
        """The texts of the tokens in order, without breaks."""
        return [word for word, kind in self.tokens if kind is not Kind.BREAK]

    @cached_property
    def ends(self) -> Ends:
        """What stands at the two ends of each connector."""
        return ends_of(self.tokens)

    @cached_property
    def conjunctions(self) -> Conjunctions:
        """What "and" and "or" join."""
        joins = "and" in self.everything or "or" in self.everything
        return conjunctions_of(self.unbroken) if joins else {}


def features(text: str) -> Features:
    """Return what can matter in `text`, in time linear in its length; short texts are remembered."""
    return _remembered(text) if len(text) <= _REMEMBERED_LENGTH else _parse(text)


def _parse(text: str) -> Features:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_PLAIN_MARKS))
    reader = _Reader()
    if _QUOTE.search(text) is None:  # then what `_PIECE` finds is what stands between spaces
        reader.read(text.split())
    else:
        for piece in _PIECE.finditer(text):
            if piece.lastindex == _CHUNK:
                reader.read((piece[_CHUNK],))
            else:
                reader.read_literal(piece[piece.lastindex or 0])
    return _features(text, _phrased(_without_articles(reader.tokens)), reader.names)


_remembered = lru_cache(maxsize=4096)(_parse)


class _Reader:
    """Collects the tokens of a text and its names, piece by piece."""

    def __init__(self) -> None:
        self.tokens: list[Token] = []
        self.names: set[str] = set()
        self._starts = True  # whether a sentence starts here

    def read(self, chunks: Iterable[str]) -> None:
        for chunk in chunks:
            if chunk in _DROPPED:
                continue
            found = _chunk(chunk) if len(chunk) <= _CHUNK_LENGTH else _cut(chunk)
            if found.is_shouted or (found.is_capital and not self._starts):
                self.names.update(word for word, kind in found.tokens if kind is Kind.WORD)
            self._starts = found.ends
            self.tokens += found.tokens

    def read_literal(self, content: str) -> None:
        self.tokens += _literal_tokens(content)
        self._starts = False


def _literal_tokens(content: str) -> tuple[Token, ...]:
    content = content.strip()
    number = _NUMBER.fullmatch(content)
    if number and not number[3]:
        return ((_value(number[1], number[2]), Kind.NUMBER),)
    return ((content, Kind.LITERAL),) if content else ()


class _Chunk(NamedTuple):
    """What one run of characters without spaces says."""

    tokens: tuple[Token, ...]
    is_capital: bool
    """Whether it is written like a name within a sentence."""
    is_shouted: bool
    """Whether it is written like a name anywhere: in capitals."""
    ends: bool
    """Whether a sentence ends with it."""


def _cut(chunk: str) -> _Chunk:
    core = chunk.lstrip("([{'").rstrip(")]}'.,;:!?").removesuffix("'s")
    tail = (_BREAK,) if chunk[-1] in ",;:.?!" else ()
    tokens = (*_core_tokens(core), *tail) if core else tail
    letters = chunk.strip("()[].,;:!?'")
    is_capital = chunk[0].isupper() and letters != "I"
    is_shouted = is_capital and len(letters) > 1 and letters.isupper()
    return _Chunk(tokens, is_capital, is_shouted, chunk[-1] in ".!?:")


_chunk = lru_cache(maxsize=16_384)(_cut)


def _core_tokens(core: str) -> tuple[Token, ...]:
    number = _NUMBER.fullmatch(core)
    if number:
        return _number_tokens(number)
    ordinal = _ORDINAL.fullmatch(core.casefold())
    if ordinal:
        return ((ordinal[1] + "th", Kind.NUMBER),)
    if _CODE.search(core):
        return ((core.removeprefix("./").rstrip("/") or core, Kind.CODE),)
    return tuple(_word_tokens(core))


def _number_tokens(number: re.Match[str]) -> tuple[Token, ...]:
    unit = (number[3] or "").casefold()
    if unit in ("st", "nd", "rd", "th"):
        return ((number[2] + "th", Kind.NUMBER),)
    value: Token = (_value(number[1], number[2]), Kind.NUMBER)
    if unit == "min":  # a minimum elsewhere
        unit = "minute"
    return (value, (canonical(unit), Kind.WORD)) if unit else (value,)


def _value(sign: str, digits: str) -> str:
    if _THOUSANDS.fullmatch(digits):
        digits = digits.replace(",", "")
    if digits.count(".") == 1:
        digits = digits.rstrip("0").rstrip(".")
    return "-" + digits if sign == "-" else digits


def _word_tokens(core: str) -> Iterator[Token]:
    alternatives = _LONG_PAIR.fullmatch(core) is not None
    hyphen = _SHORT_PAIR.fullmatch(core) is not None
    for piece in _WORD.findall(core.casefold()):
        if piece in UNWORDS:
            yield "not", Kind.FUNCTION
            yield UNWORDS[piece], Kind.WORD
        elif piece == "/" and alternatives:
            yield "or", Kind.FUNCTION
        elif piece != "-" or hyphen or core == "-":
            yield _word_token(piece)


def _word_token(word: str) -> Token:
    if word == "one":  # as often a pronoun as a number
        return "1", Kind.FUNCTION
    if word in NUMBER_WORDS or word[0].isdigit():
        return NUMBER_WORDS.get(word, word), Kind.NUMBER
    if word in ",;":
        return _BREAK
    word = SYMBOLS.get(word, word)
    if word.endswith("n't") or word in NEGATIONS:
        return "not", Kind.FUNCTION
    if word in CONNECTORS or not word[0].isalpha():
        return word, Kind.CONNECTOR
    known = canonical(word)
    return known, Kind.FUNCTION if word in FUNCTION_WORDS or known in FUNCTION_WORDS else Kind.WORD


def _without_articles(tokens: list[Token]) -> list[Token]:
    words = {word for word, _ in tokens}
    if _ARTICLE not in words or words & FOREIGN:
        return tokens
    following = [kind for _, kind in tokens[1:]] + [Kind.BREAK]
    return [
        token
        for token, after in zip(tokens, following, strict=True)
        if token[0] != _ARTICLE or after in _AFTER_NAMES  # "a - b", "from A to B": there it is a name
    ]


def _phrased(tokens: list[Token]) -> tuple[Token, ...]:
    if tokens and tokens[0][0] == "list":  # the verb, where a text begins with it
        tokens[0] = ("list", Kind.FUNCTION)
    if _TURNED.isdisjoint([word for word, _ in tokens]):
        return tuple(tokens)
    out: list[Token] = []
    at, last = 0, len(tokens) - 1
    while at <= last:
        phrase = PHRASES.get((tokens[at][0], tokens[at + 1][0])) if at < last else None
        if phrase is not None:
            out.extend((word, Kind.FUNCTION if word in _GRAMMAR else Kind.WORD) for word in phrase)
            at += 2
            continue
        word, kind = tokens[at]
        if out and out[-1][1] is Kind.NUMBER and word in UNITS:
            word = UNITS[word]
        out.append((word, kind))
        at += 1
    return tuple(out)


def _poles_of(tokens: tuple[Token, ...]) -> dict[str, tuple[int, ...]]:
    poles: dict[str, list[int]] = {}
    for at, (word, _) in enumerate(tokens):
        if word in POLES and not (word in PLACES and _is_where(tokens, at)):
            for axis, pole in POLES[word]:
                poles.setdefault(axis, []).append(pole)
    return {axis: tuple(sorted(named)) for axis, named in poles.items()}


def _is_where(tokens: tuple[Token, ...], at: int) -> bool:
    """Whether the place at `at` is where something is done: "in the current directory"."""
    before = [word for word, _ in tokens[max(0, at - _NEAR) : at]]
    return not WHERE.isdisjoint(before)


def _features(text: str, tokens: tuple[Token, ...], names: set[str]) -> Features:
    everything = frozenset([word for word, _ in tokens])
    kinds = {kind for _, kind in tokens}
    texts = {said: frozenset([word for word, kind in tokens if kind is said]) for said in kinds}
    poles = _poles_of(tokens) if not everything.isdisjoint(POLES) else {}
    content = texts.get(Kind.WORD, _NO_WORDS)
    return Features(
        text=text.casefold(),
        tokens=tokens,
        literals=texts.get(Kind.LITERAL, _NO_WORDS),
        codes=texts.get(Kind.CODE, _NO_WORDS),
        numbers=texts.get(Kind.NUMBER, _NO_WORDS),
        names=content & names,
        content=content,
        everything=everything,
        negated="not" in texts.get(Kind.FUNCTION, _NO_WORDS),
        poles=poles,
    )
