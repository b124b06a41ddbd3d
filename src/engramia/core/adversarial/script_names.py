"""The names and functions of a JavaScript program, and what reading its functions shows."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from engramia.core.adversarial.script_cursor import Cursor, Function
from engramia.core.adversarial.script_syntax import Token
from engramia.core.adversarial.values import (
    HOLE,
    Parameter,
    Shown,
    When,
    chosen,
    is_constant,
    item_of,
    number,
    options,
    render,
)

_HELP: Final = re.compile(r"help|usage|version|argv\.length|^-h$", re.IGNORECASE)
_EQUAL: Final = {"==", "==="}


@dataclass(slots=True)
class Summary:
    """What a function returns, and which of its arguments it prints as they are."""

    returned: object = HOLE
    returns: list[tuple[object, When, int]] = field(default_factory=list)
    echoes: list[tuple[str, int]] = field(default_factory=list)


class Names(Cursor, ABC):
    """Follows names; `env` maps names to (value, where it was bound)."""

    def __init__(self, found: list[Token], inputs: set[tuple[str, int]], *, blind: bool = False) -> None:
        super().__init__(found)
        self.inner: dict[str, tuple[int, int]] = {}
        self.inputs, self.blind = inputs, blind
        self.env: dict[str, tuple[object, int]] = {}
        self.functions: dict[str, Function] = {}
        self.summaries: dict[int, Summary] = {}
        self.shown: list[Shown] = []
        self.returns: list[tuple[object, When, int]] = []
        self.summary: Summary | None = None
        self.works = False
        self.fed: set[str] = set()
        self.nested = 0
        self.when = When.ALWAYS
        self.steps = self.depth = 0

    def condition(self, at: int, end: int) -> When | None:
        texts = [token.text for token in self.tokens[at : min(end, at + 40)]]
        if any(_HELP.search(text.strip("'\"")) for text in texts) or ("argv" in texts and "length" in texts):
            return None
        if "require" in texts and "module" in texts:
            return When.ALWAYS
        self.computed(at, end)
        return When.KEYED if self._known_input(at, end) else When.CHOSEN

    def _known_input(self, at: int, end: int) -> bool:
        """Return whether a plain name or member is compared with a literal."""
        for index in range(at, end):
            if self.text(index) in _EQUAL:
                literal = self.tokens[index + 1].kind in {"string", "number"} if index + 1 < end else False
                left = [self.tokens[i] for i in range(at, index)]
                plain = all(
                    each.kind in {"name", "number"} or each.text in {".", "[", "]", "("} for each in left
                )
                return literal and plain and not any(each.text == "length" for each in left)
        return False

    def bind(self, at: int, end: int, value: object) -> None:
        """Bind the name or the destructuring pattern in [at, end) to `value`."""
        if self.text(at) not in {"[", "{"}:
            function = value if isinstance(value, Function) else None
            if function is not None:
                self.functions[self.text(at)] = function
            self.env[self.text(at)] = (HOLE if function else value), at
            return
        array = self.text(at) == "["
        for index, (start, _) in enumerate(self.split(at + 1, self.pairs.get(at, end))):
            name = self.text(start)
            self.env[name] = item_of(value, index if array else name), start

    def show(self, value: object, line: int, when: When | None = None) -> None:
        if isinstance(value, Parameter) and self.summary is not None:
            self.summary.echoes.append((value.name, line))
        for option, reason in options(value, self.when if when is None else when):
            self.shown.append(Shown(render(option), line, reason))
            self.steps += self.shown[-1].length // 20

    def summarise(self, function: Function) -> Summary:
        """Read a function once, its parameters open."""
        if function.start in self.summaries:
            return self.summaries[function.start]
        summary = self.summaries[function.start] = Summary()
        saved = self.env, self.returns, self.summary
        self.env, self.returns, self.summary = dict(self.env), [], summary
        self.env.update({name: (Parameter(name), function.start) for name in function.parameters})
        if function.block:
            self.under(When.ALWAYS, function.start, function.end)
        elif function.start < len(self.tokens):
            line = self.tokens[function.start].line
            self.returns.append((self.value(function.start, function.end), When.ALWAYS, line))
        summary.returns = self.returns
        self.env, self.returns, self.summary = saved
        pairs_ = summary.returns
        if pairs_:
            summary.returned = (
                pairs_[0][0] if len(pairs_) == 1 else chosen((value, when) for value, when, _ in pairs_)
            )
        return summary

    def called(self, function: Function, arguments: Sequence[object], at: int, end: int) -> object:
        summary = self.summarise(function)
        given = dict(zip(function.parameters, arguments, strict=False))
        for parameter, line in summary.echoes:
            self.show(given.get(parameter, HOLE), line)
        if isinstance(summary.returned, Parameter):
            return given.get(summary.returned.name, HOLE)
        if not is_constant(summary.returned):
            self.computed(at, end)
        return summary.returned

    def inlined(self, function: Function, item: object) -> object:
        """Return what a callback gives for one known item, by reading its body with the item bound."""
        saved = dict(self.env), self.returns
        self.returns = []
        opening = function.start
        if function.parameters:
            self._bind_parameter(function, item)
        if function.block:
            self.under(When.ALWAYS, opening, function.end)
            found = self.returns[0][0] if len(self.returns) == 1 else HOLE
        else:
            found = self.value(opening, function.end)
        self.env, self.returns = saved
        return found

    def _bind_parameter(self, function: Function, item: object) -> None:
        name = function.parameters[0]
        if name in {"[", "{"}:
            back = function.start - 1
            while back > 0 and self.text(back) != name:
                back -= 1
            self.bind(back, function.start, item)
        else:
            self.env[name] = item, function.start

    def computed(self, at: int, end: int) -> object:
        """Note that something is computed from the tokens in [at, end): constants among them are inputs."""
        self.works = True
        for index in range(at, min(end, len(self.tokens))):
            self.steps += 1
            if self.tokens[index].kind == "number":
                self.fed.add(number(self.tokens[index].text))
            name = self.text(index)
            if name in self.env and self.text(index - 1) != ".":
                self.inputs.add((name, self.env[name][1]))
        return HOLE

    @abstractmethod
    def value(self, at: int, end: int) -> object:
        """Return what the expression in [at, end) is known to be."""

    @abstractmethod
    def under(self, when: When, at: int, end: int) -> None:
        """Read statements that run under `when`."""
