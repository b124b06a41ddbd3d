"""What SQL shows, told from the select lists: constants that no table and no function stands behind."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from engramia.core.adversarial.values import HOLE, Hole, Reading, Shown, merged

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)|(?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<string>[EeNn]?'(?:[^']|'')*'?|\$\$.*?(?:\$\$|\Z))
    |(?P<quoted>"(?:[^"]|"")*"?|`[^`]*`?|\[[A-Za-z_ ]+\])
    |(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)
    |(?P<name>[@:\#\\]?[^\W\d][\w$]*)
    |(?P<mark>::|\|\||<>|!=|<=|>=|.)""",
    re.VERBOSE | re.DOTALL,
)
_COMBINES: Final = {"union", "intersect", "except", "minus"}
_CLAUSES: Final = {
    "from",
    "where",
    "group",
    "having",
    "order",
    "limit",
    "offset",
    "fetch",
    "window",
    "into",
    "for",
}
_COMPUTES: Final = {"where", "group", "having", "join", "window"}
_ADVERBS: Final = {"distinct", "all", "top"}
_CONSTANTS: Final = {"true", "false", "null"}
_CASTS: Final = {
    "cast",
    "convert",
    "try_cast",
    "to_char",
    "round",
    "concat",
    "concat_ws",
    "coalesce",
    "format",
    "printf",
}
_LINE_BREAKS: Final = {"chr", "char"}
_MOST_STATEMENTS: Final = 5_000
_DEEPEST: Final = 30

type Cells = tuple[str | Hole, ...]
type Rows = list[tuple[Cells, int]]


class Token(NamedTuple):
    """One token: `kind` is string, quoted, number, name or mark; names are in lower case."""

    kind: str
    text: str
    line: int


def read(code: str) -> Reading:
    """Return what the statements of `code` show."""
    shown: list[Shown] = []
    works = False
    for statement in _statements(_tokens(code))[:_MOST_STATEMENTS]:
        reader = _Statement(statement)
        for cells, line in reader.rows():
            shown.append(Shown(_row(cells), line))
        works = works or reader.works
    return Reading(tuple(shown), works)


def _row(cells: Cells) -> tuple[str | Hole, ...]:
    """Return a row's pieces; beside computed cells a single constant is a label of them, or a parameter."""
    known = [cell for cell in cells if isinstance(cell, str)]
    lone = len(known) < len(cells) and not any("." in cell or len(cell.split()) > 1 for cell in known)
    if lone and len([cell for cell in known if cell[:1].isdigit()]) <= 1:
        return (HOLE,)
    spaced: list[str | Hole] = []
    for cell in cells:
        spaced += [" | ", cell] if spaced else [cell]
    return merged(spaced)


def _tokens(code: str) -> list[Token]:
    found: list[Token] = []
    line = 1
    for match in _TOKEN.finditer(code):
        kind, text = str(match.lastgroup), match[0]
        if kind not in {"space", "comment"}:
            found.append(Token(kind, text.lower() if kind == "name" else text, line))
        line += text.count("\n")
    return found


def _statements(found: Sequence[Token]) -> list[list[Token]]:
    statements: list[list[Token]] = [[]]
    for token in found:
        if token.text == ";" and token.kind == "mark":
            statements.append([])
        else:
            statements[-1].append(token)
    return [each for each in statements if each]


def _split(found: Sequence[Token], separators: set[str]) -> list[list[Token]]:
    """Return the parts of `found` between separators outside of parentheses."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in found:
        if token.kind == "mark":
            depth += (token.text == "(") - (token.text == ")")
        if depth == 0 and token.kind in {"mark", "name"} and token.text in separators:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _group(found: Sequence[Token], at: int) -> tuple[list[Token], int]:
    """Return what stands in the parentheses that open at `at`, and the index behind them."""
    depth = 0
    for index in range(at, len(found)):
        if found[index].kind == "mark":
            depth += (found[index].text == "(") - (found[index].text == ")")
        if depth == 0:
            return list(found[at + 1 : index]), index + 1
    return list(found[at + 1 :]), len(found)


class _Statement:
    """One statement; `tables` are the common table expressions that consist of constants."""

    def __init__(
        self, found: Sequence[Token], tables: dict[str, Rows | None] | None = None, depth: int = 0
    ) -> None:
        self.found, self.depth = list(found), depth
        self.tables = tables if tables is not None else {}
        self.works = False

    def rows(self) -> Rows:
        """Return the rows of constants, whole or with holes, that the statement shows."""
        if self.depth > _DEEPEST or not self.found:
            return []
        self._with()
        first = self.found[0].text if self.found else ""
        if first in {"print", "\\echo", "raise"}:
            cells = [self._cell([each]) for each in self.found if each.kind == "string"]
            return [((*cells,), self.found[0].line)] if cells else []
        if first not in {"select", "values", "("}:
            self.works = self.works or first not in {"set", "use", "begin", "commit", "\\pset", ""}
            return []
        found: Rows = []
        for core in _split(self.found, _COMBINES):
            found += self._core([each for each in core if not (core[0] is each and each.text in _ADVERBS)])
        return found

    def _with(self) -> None:
        """Take the leading `WITH` clause off, noting which of its tables are constants."""
        if self.found[0].text != "with":
            return
        at = 1
        while at < len(self.found) and self.found[at].text not in {"select", "insert", "update", "delete"}:
            token = self.found[at]
            if token.text == "(" and at > 1 and self.found[at - 1].text in {"as", "materialized"}:
                inside, at = _group(self.found, at)
                self._table(self._name_before(at, inside), inside)
            elif token.text == "(":
                _, at = _group(self.found, at)
            else:
                at += 1
        self.found = self.found[at:]

    def _name_before(self, at: int, inside: Sequence[Token]) -> str:
        """Return the name of the table whose body `inside` ends at `at`."""
        index = at - len(inside) - 3
        while index > 0 and self.found[index].text in {"as", "materialized", "not"}:
            index -= 1
        if self.found[index].text == ")":
            while index > 0 and self.found[index].text != "(":
                index -= 1
            index -= 1
        return self.found[index].text.strip('"`[]').lower()

    def _table(self, name: str, inside: Sequence[Token]) -> None:
        inner = _Statement(inside, self.tables, self.depth + 1)
        rows = inner.rows()
        constant = (
            bool(rows)
            and not inner.works
            and all(isinstance(cell, str) for cells, _ in rows for cell in cells)
        )
        self.tables[name] = rows if constant else None
        self.works = self.works or inner.works

    def _core(self, core: Sequence[Token]) -> Rows:
        if not core:
            return []
        if core[0].text == "values":
            return self._values(core[1:])
        if core[0].text == "(":
            inner = _Statement(_group(core, 0)[0], self.tables, self.depth + 1)
            rows = inner.rows()
            self.works = self.works or inner.works
            return rows
        return self._select(core[1:])

    def _values(self, found: Sequence[Token]) -> Rows:
        rows: Rows = []
        for part in _split(found, {","}):
            if part and part[0].text == "(":
                inside, _ = _group(part, 0)
                rows.append((tuple(self._cell(each) for each in _split(inside, {","})), part[0].line))
        return rows

    def _select(self, found: Sequence[Token]) -> Rows:
        clauses = _split(found, _CLAUSES)
        names = [token.text for token in _outside(found)]
        source = clauses[1] if "from" in names and len(clauses) > 1 else []
        items = _split([each for each in clauses[0] if each.text not in _ADVERBS], {","})
        inherited = self._source(source) if source else None
        if inherited is not None and not set(names) & _COMPUTES and _plain(items):
            return inherited
        self.works = self.works or bool(source)
        line = found[0].line if found else 1
        return [(tuple(self._cell(each) for each in items), line)]

    def _source(self, source: Sequence[Token]) -> Rows | None:
        """Return the constant rows that a `FROM` clause reads, None if it reads anything else."""
        if any(token.text in {"join", ","} for token in _outside(source)):
            return None
        if source[0].text == "(":
            inner = _Statement(_group(source, 0)[0], self.tables, self.depth + 1)
            rows = inner.rows()
            return None if inner.works or any(cell is HOLE for cells, _ in rows for cell in cells) else rows
        return self.tables.get(source[0].text.strip('"`[]').lower())

    def _cell(self, item: Sequence[Token]) -> str | Hole:
        """Return the text of a constant select item, a hole for anything computed."""
        body = _without_alias(item)
        if len(body) == 2 and body[0].text == "-" and body[1].kind == "number":  # noqa: PLR2004 - sign and number
            return "-" + body[1].text
        if "||" in {each.text for each in body}:
            return self._concatenated(_split(body, {"||"}))
        if len(body) > 1 and body[1].text == "(" and body[0].text in _CASTS | _LINE_BREAKS:
            return self._call(body)
        if len(body) != 1:
            return HOLE
        token = body[0]
        if token.kind == "string":
            return token.text.lstrip("EeNn").strip("$").strip("'").replace("''", "'")
        return token.text if token.kind == "number" or token.text in _CONSTANTS else HOLE

    def _call(self, body: Sequence[Token]) -> str | Hole:
        inside, _ = _group(body, 1)
        if body[0].text in _LINE_BREAKS:
            return "\n" if inside and inside[0].text == "10" else HOLE
        parts = _split(inside, {",", "as"})
        if body[0].text in {"concat", "concat_ws"}:
            return self._concatenated(parts)
        return self._cell(parts[0])

    def _concatenated(self, parts: Sequence[Sequence[Token]]) -> str | Hole:
        cells = [self._cell(each) for each in parts]
        return "".join(each for each in cells if isinstance(each, str)) if HOLE not in cells else HOLE


def _outside(found: Sequence[Token]) -> list[Token]:
    """Return the tokens outside of parentheses."""
    depth, kept = 0, []
    for token in found:
        if token.kind == "mark":
            depth += (token.text == "(") - (token.text == ")")
        if depth == 0:
            kept.append(token)
    return kept


def _plain(items: Sequence[Sequence[Token]]) -> bool:
    """Return whether a select list takes columns as they are."""
    return all(
        all(each.kind in {"name", "quoted"} or each.text in {"*", "."} for each in _without_alias(item))
        for item in items
    )


def _without_alias(item: Sequence[Token]) -> list[Token]:
    """Return a select item without `AS name`, a bare alias and casts."""
    body = list(item)
    depth = 0
    for index, token in enumerate(body):
        depth += (token.text == "(") - (token.text == ")") if token.kind == "mark" else 0
        if depth == 0 and index and token.text in {"as", "::"}:
            body = body[:index]
            break
    if len(body) > 1 and body[-1].kind in {"name", "quoted"} and body[-2].kind in {"string", "number"}:
        return body[:-1]
    if (
        len(body) > 1
        and body[0].text in {"date", "timestamp", "interval", "numeric"}
        and body[1].kind == "string"
    ):
        return body[1:]
    return body
