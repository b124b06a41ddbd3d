"""Whose rows a statement can touch, as its text alone says: read with the parser of Postgres itself."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pglast import ast, parse_sql
from pglast.enums import A_Expr_Kind, BoolExprType

_TENANT = "tenant_id"
_ENTRY = re.compile(r"^(?P<who>[^|\n]*)\|(?P<kind>LOG|DETAIL):  (?P<text>.*(?:\n\t.*)*)", re.MULTILINE)
_SENT = re.compile(r"(?:statement|execute [^:]*): ((?:.|\n)*)")
_PARAMETER = re.compile(r"\$(\d+) = (NULL|'(?:[^']|'')*')")


@dataclass(frozen=True)
class Sent:
    """A message to the server: statements, and the values of their parameters by number."""

    sql: str
    values: Mapping[int, str]


def read_log(log: Path, who: str) -> Iterator[Sent]:
    """Yield what an application sent, from a log with the prefix `%a|` that tells every statement."""
    sent: str | None = None
    values: dict[int, str] = {}
    for entry in _ENTRY.finditer(log.read_text(errors="replace")):
        if entry["who"] != who:
            continue
        if entry["kind"] == "DETAIL":
            values = {int(number): value for number, value in _PARAMETER.findall(entry["text"])}
        elif found := _SENT.fullmatch(entry["text"]):
            if sent is not None:
                yield Sent(sent, values)
            sent, values = " ".join(found[1].split()), {}
    if sent is not None:
        yield Sent(sent, values)


@dataclass(eq=False)
class _Reference:
    """A table where a statement names it, and what its `tenant_id` was found to equal."""

    table: str
    values: set[str] = field(default_factory=set)
    same_as: "list[_Reference]" = field(default_factory=list)

    def tenants(self) -> set[str]:
        """Return the values that its `tenant_id` has, its own or those of what it is joined to by it."""
        seen: set[int] = set()
        waiting, found = [self], set[str]()
        while waiting:
            one = waiting.pop()
            if id(one) not in seen:
                seen.add(id(one))
                found |= one.values
                waiting += one.same_as
        return found


@dataclass
class _Level:
    """One SELECT or the like: what its names stand for."""

    names: dict[str, _Reference] = field(default_factory=dict)
    outer: "_Level | None" = None

    def find(self, column: Any) -> _Reference | None:
        """Return the table whose `tenant_id` a node is; None if it is anything else."""
        parts = [getattr(part, "sval", None) for part in column.fields] if _is(column, ast.ColumnRef) else []
        if not parts or parts[-1] != _TENANT:
            return None
        if len(parts) == 1:
            return next(iter(self.names.values())) if len(self.names) == 1 else None
        name = str(parts[-2])
        return self.names.get(name) or (self.outer.find(column) if self.outer else None)


class Statement:
    """One statement, read; `references` are the distributed tables that it names, as often as it does."""

    def __init__(self, node: Any, values: Mapping[int, str], distributed: frozenset[str]) -> None:
        self._values, self._distributed = values, distributed
        self._common: set[str] = set()
        self.references: list[_Reference] = []
        self._enter(node, None)

    @property
    def tables(self) -> set[str]:
        return {reference.table for reference in self.references}

    def fault(self) -> str | None:
        """Return why the statement is not one tenant's; None if it is."""
        free = [reference.table for reference in self.references if not reference.tenants()]
        if free:
            return f"tenant_id of {', '.join(free)} is not given"
        tenants = set[str]().union(*(reference.tenants() for reference in self.references))
        return f"more than one tenant: {sorted(tenants)}" if len(tenants) > 1 else None

    def _enter(self, node: Any, outer: _Level | None) -> None:
        """Read one SELECT, INSERT, UPDATE or DELETE with everything in it."""
        level = _Level(outer=outer)
        if not _is(node, ast.SelectStmt | ast.InsertStmt | ast.UpdateStmt | ast.DeleteStmt):
            return
        self._enter_beside(node, outer)
        quals = list(self._tables(node, level))
        for qual in (*quals, getattr(node, "whereClause", None)):
            self._restrict(qual, level)
        for part in _parts(node):
            self._look_inside(part, level)
        for qual in quals:
            self._look_inside(qual, level)
        if _is(node, ast.InsertStmt):
            self._insert(node, level)

    def _enter_beside(self, node: Any, outer: _Level | None) -> None:
        """Read what goes before a statement by WITH, and the sides of a UNION."""
        clause = getattr(node, "withClause", None)
        for table in clause.ctes if clause else ():
            self._common.add(table.ctename)
            self._enter(table.ctequery, outer)
        for side in (getattr(node, "larg", None), getattr(node, "rarg", None)):
            if side is not None:
                self._enter(side, outer)

    def _tables(self, node: Any, level: _Level) -> Iterator[Any]:
        """Note the tables of a statement; yield the conditions of its joins."""
        target = getattr(node, "relation", None)
        sources = [*(getattr(node, "fromClause", None) or ()), *(getattr(node, "usingClause", None) or ())]
        for item in ([target] if target is not None else []) + sources:
            yield from self._source(item, level)

    def _source(self, item: Any, level: _Level) -> Iterator[Any]:
        if _is(item, ast.JoinExpr):
            yield from self._source(item.larg, level)
            yield from self._source(item.rarg, level)
            if item.quals is not None:
                yield item.quals
        elif _is(item, ast.RangeVar):
            if item.relname in self._distributed and item.relname not in self._common:
                reference = _Reference(item.relname)
                self.references.append(reference)
                level.names[item.alias.aliasname if item.alias else item.relname] = reference
        elif _is(item, ast.RangeSubselect):
            self._enter(item.subquery, level)
        else:
            self._look_inside(item, level)

    def _restrict(self, qual: Any, level: _Level) -> None:
        """Take in what a condition says of any `tenant_id`, where all of it must hold."""
        if _is(qual, ast.BoolExpr) and qual.boolop == BoolExprType.AND_EXPR:
            for part in qual.args:
                self._restrict(part, level)
        elif _is(qual, ast.A_Expr) and qual.kind == A_Expr_Kind.AEXPR_OP and qual.name[-1].sval == "=":
            left, right = _bare(qual.lexpr), _bare(qual.rexpr)
            for one, other in ((left, right), (right, left)):
                reference, like = level.find(one), level.find(other)
                if reference is not None and like is not None:
                    reference.same_as.append(like)
                elif reference is not None and (value := self._value(other)) is not None:
                    reference.values.add(value)

    def _insert(self, node: Any, level: _Level) -> None:
        """Take in whose rows are inserted: one value in every row, or a column that is known."""
        columns = [column.name for column in node.cols or ()]
        reference = level.names.get(
            node.relation.alias.aliasname if node.relation.alias else node.relation.relname
        )
        if reference is None or _TENANT not in columns:
            return
        place, select = columns.index(_TENANT), node.selectStmt
        rows = select.valuesLists or [[target.val for target in select.targetList]]
        given = [self._value(_bare(row[place])) for row in rows]
        if None not in given:
            reference.values.update(value for value in given if value is not None)

    def _value(self, node: Any) -> str | None:
        if _is(node, ast.ParamRef):
            return self._values.get(node.number)
        if _is(node, ast.A_Const) and _is(node.val, ast.String):
            return f"'{node.val.sval}'"
        return None

    def _look_inside(self, node: Any, level: _Level) -> None:
        """Read the queries within an expression."""
        if _is(node, ast.SubLink):
            self._enter(node.subselect, level)
            self._look_inside(node.testexpr, level)
        elif _is(node, ast.SelectStmt):
            self._enter(node, level)
        elif _is(node, ast.Node):
            for name in node:
                self._look_inside(getattr(node, name), level)
        elif isinstance(node, tuple | list):
            for part in node:
                self._look_inside(part, level)


def statements(sent: Sent, distributed: frozenset[str]) -> Iterator[tuple[str, Statement]]:
    """Yield each statement of a message, with its text."""
    for raw in parse_sql(sent.sql):
        begin = raw.stmt_location or 0
        text = sent.sql.encode()[begin : begin + raw.stmt_len if raw.stmt_len else None].decode().strip()
        yield text, Statement(raw.stmt, sent.values, distributed)


def _parts(node: Any) -> Sequence[Any]:
    """Return the parts of a statement in which a query may hide, but for its tables."""
    names = ("targetList", "whereClause", "havingClause", "groupClause", "sortClause", "returningList")
    more = ("valuesLists", "limitCount", "limitOffset", "onConflictClause", "selectStmt")
    return [getattr(node, name, None) for name in (*names, *more)]


def _bare(node: Any) -> Any:
    """Return what a cast or a collation is of."""
    while _is(node, ast.TypeCast | ast.CollateClause):
        node = node.arg
    return node


def _is(node: Any, kind: Any) -> bool:
    return isinstance(node, kind)
