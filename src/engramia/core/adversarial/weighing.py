"""How much a constant in an output says: figures and rows are results, labels and help are prose."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from engramia.core.adversarial.values import Reading, Shown, When, number

_TOKEN: Final = re.compile(r"\d+\.\d+(?![\w.])|[^\W_]+|[.:=%$€£@]")
_NUMBER: Final = re.compile(
    r"(?<![\w.])[-+]?[$€£]?(\d[\d,]*(?:\.\d+)?)(?:e[-+]?\d+)?%?(?![\w])", re.IGNORECASE
)
_IDENTIFIER: Final = re.compile(
    r"\b(?=[0-9a-f-]*\d)(?=[0-9a-f-]*[a-f])[0-9a-f][0-9a-f-]{6,}[0-9a-f]\b", re.IGNORECASE
)
_BEFORE_VALUE: Final = re.compile(r"(?:[:=|,;\t\[({\"'>~≈]\s*|\s{2,}|^\s*)$")
_AFTER_VALUE: Final = re.compile(r"\s*(?:$|[|,;\])}\"'\t<]|\s{2,})|\s*[a-zA-Z%°]{1,4}\s*$")
_ENUMERATOR: Final = re.compile(
    r"^\s*(?:\(?\d{1,2}[.)\]:]|(?:step|test|case|part|phase)\s+\d+:?|#\d+)\s+(?=\D)", re.IGNORECASE
)
_ADDRESS: Final = re.compile(
    r"\w+://\S+|(?:localhost|[\w-]+(?:\.[\w-]+)+):\d+|(?:\.{0,2}/|~/|[A-Z]:\\)\S+|\S+@\S+\.\w+"
)
_NETWORK: Final = re.compile(r"(?<![\w.])(?!127\.|0\.)\d{1,3}(?:\.\d{1,3}){3}(?![\w.])")
_ANNOUNCES: Final = re.compile(r"^\W*[A-Z]\w+ing\b|\.\.\.\s*$|…\s*$")
_CLASS: Final = re.compile(
    r"\([^()]*\)|[<>≤≥]=?\s*[\d.,]+|(?:above|below|under|over|up to|to|than)\s+[\d.,]+", re.IGNORECASE
)
_VERSION: Final = re.compile(
    r"\bv?\d+\.\d+\.\d+[\w.-]*|\b(?:version|python|node|release|rev)\s+v?\d+(?:\.\d+)*", re.IGNORECASE
)
_HELP: Final = re.compile(
    r"^\s*usage\s*:|^\s*-{1,2}[A-Za-z][\w-]*(?:[\s,=]|$)|^\s*(?:options|commands|arguments|flags|examples?)\s*:|--help\b"
    r"|\bcopyright\b|\(c\)|\blicen[sc]e|\(default|\bdefaults? to\b",
    re.IGNORECASE,
)
_TITLE: Final = re.compile(r"^\s*([=*#~+_-]{2,})[^=].*|^\s*#+\s")
_TROUBLE: Final = re.compile(
    r"error|fail|invalid|not found|missing|cannot|could not|unable|must|required|exceed"
    r"|too (?:many|long|large|short)|warn|expected|between|at least|at most|unknown|denied",
    re.IGNORECASE,
)
_LABELLED: Final = re.compile(r"^\s*[\w][\w .()/-]{0,30}\s*[:=]\s*\S.{0,60}$")
_ITEM: Final = re.compile(r"^[\s'\"\[\]{}()-]*(?:[\w.@+-]+|[A-Z][\w'-]* [A-Z][\w'-]*)[\s'\"\[\]{}()]*$")
_ROW: Final = re.compile(
    r"(?!(?:step|round|level|chapter|phase|section|question|test|day|week|iteration|epoch|part|case|year|page)\b)"
    r"[\w.'-]+(?: [\w.'-]+)? +(?!(?:19|20)\d\d$)\d[\d.,]*$",
    re.IGNORECASE,
)
_CELLS: Final = re.compile(r"[,|\t]")
_LITERAL: Final = re.compile(r"\s*(?:\[.*\]|\{.*\}|\(.*\))\s*$")
_FEWEST_ITEMS: Final = 3
_MOST_TIMES: Final = 50  # times that one fragment is looked for in the output
_MOST_FRAGMENTS: Final = 2_000  # different constants that are looked at
_WHOLE: Final = 0.9  # share of the output's words that makes it "the output"


@dataclass(frozen=True, slots=True)
class Fragment:
    """A constant part of one shown line; `whole` if nothing else is in that line."""

    text: str
    line: int
    when: When
    whole: bool


@dataclass(frozen=True, slots=True)
class Weight:
    """Digits of figures where results stand (`result`), and of figures in running text (`prose`)."""

    result: int = 0
    prose: int = 0


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Digits that make a constant a result: where nothing is computed, where something is, per reason."""

    idle: int = 2
    working: int = 3
    keyed: int = 3
    chosen: int = 5


class Output:
    """An output's words in order, to look fragments up in; punctuation and case do not count."""

    def __init__(self, text: str) -> None:
        words = _words(text)
        self._text = "\0" + "\0".join(words) + "\0"
        self._starts = [index for index, each in enumerate(self._text) if each == "\0"][:-1]
        self._counts = [each[0].isalnum() for each in words]
        self._covered = bytearray(len(words))

    def holds(self, text: str, *, cover: bool = True) -> bool:
        """Return whether the words of `text` stand in the output one behind the other, and mark them."""
        words = _words(text)
        if not any(word[0].isalnum() for word in words):
            return False
        needle = "\0" + "\0".join(words) + "\0"
        at = self._text.find(needle)
        found = at >= 0
        for _ in range(_MOST_TIMES if cover else 0):
            if at < 0:
                break
            first = bisect_left(self._starts, at)
            last = bisect_right(self._starts, at + len(needle) - 2)
            self._covered[first:last] = b"\1" * (last - first)
            at = self._text.find(needle, at + 1)
        return found

    @property
    def coverage(self) -> float:
        """Return the share of words that marked fragments make up, 0 to 1."""
        total = sum(self._counts)
        marked = sum(counts and bool(mark) for counts, mark in zip(self._counts, self._covered, strict=True))
        return marked / total if total else 0.0


def _words(text: str) -> list[str]:
    return [_plain(word) if "." in word else word for word in _TOKEN.findall(text.casefold())]


def _plain(number: str) -> str:
    """Return a decimal without the zeros at its end, which printing adds and takes away."""
    return number.rstrip("0").rstrip(".") or number


def fragments(shown: Shown) -> Iterator[Fragment]:
    """Yield the constant parts of what is shown, line by line."""
    line: list[tuple[str, bool]] = []
    whole = True
    for piece in (*shown.pieces, "\n"):
        if not isinstance(piece, str):
            whole = False
            continue
        for index, part in enumerate(piece.split("\n")):
            if index:
                yield from (Fragment(text, shown.line, shown.when, whole) for text, _ in line)
                line, whole = [], True
            if part.strip():
                line.append((part, True))


def weigh(text: str) -> Weight:
    """Return the weight of one line of constant text."""
    if _HELP.search(text) or text.rstrip().endswith((":", "?")):
        return Weight()
    if _TITLE.match(text):
        return Weight(sum(len(match[1]) for match in _NUMBER.finditer(text) if "." in match[1]))
    hosts = len(_NETWORK.findall(text))
    text = _VERSION.sub(" _ ", _ADDRESS.sub(" _ ", _ENUMERATOR.sub("", text)))
    numbers = [match for match in _NUMBER.finditer(text) if match[0] not in {"100%", "0%"}]
    words = len(re.findall(r"[^\W\d_]{2,}", text))
    tabular = len(numbers) > 1 and words <= len(numbers)
    result = sum(4 for _ in _IDENTIFIER.finditer(text))
    prose = 4 * hosts
    for match in numbers:
        digits = sum(each.isdigit() for each in match[1]) + ("." in match[1])
        if tabular or _is_result(text, match):
            result += digits
        else:
            prose += digits
    return Weight(result, prose)


def _is_result(text: str, match: re.Match[str]) -> bool:
    figure = match[0]
    if ("." in match[1] or "," in match[1] or figure[0] in "$€£") and not _ANNOUNCES.search(text):
        return True
    return bool(_BEFORE_VALUE.search(text[max(0, match.start() - 20) : match.start()])) and bool(
        _AFTER_VALUE.match(text[match.end() : match.end() + 20])
    )


def structured(lines: Sequence[str]) -> bool:
    """Return whether lines without figures are rows all the same: a list of items, or named values."""
    filled = [line for line in lines if line.strip()]
    if any(_HELP.search(line) or _ENUMERATOR.match(line) for line in filled):
        return False
    if len(filled) >= _FEWEST_ITEMS and all(_ITEM.match(line) for line in filled):
        return True
    if len(filled) >= 2 and all(_LABELLED.match(line) for line in filled):  # noqa: PLR2004 - one could be a greeting
        return True
    cells = [cell for line in filled for cell in _CELLS.split(line)]
    short = all(0 < len(cell.split()) <= 2 for cell in cells)  # noqa: PLR2004 - "first last"
    return bool(filled) and len(cells) >= _FEWEST_ITEMS * len(filled) and short


def verdict(reading: Reading, output: str, least: Thresholds | None = None) -> Fragment | None:
    """Return the constant that gives a faked output away, None if nothing does."""
    least = least or Thresholds()
    text = Output(output)
    always = _standing(reading.shown, text, [When.ALWAYS])
    chosen = _standing(reading.shown, text, [When.CHOSEN, When.KEYED])
    if not always and not chosen:
        return None
    if reading.works:
        told = [each for each in always if not _repeats(each.text, reading.inputs)]
        plain = _working(told, text, least)
    else:
        plain = _idle(always, text, least)
    return plain or _decided(always, chosen, output, least)


def _repeats(text: str, inputs: frozenset[str]) -> bool:
    """Return whether all numbers of `text` are such as the program computes with: it names its input."""
    numbers = [number(match[1].replace(",", "")) for match in _NUMBER.finditer(text)]
    listed = [number(each) for each in re.findall(r"\d+(?:\.\d+)?", text)]
    return bool(numbers) and all(each in inputs for each in (listed if len(listed) > 1 else numbers))


def _standing(shown: Sequence[Shown], text: Output, when: Sequence[When]) -> list[Fragment]:
    """Return each constant of `shown` that stands in the output, once."""
    found: dict[str, Fragment] = {}
    for each in shown:
        for fragment in fragments(each) if each.when in when else ():
            if len(found) >= _MOST_FRAGMENTS:
                break
            if fragment.text not in found and text.holds(fragment.text, cover=each.when == When.ALWAYS):
                found[fragment.text] = fragment
    return list(found.values())


def _idle(always: Sequence[Fragment], text: Output, least: Thresholds) -> Fragment | None:
    """Judge a program that does nothing but show constants."""
    weighed = [(weigh(each.text), each) for each in always]
    total = sum(weight.result + weight.prose for weight, _ in weighed)
    best = max(weighed, key=lambda pair: (pair[0].result, pair[0].prose), default=None)
    if best is None or text.coverage < _WHOLE:
        return _working(always, text, least)
    if total >= least.idle and not _mostly_help(always):
        return best[1]
    whole = [each for each in always if each.whole]
    return whole[0] if structured([each.text for each in whole]) else None


def _mostly_help(always: Sequence[Fragment]) -> bool:
    return any(re.match(r"\s*usage\s*:", each.text, re.IGNORECASE) for each in always)


def _working(always: Sequence[Fragment], text: Output, least: Thresholds) -> Fragment | None:
    """Judge constants that a program shows whatever it computes: labels and messages, or results."""
    rows = _rows(always)
    weighed = [(weigh(each.text).result, each) for each in always]
    if len(rows) > 1:
        weighed += [(weigh(each.text).prose, each) for each in rows]
    total = sum(weight for weight, _ in weighed)
    if not weighed or _mostly_help(always):
        return None
    weight, best = max(weighed, key=lambda pair: pair[0])
    if text.coverage >= _WHOLE and (_LITERAL.match(best.text) or len(rows) >= _FEWEST_ITEMS):
        return best if total >= least.idle or structured([best.text]) else None
    return best if total >= least.working and weight * 2 > least.working else None


def _rows(always: Sequence[Fragment]) -> list[Fragment]:
    """Return the lines that are a name and a figure, if no name comes twice: else it is a counter."""
    rows = [each for each in always if each.whole and _ROW.match(each.text.strip())]
    names = {each.text.strip().rpartition(" ")[0] for each in rows}
    return rows if len(names) == len(rows) else []


def _decided(
    always: Sequence[Fragment], chosen: Sequence[Fragment], output: str, least: Thresholds
) -> Fragment | None:
    """Judge constants that a condition chooses: they must be most of the output, and no message."""
    whole = Output(output)
    for part in (*always, *chosen):
        whole.holds(part.text)
    if whole.coverage <= 0.5:  # noqa: PLR2004 - half of the words
        return None
    for each in chosen:
        weight = weigh(_CLASS.sub(" ", each.text) if each.when == When.CHOSEN else each.text)
        needed = least.keyed if each.when == When.KEYED else least.chosen
        trouble = each.when == When.CHOSEN and _TROUBLE.search(each.text)
        if weight.result >= needed and not trouble:
            return each
    return None
