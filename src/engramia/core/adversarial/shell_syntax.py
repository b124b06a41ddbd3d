"""Shell commands put into a tree: just enough of the grammar to follow constants.

Source: POSIX.1-2024, Shell & Utilities, 2.10 Shell Grammar.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from engramia.core.adversarial.shell_tokens import Redirect, Token, Variable, Word
from engramia.core.adversarial.values import When

HELP: Final = re.compile(r"-h\b|--help|help|usage|version|\$#", re.IGNORECASE)
"""Words of a condition or a name that tell of help, usage or version."""

_DEEPEST: Final = 40  # compound commands in compound commands
_ENDS: Final = {"then", "else", "elif", "fi", "do", "done", "esac", "}", "in"}


@dataclass(slots=True)
class Command:
    """Words and redirects of a simple command."""

    words: list[Word] = field(default_factory=list)
    redirects: list[Redirect] = field(default_factory=list)


@dataclass(slots=True)
class Pipeline:
    """Commands joined by `|`; `after` is the operator that stands before it (`&&`, `||` or none)."""

    stages: list["Node"]
    after: str = ""


@dataclass(slots=True)
class Compound:
    """A compound command: `kind` is if, for, loop, case, function or group."""

    kind: str
    head: list[Word] = field(default_factory=list)
    branches: list[tuple[list[Pipeline], list[Pipeline]]] = field(default_factory=list)
    cases: list[tuple[list[Word], list[Pipeline]]] = field(default_factory=list)
    redirects: list[Redirect] = field(default_factory=list)


type Node = Command | Compound


class TooDeepError(ValueError):
    """The code nests deeper than anybody writes."""


class Parser:
    """Puts tokens into a tree."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens, self.at, self.depth = tokens, 0, 0

    def program(self) -> list[Pipeline]:
        """Return all pipelines; a closing word without an opening one is passed over."""
        found: list[Pipeline] = []
        while self.at < len(self.tokens):
            found += self._list()
            self.at += 1
        return found

    def _peek(self) -> Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def _keyword(self) -> str:
        token = self._peek()
        return token.literal if isinstance(token, Word) and token.fixed and not token.quoted else ""

    def _list(self) -> list[Pipeline]:
        """Return pipelines up to a closing keyword or parenthesis, which stays."""
        self.depth += 1
        if self.depth > _DEEPEST:
            raise TooDeepError
        found: list[Pipeline] = []
        after = ""
        while (here := self._peek()) is not None:
            if here in {")", ";;", ";&", ";;&"} or self._keyword() in _ENDS:
                break
            if isinstance(here, str) and here != "(":
                after = _joining(here, after)
                self.at += 1
                continue
            found.append(Pipeline(self._stages(), after))
            after = ""
        self.depth -= 1
        return found

    def _stages(self) -> list[Node]:
        stages = [self._node()]
        while self._peek() in {"|", "|&"}:
            self.at += 1
            while self._peek() == "\n":
                self.at += 1
            if self._peek() is not None:
                stages.append(self._node())
        return stages

    def _node(self) -> Node:
        keyword = self._keyword()
        if (
            keyword in {"if", "while", "until", "for", "select", "case", "{", "function"}
            or self._peek() == "("
        ):
            self.at += 1
            node = self._compound(keyword)
            while isinstance(token := self._peek(), Redirect):
                node.redirects.append(token)
                self.at += 1
            return node
        return self._simple()

    def _simple(self) -> Node:
        command = Command()
        while isinstance(token := self._peek(), Word | Redirect):
            self.at += 1
            if isinstance(token, Word):
                command.words.append(token)
            else:
                command.redirects.append(token)
        if len(command.words) == 1 and list(self.tokens[self.at : self.at + 2]) == ["(", ")"]:
            self.at += 2
            return self._function(command.words)
        if not command.words and not command.redirects:
            self.at += 1
        return command

    def _function(self, name: list[Word]) -> Compound:
        while self._peek() == "\n":
            self.at += 1
        body = [Pipeline([self._node()])] if self._peek() is not None else []
        return Compound("function", name, [([], body)])

    def _compound(self, keyword: str) -> Compound:
        if keyword == "if":
            return self._if()
        if keyword in {"while", "until"}:
            condition = self._until("do")
            return Compound("loop", branches=[(condition, self._until("done"))])
        if keyword in {"for", "select"}:
            head = self._head()
            return Compound("for", head, [(self._until("do"), self._until("done"))])
        if keyword == "case":
            return self._case()
        if keyword == "function":
            name = self._head()[:1]
            return self._function(name)
        return Compound("group", branches=[([], self._until("}" if keyword == "{" else ")"))])

    def _until(self, end: str) -> list[Pipeline]:
        found = self._list()
        if self._keyword() == end or self._peek() == end:
            self.at += 1
        return found

    def _head(self) -> list[Word]:
        """Return the words up to the end of the line or of the clause."""
        found: list[Word] = []
        while isinstance(token := self._peek(), Word) and self._keyword() not in {"do", "{"}:
            found.append(token)
            self.at += 1
        while self._peek() in {"(", ")"}:
            self.at += 1
        return found

    def _if(self) -> Compound:
        node = Compound("if", branches=[(self._until("then"), self._list())])
        while self._keyword() in {"elif", "else"}:
            last = self._keyword() == "else"
            self.at += 1
            node.branches.append(([] if last else self._until("then"), self._list()))
        self._until("fi")
        return node

    def _case(self) -> Compound:
        node = Compound("case", self._head())
        while self._peek() is not None and self._keyword() != "esac":
            patterns: list[Word] = []
            while (each := self._peek()) not in {None, ")"} and self._keyword() != "esac":
                if isinstance(each, Word):
                    patterns.append(each)
                self.at += 1
            self.at += self._peek() == ")"
            node.cases.append((patterns, self._list()))
            self.at += self._peek() in {";;", ";&", ";;&"}
        self.at += 1
        return node


def _joining(operator: str, before: str) -> str:
    """Return what joins the next command to the last one; a line may end behind `&&`."""
    if operator in {"&&", "||"}:
        return operator
    return before if operator == "\n" else ""


def is_test(pipeline: Pipeline) -> bool:
    first = pipeline.stages[0]
    name = first.words[0].literal if isinstance(first, Command) and first.words else ""
    return name in {"[", "[[", "test"} or name.startswith("((")


def reason_of(condition: Sequence[Pipeline]) -> When:
    """Return KEYED for "is this variable that literal?", CHOSEN for any other condition."""
    for pipeline in condition:
        words = pipeline.stages[0].words if isinstance(pipeline.stages[0], Command) else []
        texts = [word.literal for word in words]
        for number in range(1, len(words) - 1):
            named = any(isinstance(part, Variable) for part in words[number - 1].parts)
            if texts[number] in {"=", "==", "-eq"} and named and words[number + 1].fixed:
                return When.KEYED
    return When.CHOSEN


def asks_for_help(condition: Sequence[Pipeline]) -> bool:
    words = [
        word
        for pipeline in condition
        for stage in pipeline.stages
        if isinstance(stage, Command)
        for word in stage.words
    ]
    return any(
        HELP.search(word.literal) or any(isinstance(p, Variable) and p.name == "#" for p in word.parts)
        for word in words
    )
