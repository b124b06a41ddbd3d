"""What JavaScript expressions are known to be, constants followed through calls."""

from collections.abc import Callable, Sequence
from typing import Final

from engramia.core.adversarial import script_calls
from engramia.core.adversarial.script_cursor import Function
from engramia.core.adversarial.script_names import Names
from engramia.core.adversarial.script_syntax import pairs, template_parts, tokens, unescaped
from engramia.core.adversarial.values import (
    HOLE,
    LONGEST,
    Choice,
    When,
    chosen,
    is_constant,
    is_open,
    is_text,
    item_of,
    joined,
    text_of,
)

STEPS: Final = 60_000
"""Statements and expressions looked at, loops over constants unrolled."""

DEEPEST: Final = 40
"""Nested expressions and blocks that are followed."""

MOST_ITEMS: Final = 60
"""Items of a constant that a loop over it is followed through."""

_DEEPEST_TEMPLATE: Final = 6  # templates in templates
_SHOWING: Final = {
    *("console.log", "console.info", "console.table", "console.dir", "process.stdout.write", "print"),
    # Languages that have no reader of their own but are written much like this one.
    *("System.out.println", "System.out.printf", "fmt.Println", "fmt.Printf", "println", "printf", "puts"),
    *("Console.WriteLine", "document.write", "alert"),
}
_SILENT: Final = {
    "console.error",
    "console.warn",
    "console.debug",
    "process.exit",
    "require",
    "setTimeout",
    "import",
}
_COMPUTING: Final = frozenset(
    "- * / % ** & | ^ << >> >>> < > <= >= == != === !== ! ~ ++ -- instanceof in typeof || ?? &&".split()
)
_VALUES: Final = {"true": True, "false": False, "null": None, "undefined": None}


class Evaluator(Names):
    """Evaluates expressions."""

    def value(self, at: int, end: int) -> object:
        """Return what the expression in [at, end) is known to be."""
        self.steps += 1
        if at >= end or self.steps > STEPS or self.depth > DEEPEST:
            return HOLE
        self.depth += 1
        found = self._value(at, end)
        self.depth -= 1
        return found

    def _value(self, at: int, end: int) -> object:
        while self.text(at) in {"await", "new", "void", "async"} and at + 1 < end:
            at += 1
        marks = self._top_level(at, end)
        texts = {self.text(index) for index in marks}
        if "=>" in texts or self.text(at) == "function":
            return self._function_value(at, end, marks)
        if "?" in texts:
            return self._ternary(at, end, marks)
        if self.text(at) == "-" and end == at + 2 and self.tokens[at + 1].kind == "number":
            return "-" + self.tokens[at + 1].text
        if texts & _COMPUTING:
            return self.computed(at, end)
        return self._sum(at, end, marks) if "+" in texts else self._chain(at, end)

    def _function_value(self, at: int, end: int, marks: Sequence[int]) -> Function:
        arrow = next((index for index in marks if self.text(index) == "=>"), None)
        if arrow is not None:
            return self.function(at, arrow + 1)
        opening = at + 1 if self.text(at + 1) == "(" else at + 2
        return self.function(opening, self.pairs.get(opening, end) + 1)

    def _top_level(self, at: int, end: int) -> list[int]:
        """Return the marks and names in [at, end) outside of brackets."""
        found: list[int] = []
        while at < end:
            if self.tokens[at].kind in {"mark", "name"}:
                found.append(at)
            at = self.pairs[at] + 1 if at in self.pairs else at + 1
        self.steps += len(found) // 10
        return found

    def _ternary(self, at: int, end: int, marks: Sequence[int]) -> object:
        question = next(index for index in marks if self.text(index) == "?")
        colon = next((index for index in marks if index > question and self.text(index) == ":"), end)
        when = self.condition(at, question)
        reasons = ((question + 1, colon, when), (colon + 1, end, When.CHOSEN))
        return chosen(
            (self.value(start, stop), reason) for start, stop, reason in reasons if reason is not None
        )

    def _sum(self, at: int, end: int, marks: Sequence[int]) -> object:
        values: list[object] = []
        for index in [*(each for each in marks if self.text(each) == "+"), end]:
            values.append(self.value(at, index))
            at = index + 1
        return text_of(values) if any(is_text(each) for each in values) else self.computed(at, end)

    def _chain(self, at: int, end: int) -> object:
        """Return a primary expression with its members, indices and calls."""
        start, path = at, self.text(at) if self.tokens[at].kind == "name" else ""
        found, at = self._primary(at, end)
        while at < end:
            text = self.text(at)
            if text in {".", "?."}:
                owner, member = found, self.text(at + 1)
                path = f"{path}.{member}" if path else f".{member}"
                if self.text(at + 2) == "(":
                    close = self.pairs[at + 2]
                    found = self._method(owner, path, member, (at + 3, close, start))
                    at = close + 1
                else:
                    found = self._member(owner, path, member)
                    at += 2
            elif text == "(":
                close = self.pairs[at]
                found = self._call(path, (at + 1, close, start), found)
                at = close + 1
            elif text == "[":
                close = self.pairs[at]
                found = self._item(found, at + 1, close)
                at = close + 1
            else:
                return self.computed(start, end)
        return found

    def _primary(self, at: int, end: int) -> tuple[object, int]:
        """Return what begins at `at`, and where the rest of the chain begins."""
        token = self.tokens[at]
        literal: dict[str, Callable[[str], object]] = {
            "string": lambda text: unescaped(text[1:].removesuffix(text[0])),
            "number": lambda text: text.replace("_", ""),
            "template": self._template,
            "name": self._name,
        }
        if token.kind in literal:
            return literal[token.kind](token.text), at + 1
        if at not in self.pairs:
            return HOLE, end
        close = min(self.pairs[at], end)
        if token.text == "[":
            return [self.value(*each) for each in self.split(at + 1, close)], close + 1
        return (self.value if token.text == "(" else self._object)(at + 1, close), close + 1

    def _name(self, name: str) -> object:
        if name in _VALUES:
            return _VALUES[name]
        value, line = self.env.get(name, (HOLE, 0))
        if name in self.functions and is_open(value):
            return self.functions[name]
        return HOLE if self.blind and (name, line) in self.inputs else value

    def _object(self, at: int, end: int) -> object:
        found: dict[object, object] = {}
        for start, close in self.split(at, end):
            token = self.tokens[start]
            key = token.text.strip("'\"")
            if self.text(start + 1) == ":":
                found[key] = self.value(start + 2, close)
            else:
                found[key] = self.value(start, close) if close == start + 1 else HOLE
        return found

    def _template(self, text: str) -> object:
        pieces: list[object] = []
        for part, code in template_parts(text):
            pieces.append(self._inner(part) if code else part)
        return text_of(pieces)

    def _inner(self, code: str) -> object:
        """Return the value of code inside a template, read with the names known here."""
        if self.nested >= _DEEPEST_TEMPLATE:
            return HOLE
        if code not in self.inner:
            start, found = len(self.tokens), tokens(code)
            self.tokens.extend(found)
            self.pairs.update({start + left: start + right for left, right in pairs(found).items()})
            self.inner[code] = start, start + len(found)
        self.nested += 1
        value = self.value(*self.inner[code])
        self.nested -= 1
        return value if not isinstance(value, Function) else HOLE

    def _member(self, owner: object, path: str, member: str) -> object:
        if path in self.env:
            return self._name(path)
        if isinstance(owner, dict):
            return item_of(owner, member)
        self.works = self.works or not is_open(owner)
        return HOLE

    def _item(self, owner: object, at: int, end: int) -> object:
        key = self.value(at, end)
        if isinstance(owner, list) and isinstance(key, str) and key.isdecimal():
            key = int(key[:9])
        return item_of(owner, key) if isinstance(owner, list | dict) else self.computed(at, end)

    def _method(self, owner: object, path: str, member: str, where: tuple[int, int, int]) -> object:
        at, end, start = where
        arguments = [self.value(*each) for each in self.split(at, end)]
        if path in _SHOWING:
            return self._print(arguments, self.tokens[start].line)
        if path in _SILENT:
            return HOLE
        found = script_calls.converted(path, arguments)
        if member == "map" and isinstance(owner, list) and self.text(at) in {"String", "Number"}:
            found = owner
        if is_open(found):
            found = self._known_method(owner, member, arguments)
        if not is_open(found):
            return found
        if member in self.functions and not isinstance(owner, list | dict):
            return self.called(self.functions[member], arguments, at, end)
        self._deferred(arguments)
        return self._pushed(owner, path.removesuffix(".push"), arguments, where)

    def _pushed(
        self, owner: object, name: str, arguments: list[object], where: tuple[int, int, int]
    ) -> object:
        """Follow a list that grows by known items; any other call computes."""
        if name in self.env and isinstance(owner, list) and len(owner) < LONGEST:
            self.env[name] = [*owner, *arguments], self.env[name][1]
            return None
        return self.computed(where[2], where[1])

    def _known_method(self, owner: object, member: str, arguments: Sequence[object]) -> object:
        first = arguments[0] if arguments else None
        if not isinstance(first, Function):
            return script_calls.method(owner, member, first)
        if member == "then":
            return self.inlined(first, owner)
        if member not in {"map", "forEach"} or not isinstance(owner, list):
            return HOLE
        if len(owner) > MOST_ITEMS or not is_constant(owner):
            return HOLE
        found = [self.inlined(first, each) for each in owner]
        if member == "forEach":
            return None
        return found if is_constant(found) else HOLE

    def _call(self, path: str, where: tuple[int, int, int], callee: object) -> object:
        at, end, start = where
        arguments = [self.value(*each) for each in self.split(at, end)]
        if path in self.functions:
            return self.called(self.functions[path], arguments, at, end)
        if isinstance(callee, Function):
            return self.called(callee, arguments, at, end)
        if path in _SHOWING:
            return self._print(arguments, self.tokens[start].line)
        found = script_calls.converted(path, arguments)
        if not is_open(found):
            return found
        self._deferred(arguments)
        return HOLE if path in _SILENT else self.computed(start, end)

    def _deferred(self, arguments: Sequence[object]) -> None:
        """Read callbacks that something else will call."""
        for each in arguments:
            if isinstance(each, Function):
                self.summarise(each)

    def _print(self, arguments: Sequence[object], line: int) -> object:
        if len(arguments) == 1 or any(isinstance(each, Choice) for each in arguments):
            for each in arguments:
                self.show(each, line)
        else:
            self.show(joined(" ", arguments), line)
        return None
