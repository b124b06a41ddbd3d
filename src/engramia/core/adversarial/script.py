"""What a JavaScript program shows, told by following constants through its statements."""

from collections.abc import Callable
from typing import Final

from engramia.core.adversarial.script_cursor import Function
from engramia.core.adversarial.script_syntax import tokens
from engramia.core.adversarial.script_values import DEEPEST, MOST_ITEMS, STEPS, Evaluator
from engramia.core.adversarial.values import HOLE, Reading, When, added, is_constant, is_open

_MODIFIERS: Final = {
    "export",
    "default",
    "async",
    "await",
    "static",
    "public",
    "private",
    "readonly",
    "new",
    "void",
}


def read(code: str) -> Reading:
    """Return what `code` shows."""
    inputs: set[tuple[str, int]] = set()
    found = tokens(code)
    _Reader(found, inputs).program()
    return _Reader(found, inputs, blind=True).program()


class _Reader(Evaluator):
    """One walk over a program's statements."""

    def program(self) -> Reading:
        """Read everything, then the functions that nothing called."""
        self._hoist()
        self._block(0, len(self.tokens))
        printed = bool(self.shown)
        for function in list(self.functions.values()):
            if function.start not in self.summaries:
                summary = self.summarise(function)
                for value, when, line in () if printed else summary.returns:
                    self.show(value, line, when)
        return Reading(tuple(self.shown), self.works, frozenset(self.fed))

    def _hoist(self) -> None:
        """Note functions and methods, which may be called above the place where they stand."""
        for index, token in enumerate(self.tokens[:-3]):
            if (
                token.kind != "name"
                or self.text(index + 1) != "("
                or token.text in {"if", "for", "while", "switch"}
            ):
                continue
            closing = self.pairs[index + 1]
            if self.text(closing + 1) == "{" and token.text != "catch":
                self.functions[token.text] = self.function(index + 1, closing + 1)

    def _block(self, at: int, end: int) -> None:
        while at < end and self.steps < STEPS:
            at = max(self._statement(at, end), at + 1)

    def _statement(self, at: int, end: int) -> int:
        """Read one statement and return where the next begins."""
        self.steps += 1
        word = self.text(at)
        if word in _MODIFIERS or word in {";", ",", "}", ")", "]", ":"}:
            return at + 1
        if word == "case":
            return next((i + 1 for i in range(at, end) if self.text(i) == ":"), end)
        if word == "{":
            self.under(When.ALWAYS, at + 1, self.pairs[at])
            return self.pairs[at] + 1
        handler: dict[str, Callable[[int, int], int]] = {
            "if": self._if,
            "for": self._for,
            "while": self._while,
            "do": self._do,
            "try": self._try,
            "catch": self._catch,
            "switch": self._switch,
            "function": self._skip_function,
            "class": self._class,
            "return": self._return,
            "const": self._declare,
            "let": self._declare,
            "var": self._declare,
        }
        return handler[word](at, end) if word in handler else self._expression_statement(at, end)

    def under(self, when: When, at: int, end: int) -> None:
        before, self.when = self.when, max(self.when, when)
        self.depth += 1
        if self.depth < DEEPEST:
            self._block(at, end)
        self.depth -= 1
        self.when = before

    def _body(self, at: int, end: int, when: When | None) -> int:
        """Read a block or a single statement under `when` (None: passed over) and return its end."""
        if self.text(at) == "{":
            if when is not None:
                self.under(when, at + 1, self.pairs[at])
            return self.pairs[at] + 1
        stop = self.end(at, end) + 1
        if when is not None:
            self.under(when, at, min(stop, end))
        return stop

    def _if(self, at: int, end: int) -> int:
        opening = at + 1
        closing = self.pairs.get(opening, end)
        when = self.condition(opening + 1, closing)
        at = self._body(closing + 1, end, when)
        while self.text(at) == "else":
            if self.text(at + 1) == "if":
                opening = at + 2
                closing = self.pairs.get(opening, end)
                at = self._body(closing + 1, end, self.condition(opening + 1, closing))
            else:
                at = self._body(at + 1, end, self.when if when is None else When.CHOSEN)
        return at

    def _for(self, at: int, end: int) -> int:
        opening = at + 1 if self.text(at + 1) == "(" else at + 2
        closing = self.pairs.get(opening, end)
        of = next((i for i in range(opening, closing) if self.text(i) in {"of", "in"}), None)
        value = self.value(of + 1, closing) if of is not None else HOLE
        known = list(value) if of is not None and self.text(of) == "in" and isinstance(value, dict) else value
        if of is not None and isinstance(known, list) and len(known) <= MOST_ITEMS and is_constant(known):
            stop = closing + 1
            for item in known:
                self.bind(opening + 1 + (self.text(opening + 1) in {"const", "let", "var"}), of, item)
                stop = self._body(closing + 1, end, When.ALWAYS)
            return stop
        self.computed(opening + 1, closing)
        return self._repeat(closing + 1, end)

    def _repeat(self, at: int, end: int) -> int:
        """Read a body that runs an unknown number of times: what it changes is open."""
        stop = self.pairs[at] if self.text(at) == "{" else self.end(at, end)
        for index in range(at, min(stop, len(self.tokens))):
            changed = self.text(index + 1) in {"=", "+=", "-=", "*=", "/=", "++", "--"}
            pushed = self.text(index + 1) == "." and self.text(index + 2) in {
                "push",
                "unshift",
                "set",
                "add",
            }
            if changed or pushed or self.text(index + 1) == "[":
                self.env[self.text(index)] = HOLE, index
        return self._body(at, end, When.ALWAYS)

    def _while(self, at: int, end: int) -> int:
        closing = self.pairs.get(at + 1, end)
        self.computed(at + 2, closing)
        return self._repeat(closing + 1, end)

    def _do(self, at: int, end: int) -> int:
        self.works = True
        return self._repeat(at + 1, end)

    def _try(self, at: int, end: int) -> int:
        return self._body(at + 1, end, When.ALWAYS)

    def _catch(self, at: int, end: int) -> int:
        at = self.pairs.get(at + 1, at) + 1 if self.text(at + 1) == "(" else at + 1
        return self._body(at, end, When.CHOSEN)

    def _switch(self, at: int, end: int) -> int:
        closing = self.pairs.get(at + 1, end)
        self.computed(at + 2, closing)
        plain = all(
            token.kind in {"name", "number"} or token.text in ".[]" for token in self.tokens[at + 2 : closing]
        )
        body = closing + 1
        self.under(When.KEYED if plain else When.CHOSEN, body + 1, self.pairs.get(body, end))
        return self.pairs.get(body, end) + 1

    def _skip_function(self, at: int, end: int) -> int:
        opening = next((i for i in range(at, min(at + 4, end)) if self.text(i) == "("), at)
        closing = self.pairs.get(opening, at)
        return self.pairs.get(closing + 1, closing) + 1

    def _class(self, at: int, end: int) -> int:
        opening = next((i for i in range(at, min(at + 8, end)) if self.text(i) == "{"), at)
        return self.pairs.get(opening, at) + 1

    def _return(self, at: int, end: int) -> int:
        stop = self.end(at + 1, end)
        if stop > at + 1 and not self.tokens[at + 1].fresh:
            self.returns.append((self.value(at + 1, stop), self.when, self.tokens[at].line))
        return stop

    def _declare(self, at: int, end: int) -> int:
        stop = self.end(at + 1, end, commas=True)
        for start, close in self.split(at + 1, stop):
            equal = next((i for i in range(start, close) if self.text(i) == "="), None)
            if equal is not None:
                self.bind(start, equal, self.value(equal + 1, close))
        return stop

    def _expression_statement(self, at: int, end: int) -> int:
        stop = self.end(at, end)
        operator = next((i for i in range(at, min(stop, at + 12)) if self.text(i) in {"=", "+="}), None)
        if operator is None:
            self.value(at, stop)
            return stop
        value = self.value(operator + 1, stop)
        name = "".join(self.text(i) for i in range(at, operator))
        if "[" in name:
            self.env[self.text(at)] = HOLE, at
        elif self.text(operator) == "+=":
            value = added(self.env.get(name, (HOLE, 0))[0], value)
            self.env[name] = (value if not is_open(value) else self.computed(at, stop)), at
        elif isinstance(value, Function):
            self.functions[self.text(operator - 1)] = value
        else:
            self.env[name] = value, at
        return stop
