"""What Python expressions are known to be, with the names and functions of the program at hand."""

import ast
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from engramia.core.adversarial import python_calls
from engramia.core.adversarial.python_syntax import Function, dotted, items, known_input
from engramia.core.adversarial.values import (
    HOLE,
    Choice,
    Parameter,
    Reading,
    Shown,
    Text,
    When,
    added,
    chosen,
    is_constant,
    is_key,
    is_open,
    is_text,
    item_of,
    number,
    options,
    render,
    text_of,
)

DEEPEST: Final = 60
"""Nested expressions, statements and calls that are followed."""

STEPS: Final = 100_000
"""Statements and expressions looked at, loops over constants unrolled."""

_ASKS_FOR_HELP: Final = re.compile(
    r"""help|usage|version|verbose|['"]-h['"]|len\(sys\.argv\)""", re.IGNORECASE
)

_RULER: Final = 3  # characters of the text that is repeated to draw a line

type Nested = Callable[[str, str], Reading | None]


@dataclass(slots=True)
class Summary:
    """What a function returns, and which of its arguments it prints as they are."""

    returned: object = HOLE
    returns: list[tuple[object, When, int]] = field(default_factory=list)
    echoes: list[tuple[str, int]] = field(default_factory=list)
    parameters: list[str] = field(default_factory=list)


class Evaluator(ABC):
    """Evaluates expressions; `env` maps names to (value, where it was bound)."""

    def __init__(
        self,
        inputs: set[tuple[str, int]],
        nested: Nested | None,
        *,
        blind: bool = False,
    ) -> None:
        self.inputs, self.nested, self.blind = inputs, nested, blind
        self.shown: list[Shown] = []
        self.works = False
        self.fed: set[str] = set()
        self.when = When.ALWAYS
        self.functions: dict[str, Function] = {}
        self.summaries: dict[str, Summary] = {}
        self.env: dict[str, tuple[object, int]] = {}
        self.returns: list[tuple[object, When, int]] = []
        self.summary: Summary | None = None
        self.steps = self.depth = 0

    def show(self, value: object, line: int, when: When | None = None) -> None:
        if isinstance(value, Parameter) and self.summary is not None:
            self.summary.echoes.append((value.name, line))
        for option, reason in options(value, self.when if when is None else when):
            self.shown.append(Shown(render(option), line, reason))
            self.steps += self.shown[-1].length // 20

    def summarise(self, name: str) -> Summary:
        """Read a function once, its arguments open; while it is being read, its result is a hole."""
        if name in self.summaries:
            return self.summaries[name]
        summary = self.summaries[name] = Summary()
        function = self.functions[name]
        saved = self.env, self.returns, self.summary
        arguments = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
        summary.parameters = [each for each in arguments if each not in {"self", "cls"}]
        self.env, self.returns, self.summary = dict(self.env), [], summary
        every = [*arguments, *(each.arg for each in function.args.kwonlyargs)]
        self.env.update({each: (Parameter(each), function.lineno) for each in every})
        self.under(When.ALWAYS, function.body)
        found = summary.returns = self.returns
        self.env, self.returns, self.summary = saved
        if found:
            summary.returned = (
                found[0][0] if len(found) == 1 else chosen((value, when) for value, when, _ in found)
            )
        return summary

    def call_function(self, name: str, node: ast.Call, arguments: Sequence[object]) -> object:
        """Return the result of a function of the program, its echoed arguments put in."""
        summary = self.summarise(name)
        given = dict(zip(summary.parameters, arguments, strict=False))
        given.update({each.arg: self.value(each.value) for each in node.keywords if each.arg})
        for parameter, line in summary.echoes:
            self.show(given.get(parameter, HOLE), line)
        result = summary.returned
        if isinstance(result, Parameter):
            return given.get(result.name, HOLE)
        if not is_constant(result):
            self.computed(*node.args)
        return result

    def value(self, node: ast.expr) -> object:
        """Return what `node` is known to be."""
        self.steps += 1
        handler = self._EXPRESSIONS.get(type(node))
        if self.steps > STEPS or self.depth > DEEPEST:
            return HOLE
        self.depth += 1
        found = handler(self, node) if handler else self.computed(node)
        self.depth -= 1
        return found

    def computed(self, *nodes: ast.expr) -> object:
        """Note that something is computed from `nodes`: the constants in them are inputs."""
        self.works = True
        for node in nodes:
            for each in ast.walk(node) if self.steps < STEPS else ():
                self.steps += 1
                if isinstance(each, ast.Constant) and isinstance(each.value, int | float):
                    self.fed.add(number(each.value))
                name = dotted(each) if isinstance(each, ast.Name | ast.Attribute) else None
                if name in self.env:
                    self.inputs.add((name, self.env[name][1]))
        return HOLE

    def _constant(self, node: ast.Constant) -> object:
        return node.value if isinstance(node.value, str | bytes | int | float | bool | None) else HOLE

    def _name(self, node: ast.Name | ast.Attribute) -> object:
        name = dotted(node)
        value, line = self.env.get(name or "", (HOLE, 0))
        return HOLE if self.blind and (name, line) in self.inputs else value

    def _formatted(self, node: ast.JoinedStr) -> object:
        return text_of([self._part(each) for each in node.values])

    def _part(self, node: ast.expr) -> object:
        if not isinstance(node, ast.FormattedValue):
            return self.value(node)
        value = self.value(node.value)
        if node.format_spec is not None:
            spec = self.value(node.format_spec)
            return python_calls.formatted(value, spec if isinstance(spec, str) else "")
        return value

    def _list(self, node: ast.List | ast.Tuple) -> object:
        found = [self.value(each) for each in node.elts]
        return tuple(found) if isinstance(node, ast.Tuple) else found

    def _dict(self, node: ast.Dict) -> object:
        found: dict[object, object] = {}
        for key_node, value_node in zip(node.keys, node.values, strict=True):
            key = self.value(key_node) if key_node is not None else HOLE
            value = self.value(value_node)
            if not is_key(key):
                return HOLE
            found[key] = value
        return found

    def _binary(self, node: ast.BinOp) -> object:
        if isinstance(node.op, ast.Add):
            return self._sum(node)
        left, right = self.value(node.left), self.value(node.right)
        if isinstance(node.op, ast.Mod) and isinstance(left, str):
            return python_calls.percent(left, right)
        drawn = isinstance(node.op, ast.Mult) and isinstance(left, str) and len(left) <= _RULER
        if drawn and isinstance(left, str) and isinstance(right, int):
            return left * min(right, 200)
        return self.computed(node)

    def _sum(self, node: ast.BinOp) -> object:
        terms: list[ast.expr] = []
        left: ast.expr = node
        while isinstance(left, ast.BinOp) and isinstance(left.op, ast.Add):
            terms.append(left.right)
            left = left.left
        values = [self.value(each) for each in (left, *reversed(terms))]
        if any(is_text(each) for each in values):
            return text_of(values)
        total = values[0]
        for each in values[1:]:
            total = added(total, each)
        return self.computed(node) if is_open(total) else total

    def _unary(self, node: ast.UnaryOp) -> object:
        value = self.value(node.operand)
        if isinstance(node.op, ast.USub) and isinstance(value, int | float):
            return -value
        return self.computed(node)

    def _either(self, node: ast.IfExp) -> object:
        reason, otherwise = self.condition(node.test)
        pairs = ((node.body, reason), (node.orelse, otherwise))
        return chosen((self.value(each), when) for each, when in pairs if when is not None)

    def condition(self, test: ast.expr) -> tuple[When | None, When | None]:
        """Return when the body runs and when the alternative; None for "not what the program is for"."""
        source = (
            ast.unparse(test) if isinstance(test, ast.Compare | ast.BoolOp | ast.Name | ast.Attribute) else ""
        )
        if "__name__" in source:
            return When.ALWAYS, When.ALWAYS
        if isinstance(test, ast.Constant):
            return (When.ALWAYS, None) if test.value else (None, When.ALWAYS)
        if _ASKS_FOR_HELP.search(source):
            return None, self.when
        self.value(test)
        return (When.KEYED if known_input(test) else When.CHOSEN), When.CHOSEN

    def _subscript(self, node: ast.Subscript) -> object:
        container = self.value(node.value)
        if isinstance(node.slice, ast.Slice) or is_open(container) or isinstance(container, Text | Choice):
            return self.computed(node)
        return item_of(container, self.value(node.slice))

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp) -> object:
        only = node.generators[0]
        known = items(self.value(only.iter)) if len(node.generators) == 1 and not only.ifs else None
        if known is None or not is_constant(known):
            return self.computed(node)
        saved, found = dict(self.env), []
        for item in known:
            self.bind(only.target, item)
            found.append(self.value(node.elt))
        self.env = saved
        return found

    def bind(self, target: ast.expr, value: object) -> None:
        if isinstance(target, ast.Tuple | ast.List):
            whole = value if isinstance(value, list | tuple) and len(value) == len(target.elts) else None
            for number, element in enumerate(target.elts):
                self.bind(element, whole[number] if whole else HOLE)
            return
        if isinstance(target, ast.Subscript):
            self.store(target, value)
        elif name := dotted(target):
            self.env[name] = value, target.lineno

    def _compare(self, node: ast.Compare) -> object:
        """Note a comparison; a container that is only asked what it holds is no input for that."""
        sides = zip(node.ops, node.comparators, strict=True)
        return self.computed(
            node.left, *(side for op, side in sides if not isinstance(op, ast.In | ast.NotIn))
        )

    def _call(self, node: ast.Call) -> object:
        return python_calls.call(self, node)

    def _walrus(self, node: ast.NamedExpr) -> object:
        value = self.value(node.value)
        self.bind(node.target, value)
        return value

    def _inner(self, node: ast.Await | ast.Starred) -> object:
        return self.value(node.value)

    @abstractmethod
    def under(self, when: When, body: Sequence[ast.stmt]) -> None:
        """Read statements that run under `when`."""

    @abstractmethod
    def store(self, target: ast.Subscript, value: object) -> None:
        """Put `value` into an item of a container."""

    _EXPRESSIONS: ClassVar[dict[type[ast.expr], Callable[[Any, Any], object]]] = {
        ast.Constant: _constant,
        ast.Name: _name,
        ast.Attribute: _name,
        ast.JoinedStr: _formatted,
        ast.List: _list,
        ast.Tuple: _list,
        ast.Dict: _dict,
        ast.BinOp: _binary,
        ast.UnaryOp: _unary,
        ast.IfExp: _either,
        ast.Subscript: _subscript,
        ast.ListComp: _comprehension,
        ast.GeneratorExp: _comprehension,
        ast.Call: _call,
        ast.Compare: _compare,
        ast.NamedExpr: _walrus,
        ast.Await: _inner,
        ast.Starred: _inner,
    }
