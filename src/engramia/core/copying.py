"""Whether a text copies code, or a run of words, out of another."""

import re
from typing import Final

from engramia.core.similarity.lexicon import FUNCTION_WORDS
from engramia.core.words import words

RUN: Final = 5
"""So many words of a task one behind the other are its text; of a shorter task, all."""

_FEWEST: Final = 3  # a task of fewer words says nothing of its own
_TELLING: Final = 2  # of the words of a run, so many must say something
_SHORTEST: Final = 6  # characters of code; less is an operator or a name that anybody writes

_CODE: Final = re.compile(
    r"```.*?```"
    r"|`[^`\n]+`"
    r"|[\w.]+\((?!s\)|es\)|ing\))[^()\n]+\)"  # a call, not "file(s)"
    r"|\w+\[[^\]\n]+\]"
    r"|[\w.\]]+ ?[-+*/|]?=[=>]? ?[^\s=]+"
    r"|\b(?:def|class|import|from|except|lambda|while|elif|function|const|let|var)\s[\w.]+\s*[:(=]"
    r"|\bfor \w+ in [^\n:]+:"
    r"|\bimport [\w.]+"
    r"|\b(?:SELECT|INSERT INTO|UPDATE|DELETE FROM)\s[^\n]{5,}"
    r"|(?<![\w/])~?(?:/[\w.-]+){2,}"
    r"|\w+(?:->|::)\w+"
    r"|\$\{?\w+\}?",
    re.DOTALL,
)
_SPACE: Final = re.compile(r"\s+")
_WORDLIKE: Final = re.compile(r"[A-Za-z]+")


def copied_code(text: str, source: str, *, known: str = "") -> str | None:
    """Return a piece of code of `source` that stands in `text` too, and not in `known`; or None.

    White space does not count. Single words in backticks are names and not code.
    """
    here, there = _dense(text), _dense(known)
    for match in _CODE.finditer(source):
        for line in match[0].strip("`").splitlines():
            piece = _dense(line)
            telling = len(piece) >= _SHORTEST and not _WORDLIKE.fullmatch(piece)
            if telling and piece in here and piece not in there:
                return line.strip()
    return None


def copied_run(text: str, source: str, *, known: str = "") -> str | None:
    """Return words one behind the other of `source` that stand in `text` too, and not in `known`; or None."""
    asked = words(source)
    if len(asked) < _FEWEST:
        return None
    size = min(RUN, len(asked))
    here, there = (f" {' '.join(words(each))} " for each in (text, known))
    for start in range(len(asked) - size + 1):
        run = asked[start : start + size]
        joined = f" {' '.join(run)} "
        telling = sum(word not in FUNCTION_WORDS for word in run) >= _TELLING
        if telling and joined in here and joined not in there:
            return joined.strip()
    return None


def _dense(text: str) -> str:
    return _SPACE.sub("", text)
