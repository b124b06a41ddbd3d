"""Shell code cut into words, operators and redirects.

Source: POSIX.1-2024, Shell & Utilities, 2.3 Token Recognition.
"""

import re
from dataclasses import dataclass
from typing import Final

_OPERATOR: Final = re.compile(r";;&?|;&|&&|\|\||\|&|\(\(|[;&|()\n]")
_REDIRECT: Final = re.compile(r"(\d*)(&>>?|<<<|<<-?|>>|>&|>\||<&|<>|>|<)")
_NAME: Final = re.compile(r"[A-Za-z_]\w*|[0-9@*#?$!-]")
_PLAIN: Final = re.compile(r"[^\s;&|()<>'\"\\$`]+")
_IN_QUOTES: Final = re.compile(r'[^"\\$`]+')
_ESCAPE: Final = re.compile(r"\\([abefnrtv\\'\"?]|x[0-9A-Fa-f]{1,2}|u[0-9A-Fa-f]{1,4}|[0-7]{1,3})")
_SIMPLE_ESCAPES: Final = {
    "a": "\a",
    "b": "\b",
    "e": "\x1b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}


@dataclass(frozen=True, slots=True)
class Variable:
    """`$name` or `${name}`."""

    name: str


@dataclass(frozen=True, slots=True)
class Substitution:
    """`$(code)`; `computes` for arithmetic and for expansions that change the value."""

    code: str
    computes: bool = False


type Part = str | Variable | Substitution


@dataclass(slots=True, eq=False)
class Word:
    """Parts of one word, and the line it stands in."""

    parts: list[Part]
    line: int
    quoted: bool = False

    @property
    def literal(self) -> str:
        """Return the word's own characters."""
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def fixed(self) -> bool:
        """Return whether nothing is expanded in the word."""
        return all(isinstance(part, str) for part in self.parts)


@dataclass(slots=True, eq=False)
class Redirect:
    """`descriptor operator target`; of a here-document `target` is its text."""

    descriptor: str
    operator: str
    target: Word


type Token = Word | Redirect | str


def unescaped(text: str) -> str:
    """Return `text` with the backslash escapes that `printf` and `$'...'` know replaced."""
    return _ESCAPE.sub(_character, text)


def _character(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] in "xu":
        return chr(int(code[1:], 16))
    return chr(int(code, 8)) if code[0].isdigit() else _SIMPLE_ESCAPES.get(code, code)


class Lexer:
    """Cuts shell code into tokens, in one pass."""

    def __init__(self, code: str) -> None:
        self.code, self.at, self.line = code, 0, 1
        self.tokens: list[Token] = []
        self.waiting: list[tuple[Redirect, bool]] = []

    def run(self) -> list[Token]:
        """Return all tokens; whatever cannot be read is passed over."""
        while self.at < len(self.code):
            self._token()
        return self.tokens

    def _token(self) -> None:
        code, at = self.code, self.at
        if code[at] in " \t\r" or code.startswith("\\\n", at):
            self._advance(2 if code[at] == "\\" else 1)
        elif code[at] == "#":
            end = code.find("\n", at)
            self.at = len(code) if end < 0 else end
        elif redirect := _REDIRECT.match(code, at):
            self._redirect(redirect)
        elif code.startswith("((", at) and "))" in code[at : at + 500]:
            self._advance(code.index("))", at) + 2 - at)
            self.tokens.append(Word(["((", Substitution(code[at : self.at], computes=True)], self.line))
        elif operator := _OPERATOR.match(code, at):
            self._advance(len(operator[0]))
            self.tokens.append(operator[0])
            if operator[0] == "\n":
                self._documents()
        else:
            self.tokens.append(self._word())

    def _advance(self, length: int) -> str:
        text = self.code[self.at : self.at + length]
        self.line += text.count("\n")
        self.at += max(length, 1)
        return text

    def _redirect(self, match: re.Match[str]) -> None:
        self._advance(len(match[0]))
        while self.code.startswith((" ", "\t"), self.at):
            self.at += 1
        word = self._word()
        redirect = Redirect(match[1], match[2], word)
        self.tokens.append(redirect)
        if match[2].startswith("<<") and match[2] != "<<<":
            self.waiting.append((redirect, word.quoted))

    def _documents(self) -> None:
        """Read the here-documents that begin after this line's end."""
        for redirect, quoted in self.waiting:
            end = re.compile(rf"^[\t]*{re.escape(redirect.target.literal)}[ \t]*$", re.MULTILINE)
            found = end.search(self.code, self.at)
            stop = found.start() if found else len(self.code)
            text, line = self.code[self.at : stop], self.line
            if redirect.operator == "<<-":
                text = re.sub(r"^\t+", "", text, flags=re.MULTILINE)
            redirect.target = Word([text] if quoted else _expanded(text), line)
            self._advance((found.end() if found else stop) - self.at)
        self.waiting = []

    def _word(self) -> Word:
        word, start = Word([], self.line), self.at
        while self.at < len(self.code) and self.code[self.at] not in " \t\r\n;&|()<>":
            self._piece(word)
        if self.at == start:
            self.at += self.at < len(self.code) and self.code[self.at] != "\n"
        return word

    def _piece(self, word: Word) -> None:
        code, first = self.code, self.code[self.at]
        if first == "'":
            word.quoted = True
            word.parts.append(self._until("'"))
        elif first == '"':
            word.quoted = True
            self._double(word)
        elif code.startswith("$'", self.at):
            self.at += 1
            word.parts.append(unescaped(self._until("'")))
        elif first == "\\":
            text = self._advance(2)[1:]
            word.parts.append("" if text == "\n" else text)
        elif first in "$`":
            word.parts.append(self._expansion())
        elif plain := _PLAIN.match(code, self.at):
            word.parts.append(self._advance(len(plain[0])))
        else:
            self._advance(1)

    def _until(self, quote: str) -> str:
        """Return what stands between the character at hand and `quote`, and pass both."""
        start, end = self.at + 1, self.code.find(quote, self.at + 1)
        end = len(self.code) if end < 0 else end
        self._advance(end + 1 - self.at)
        return self.code[start:end]

    def _double(self, word: Word) -> None:
        self.at += 1
        word.parts.append("")
        while self.at < len(self.code) and self.code[self.at] != '"':
            if plain := _IN_QUOTES.match(self.code, self.at):
                word.parts.append(self._advance(len(plain[0])))
            elif self.code[self.at] == "\\":
                pair = self._advance(2)
                word.parts.append(
                    pair[1:] if pair[1:] in {'"', "\\", "$", "`"} else "" if pair[1:] == "\n" else pair
                )
            else:
                word.parts.append(self._expansion())
        self.at += 1

    def _expansion(self) -> Part:
        code, at = self.code, self.at
        if code[at] == "`":
            return Substitution(self._until("`"))
        if code.startswith("$((", at):
            return Substitution(self._balanced(1), computes=True)
        if code.startswith("$(", at):
            return Substitution(self._balanced(1)[1:-1])
        if code.startswith("${", at):
            inside = self._until("}")[1:]
            return Variable(inside) if _NAME.fullmatch(inside) else Substitution(inside, computes=True)
        if name := _NAME.match(code, at + 1):
            return Variable(self._advance(1 + len(name[0]))[1:])
        return self._advance(1)

    def _balanced(self, skip: int) -> str:
        """Return the parenthesised text that begins `skip` characters ahead, aware of quotes in it."""
        depth, at, quote = 0, self.at + skip, ""
        while at < len(self.code):
            here = self.code[at]
            if quote:
                quote = "" if here == quote else quote
            elif here in "'\"":
                quote = here
            depth += (here == "(") - (here == ")") if not quote else 0
            at += 2 if here == "\\" else 1
            if depth == 0:
                break
        return self._advance(at - self.at)[skip:]


def _expanded(text: str) -> list[Part]:
    """Return the parts of a here-document whose delimiter is not quoted."""
    lexer, word = Lexer('"' + text.replace('"', '\\"') + '"'), Word([], 1)
    lexer._double(word)  # noqa: SLF001 - the class's own text in another shape
    return word.parts
