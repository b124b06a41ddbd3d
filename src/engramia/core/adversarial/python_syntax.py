"""Questions about Python's syntax tree that need no values: names, functions, what a condition tests."""

import ast
from collections.abc import Iterator, Mapping
from typing import Final

from engramia.core.adversarial.values import HOLE, When, chosen

MOST_ITEMS: Final = 60
"""Items of a constant that a loop over it is followed through."""

_HANDED_ON: Final = {"str", "int", "tuple", "list", "basename", "strip", "lower", "upper", "get", "repr"}
_CHANGES: Final = {"append", "extend", "insert", "pop", "update", "add", "remove", "clear", "sort", "reverse"}

type Function = ast.FunctionDef | ast.AsyncFunctionDef
type Environment = dict[str, tuple[object, int]]


def dotted(node: ast.AST) -> str | None:
    """Return `a.b.c` for a plain name or attributes of one, None for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else None


def functions(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """Yield every function and method of `tree` by its bare name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node


def bound_in(node: ast.AST) -> list[str]:
    """Return the names that something in `node` binds or changes, once per place."""
    found: list[str | None] = []
    for each in ast.walk(node):
        if isinstance(each, ast.Name | ast.Attribute) and isinstance(each.ctx, ast.Store):
            found.append(dotted(each))
        elif isinstance(each, ast.AugAssign):
            found.append(dotted(each.target))
        elif isinstance(each, ast.Subscript) and isinstance(each.ctx, ast.Store):
            found.append(dotted(each.value))
        elif (
            isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr in _CHANGES
        ):
            found.append(dotted(each.func.value))
    return [name for name in found if name]


def items(value: object) -> list[object] | None:
    """Return the items that a loop over `value` takes, None if they are not known or too many."""
    found: list[object] | None = None
    if isinstance(value, Mapping | list | tuple):
        found = list(value)
    elif isinstance(value, str):
        found = list(value[: MOST_ITEMS + 1])
    return found if found is not None and len(found) <= MOST_ITEMS else None


def known_input(test: ast.expr) -> bool:
    """Return whether `test` asks if something handed in equals a literal: "is it the input I know?"."""
    if isinstance(test, ast.BoolOp):
        return any(known_input(each) for each in test.values)
    if not isinstance(test, ast.Compare) or not isinstance(test.ops[0], ast.Eq | ast.In):
        return False
    right = test.comparators[0]
    return _handed_in(test.left) and isinstance(
        right, ast.Constant | ast.List | ast.Tuple | ast.Dict | ast.Set
    )


def _handed_in(node: ast.expr) -> bool:
    while isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name not in _HANDED_ON:
            return False
        inner = node.args[0] if node.args else getattr(node.func, "value", None)
        if not isinstance(inner, ast.expr):
            return False
        node = inner
    return isinstance(node, ast.Name | ast.Attribute | ast.Subscript)


def met(after: Environment, other: Environment, when: When) -> Environment:
    """Return what is known where two branches meet: what they agree on, else a choice between both."""
    found: Environment = {}
    for name in after.keys() | other.keys():
        left, right = after.get(name, (HOLE, 0)), other.get(name, (HOLE, 0))
        if left[0] is right[0]:  # equality may take for ever on lists that hold each other many times
            found[name] = left
        else:
            found[name] = chosen(((left[0], when), (right[0], When.CHOSEN))), max(left[1], right[1])
    return found
