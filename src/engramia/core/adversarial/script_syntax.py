"""JavaScript cut into tokens, with the brackets paired: enough to follow constants through expressions.

Source: ECMA-262, 12 Lexical Grammar; where a slash begins a regular expression is guessed from the token
before.
"""

import re
from typing import Final, NamedTuple

_TOKEN: Final = re.compile(
    r"""(?P<space>[^\S\n]+)|(?P<line>\n)
    |(?P<comment>//[^\n]*|/\*(?s:.*?)(?:\*/|\Z)|\A\#![^\n]*)
    |(?P<string>"(?:[^"\\\n]|\\(?s:.))*"?|'(?:[^'\\\n]|\\(?s:.))*'?)
    |(?P<number>(?:0[xX][\da-fA-F_]+|0[bB][01_]+|(?:\d[\d_]*\.?[\d_]*|\.\d+)(?:[eE][+-]?\d+)?)n?)
    |(?P<name>[A-Za-z_$\#@][\w$]*|[^\W\d]\w*)
    |(?P<mark>=>|\.\.\.|\?\.(?!\d)|\?\?=?|===|!==|==|!=|<=|>=|&&=?|\|\|=?|\*\*=?
        |\+\+|--|[-+*/%&|^]=|<<|>>>?|.)""",
    re.VERBOSE,
)
_EXPRESSION: Final = re.compile(r"/(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*")
_ESCAPE: Final = re.compile(r"\\(u\{[0-9a-fA-F]{1,6}\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|\n|.)", re.DOTALL)
_SIMPLE: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": ""}
_OPENING: Final = {"(": ")", "[": "]", "{": "}"}
_BEFORE_EXPRESSION: Final = {"return", "typeof", "case", "in", "of", "=>"}
_LAST_CODE_POINT: Final = 0x10FFFF


class Token(NamedTuple):
    """One token; `kind` is string, template, number, name, mark or regex; `fresh`: it begins a line."""

    kind: str
    text: str
    line: int
    fresh: bool


def unescaped(text: str) -> str:
    """Return `text` with JavaScript's escapes replaced."""
    return _ESCAPE.sub(_character, text)


def _character(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] in "ux" and len(code) > 1:
        number = int(code[1:].strip("{}"), 16)
        return chr(number) if number <= _LAST_CODE_POINT else ""
    return _SIMPLE.get(code, code)


def tokens(code: str) -> list[Token]:
    """Return the tokens of `code` without spaces and comments."""
    found: list[Token] = []
    at, line, fresh = 0, 1, True
    while at < len(code):
        kind, text = _next(code, at, found)
        if kind == "line" or (kind == "comment" and "\n" in text):
            fresh = True
        elif kind not in {"space", "comment"}:
            found.append(Token(kind, text, line, fresh))
            fresh = False
        line += text.count("\n")
        at += len(text)
    return found


def _next(code: str, at: int, before: list[Token]) -> tuple[str, str]:
    if code[at] == "`":
        return "template", code[at : _template_end(code, at)]
    match = _TOKEN.match(code, at)
    if match is None:
        return "space", code[at]
    if match[0] in {"/", "/="} and (not before or _expects_value(before[-1])):
        expression = _EXPRESSION.match(code, at)
        return ("regex", expression[0]) if expression else ("mark", "/")
    return str(match.lastgroup), match[0]


def _expects_value(token: Token) -> bool:
    return token.text in _BEFORE_EXPRESSION or (token.kind == "mark" and token.text not in {")", "]", "}"})


def _template_end(code: str, at: int) -> int:
    """Return the end of the template that begins at `at`; `${}` may hold further templates."""
    stack = ["`"]
    at += 1
    while at < len(code) and stack:
        here = code[at]
        if here == "\\":
            at += 1
        elif stack[-1] == "`" and here == "`":
            stack.pop()
        elif stack[-1] == "`":
            if code.startswith("${", at):
                stack.append("}")
                at += 1
        elif here in "{`":
            stack.append("`" if here == "`" else "}")
        elif here == "}":
            stack.pop()
        at += 1
    return at


def template_parts(text: str) -> list[tuple[str, bool]]:
    """Return the parts of a template's text, each with whether it is code."""
    found: list[tuple[str, bool]] = []
    body = text[1:].removesuffix("`")
    at = start = 0
    while at < len(body):
        if body[at] == "\\":
            at += 2
        elif body.startswith("${", at):
            found.append((unescaped(body[start:at]), False))
            end = _code_end(body, at + 2)
            found.append((body[at + 2 : end], True))
            at = start = end + 1
        else:
            at += 1
    return [*found, (unescaped(body[start:]), False)]


def _code_end(body: str, at: int) -> int:
    depth = 1
    while at < len(body):
        if body[at] == "`":
            at = _template_end(body, at)
            continue
        depth += (body[at] == "{") - (body[at] == "}")
        if depth == 0:
            break
        at += 1
    return at


def pairs(found: list[Token]) -> dict[int, int]:
    """Return for each opening bracket the index of its closing one; unclosed ones reach to the end."""
    matched: dict[int, int] = {}
    stack: list[int] = []
    for index, token in enumerate(found):
        if token.kind != "mark":
            continue
        if token.text in _OPENING:
            stack.append(index)
        elif stack and token.text == _OPENING[found[stack[-1]].text]:
            matched[stack.pop()] = index
    for index in stack:
        matched[index] = len(found)
    return matched
