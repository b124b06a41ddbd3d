"""What a Python program shows, told from its syntax tree by following constants in the order of execution."""

import ast
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from engramia.core.adversarial.python_syntax import bound_in, dotted, functions, items, met
from engramia.core.adversarial.python_values import DEEPEST, STEPS, Evaluator, Nested
from engramia.core.adversarial.values import HOLE, Reading, When, added, is_constant, is_open

# `ast.parse` warns about odd escapes of code that is not ours; the filter it takes to silence it is global.
_WARNINGS = threading.Lock()


def parse(code: str) -> ast.Module | None:
    """Return the syntax tree of `code`, None if it is no Python that this interpreter can parse."""
    try:
        with _WARNINGS, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def read(tree: ast.Module, nested: Nested | None = None) -> Reading:
    """Return what `tree` shows; `nested(language, code)` reads commands that it hands to a shell."""
    inputs: set[tuple[str, int]] = set()
    _Reader(inputs, nested).program(tree)
    # The second time, constants that the first saw feeding a computation are inputs, and no evidence.
    reader = _Reader(inputs, nested, blind=True)
    return reader.program(tree)


class _Reader(Evaluator):
    """One walk over a program's statements."""

    def program(self, tree: ast.Module) -> Reading:
        """Read the module, then every function that nothing in it calls."""
        for name, function in functions(tree):
            self.functions[name] = function
        self.block(tree.body)
        printed = bool(self.shown)
        for name in list(self.functions):
            if name not in self.summaries:
                self._uncalled(name, printed=printed)
        return Reading(tuple(self.shown), self.works, frozenset(self.fed))

    def _uncalled(self, name: str, *, printed: bool) -> None:
        self.when = When.ALWAYS
        summary = self.summarise(name)
        for value, when, line in () if printed else summary.returns:
            self.show(value, line, when)

    def block(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            self.steps += 1
            if self.steps > STEPS:
                return
            handler = self._STATEMENTS.get(type(statement))
            if handler:
                handler(self, statement)

    def under(self, when: When, body: Sequence[ast.stmt]) -> None:
        before, self.when = self.when, max(self.when, when)
        self.depth += 1
        if self.depth < DEEPEST:
            self.block(body)
        self.depth -= 1
        self.when = before

    def _expression(self, node: ast.Expr) -> None:
        self.value(node.value)

    def _assign(self, node: ast.Assign) -> None:
        value = self.value(node.value)
        for target in node.targets:
            self.bind(target, value)

    def _annotated(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.bind(node.target, self.value(node.value))

    def _augmented(self, node: ast.AugAssign) -> None:
        name = dotted(node.target)
        left, right = self.value(node.target), self.value(node.value)
        value = added(left, right) if isinstance(node.op, ast.Add) else HOLE
        if is_open(value):
            self.computed(node.target, node.value)
        if name:
            self.env[name] = value, node.lineno

    def store(self, target: ast.Subscript, value: object) -> None:
        name, key = dotted(target.value), self.value(target.slice)
        if name is None or name not in self.env:
            return
        container, line = self.env[name]
        if isinstance(container, dict) and isinstance(key, str | int | float):
            self.env[name] = {**container, key: value}, line
        else:
            self.env[name] = HOLE, line

    def _if(self, node: ast.If) -> None:
        reason, otherwise = self.condition(node.test)
        before = dict(self.env)
        if reason is not None:
            self.under(reason, node.body)
        after, self.env = self.env, before
        if otherwise is not None:
            self.under(otherwise, node.orelse)
        if reason == When.ALWAYS:
            self.env = after
        elif reason is not None:
            self.env = met(after, self.env, reason)

    def _match(self, node: ast.Match) -> None:
        self.value(node.subject)
        bare = isinstance(node.subject, ast.Name | ast.Attribute | ast.Subscript)
        for case in node.cases:
            literal = isinstance(case.pattern, ast.MatchValue | ast.MatchSequence)
            self.under(When.KEYED if bare and literal else When.CHOSEN, case.body)

    def _for(self, node: ast.For | ast.AsyncFor) -> None:
        known = items(self.value(node.iter))
        if known is not None and is_constant(known):
            for item in known:
                self.bind(node.target, item)
                self.block(node.body)
        else:
            self.computed(node.iter)
            self._repeat(node, node.target)
        self.block(node.orelse)

    def _repeat(self, node: ast.stmt, target: ast.expr | None = None) -> None:
        for name in bound_in(node):
            self.env[name] = HOLE, node.lineno
        if target is not None:
            self.bind(target, HOLE)
        self.under(When.ALWAYS, getattr(node, "body", []))

    def _while(self, node: ast.While) -> None:
        self.value(node.test)
        self._repeat(node)

    def _with(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            self.value(item.context_expr)
            if item.optional_vars is not None:
                self.bind(item.optional_vars, HOLE)
        self.under(When.ALWAYS, node.body)

    def _try(self, node: ast.Try | ast.TryStar) -> None:
        self.under(When.ALWAYS, node.body)
        for handler in node.handlers:
            self.under(When.CHOSEN, handler.body)
        self.under(When.ALWAYS, node.orelse)
        self.under(When.ALWAYS, node.finalbody)

    def _return(self, node: ast.Return) -> None:
        if node.value is not None:
            self.returns.append((self.value(node.value), self.when, node.lineno))

    def _class(self, node: ast.ClassDef) -> None:
        plain = [each for each in node.body if not isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
        self.under(When.ALWAYS, plain)
        bound = [name for name in bound_in(node) if name.startswith("self.")]
        times = Counter(bound)
        for assigned in ast.walk(node):
            name = dotted(assigned.targets[0]) if isinstance(assigned, ast.Assign) else None
            if name is None or name not in times or not isinstance(assigned, ast.Assign):
                continue
            # What is set in several places is open: which came last is not followed.
            value = self.value(assigned.value) if times[name] == 1 else HOLE
            self.env[name] = value, assigned.lineno

    _STATEMENTS: ClassVar[dict[type[ast.stmt], Callable[[Any, Any], None]]] = {
        ast.Expr: _expression,
        ast.Assign: _assign,
        ast.AnnAssign: _annotated,
        ast.AugAssign: _augmented,
        ast.If: _if,
        ast.Match: _match,
        ast.For: _for,
        ast.AsyncFor: _for,
        ast.While: _while,
        ast.With: _with,
        ast.AsyncWith: _with,
        ast.Try: _try,
        ast.TryStar: _try,
        ast.Return: _return,
        ast.ClassDef: _class,
    }
