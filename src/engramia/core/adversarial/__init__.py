"""Hard-coded outputs, found by reading the code: what was shown stands in it, and nothing computes it."""

import re
from dataclasses import dataclass
from functools import partial
from typing import Final

from engramia.core.adversarial import python, query, script, shell
from engramia.core.adversarial.language import guesses, unfenced
from engramia.core.adversarial.values import Reading
from engramia.core.adversarial.weighing import Fragment, verdict

__all__ = ["Verdict", "detect"]

_LONGEST_CODE: Final = 200_000  # characters of the code that are read
_LONGEST_OUTPUT: Final = 50_000  # characters of the output that are compared
_DEEPEST: Final = 2  # programs in programs (`python -c` in a script)
_STATEMENT: Final = re.compile(r"(?<=\n)[A-Za-z_]")
_EXCERPT: Final = 80  # characters of a literal that a person is shown


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an output was hard-coded, with the literal and its line (from 1) in a sentence if it was."""

    adversarial: bool
    evidence: str | None


def detect(code: str, output: str | None) -> Verdict:
    """Return whether `output`, or a distinctive part of it, stands in `code` while nothing computes it.

    Python is read from its syntax tree, JavaScript, shell and SQL from their tokens. Never raises; takes
    time linear in the lengths.
    """
    if not output or not output.strip() or not code.strip():
        return Verdict(adversarial=False, evidence=None)
    text = unfenced(code)
    found = _found(_beginning(text), output[:_LONGEST_OUTPUT])
    return Verdict(adversarial=found is not None, evidence=_sentence(found, text) if found else None)


def _beginning(code: str) -> str:
    """Return as much of `code` as is read, up to the beginning of a statement, so that it still parses."""
    if len(code) <= _LONGEST_CODE:
        return code
    starts = [match.start() for match in _STATEMENT.finditer(code[:_LONGEST_CODE])]
    return code[: starts[-1] if starts else _LONGEST_CODE]


def _found(code: str, output: str) -> Fragment | None:
    for language in guesses(code):
        reading = _read(language, code)
        if reading is not None:
            return verdict(reading, output)
    reading = _read("javascript", code)
    return verdict(reading, output) if reading else None


def _read(language: str, code: str, depth: int = 0) -> Reading | None:
    """Return what `code` shows if it is in `language`, else None; `depth` programs are around it."""
    # Every level reads twice, so programs in programs are followed only as deep as people write them.
    nested = partial(_read, depth=depth + 1) if depth < _DEEPEST else None
    try:
        if language == "python":
            tree = python.parse(code)
            return python.read(tree, nested) if tree is not None else None
        if language == "javascript":
            return script.read(code)
        if language == "sql":
            return query.read(code)
        return shell.read(code, nested)
    except RecursionError:  # deeper than any reader's own limit, so deeper than anybody writes
        return None


def _sentence(found: Fragment, code: str) -> str:
    literal = found.text.strip()
    at = code.find(literal)
    line = code.count("\n", 0, at) + 1 if at >= 0 else found.line
    cut = literal if len(literal) <= _EXCERPT else literal[: _EXCERPT - 1] + "…"
    return f"The output's “{cut}” stands as a literal in line {line} of the code, and nothing computes it."
