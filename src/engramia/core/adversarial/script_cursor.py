"""A place to look JavaScript's tokens up by index: where expressions end, what stands between commas."""

from dataclasses import dataclass
from typing import Final

from engramia.core.adversarial.script_syntax import Token, pairs

_ENDS_VALUE: Final = {")", "]", "}", "++", "--"}
_CONTINUES: Final = frozenset(
    ". ?. ( [ , ; ) ] } + - * / % ? : = == === != !== < > <= >= && || ?? =>".split()
)


@dataclass(slots=True)
class Function:
    """A function's parameters and where its body stands; an arrow's body may be an expression."""

    parameters: list[str]
    start: int
    end: int
    block: bool


class Cursor:
    """The tokens of a program and their brackets; all ranges are half open."""

    def __init__(self, found: list[Token]) -> None:
        self.tokens, self.pairs = list(found), pairs(found)

    def text(self, index: int) -> str:
        """Return the token's text; of strings and templates nothing: they are never marks."""
        token = self.tokens[index] if 0 <= index < len(self.tokens) else None
        return token.text if token is not None and token.kind in {"name", "mark"} else ""

    def split(self, at: int, end: int) -> list[tuple[int, int]]:
        """Return the parts of [at, end) between its commas."""
        found: list[tuple[int, int]] = []
        start = at
        while at < end:
            if self.text(at) == ",":
                found.append((start, at))
                start = at + 1
            at = self.pairs[at] + 1 if at in self.pairs else at + 1
        return [*found, (start, end)] if start < end else found

    def end(self, at: int, end: int, *, commas: bool = False) -> int:
        """Return the end of the expression that begins at `at`, as automatic semicolons have it."""
        start = at
        while at < end:
            token = self.tokens[at]
            text = self.text(at)
            if text in {";", ")", "]", "}"} or (text == "," and not commas):
                return at
            if token.fresh and at > start and self._breaks(at):
                return at
            at = self.pairs[at] + 1 if at in self.pairs else at + 1
        return end

    def _breaks(self, at: int) -> bool:
        before, here = self.tokens[at - 1], self.text(at)
        complete = before.kind != "mark" or before.text in _ENDS_VALUE
        return complete and here not in _CONTINUES and here not in {"instanceof", "in", "of"}

    def function(self, opening: int, body: int) -> Function:
        parameters = self._parameters(opening)
        if self.text(body) == "{":
            return Function(parameters, body + 1, self.pairs[body], block=True)
        return Function(parameters, body, self.end(body, len(self.tokens)), block=False)

    def _parameters(self, opening: int) -> list[str]:
        if self.text(opening) != "(":
            return [self.text(opening)]
        return [self.text(start) for start, _ in self.split(opening + 1, self.pairs[opening])]
