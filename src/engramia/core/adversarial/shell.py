"""What a shell script shows, told by following constants through its commands."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from engramia.core.adversarial.shell_syntax import (
    HELP,
    Command,
    Compound,
    Node,
    Parser,
    Pipeline,
    TooDeepError,
    asks_for_help,
    is_test,
    reason_of,
)
from engramia.core.adversarial.shell_tokens import Lexer, Redirect, Substitution, Variable, Word, unescaped
from engramia.core.adversarial.values import (
    HOLE,
    Reading,
    Shown,
    When,
    as_text,
    decoded,
    is_text,
    options,
    render,
    text_of,
)

_STEPS: Final = 20_000  # commands looked at, loops over constants unrolled
_DEEPEST: Final = 6  # substitutions in substitutions
_MOST_WORDS: Final = 60  # words of a `for` that its body is followed through
_ASSIGNMENT: Final = re.compile(r"([A-Za-z_]\w*)(\+?)=")
_DIRECTIVE: Final = re.compile(r"%([-+ 0#]*\d{0,3}(?:\.\d{1,2})?)([sdifgeucxXqb%])")
_DECLARES: Final = {"export", "local", "readonly", "declare", "typeset"}
_IDLE: Final = {
    ":",
    "true",
    "false",
    "set",
    "sleep",
    "exit",
    "cd",
    "shift",
    "return",
    "trap",
    "wait",
    "shopt",
    "unset",
}
_HANDS_ON: Final = {"cat", "tee", "column", "nl", "fold", "tail", "head", "less", "more"}
_RUNS: Final = {"python": "python", "python3": "python", "node": "javascript", "bash": "bash", "sh": "bash"}
_ASKS: Final = {"psql": "sql", "sqlite3": "sql", "mysql": "sql", "duckdb": "sql"}
_NESTED_OPTIONS: Final = {"-c", "-e", "-lc", "-p"}

type Nested = Callable[[str, str], Reading | None]


def read(code: str, nested: Nested | None = None) -> Reading:
    """Return what the script `code` shows; `nested(language, code)` reads programs that it starts."""
    inputs: set[tuple[str, int]] = set()
    try:
        tree = Parser(Lexer(code).run()).program()
        _Reader(inputs, nested).program(tree)
        return _Reader(inputs, nested, blind=True).program(tree)
    except TooDeepError:
        return Reading((), works=True)


class _Reader:
    """One walk over a script; `sink` takes what the commands at hand write to their standard output."""

    def __init__(self, inputs: set[tuple[str, int]], nested: Nested | None, *, blind: bool = False) -> None:
        self.inputs, self.nested, self.blind = inputs, nested, blind
        self.env: dict[str, tuple[object, int]] = {}
        self.files: dict[str, object] = {}
        self.sink: list[Shown] = []
        self.works = self.fed = False
        self.when = When.ALWAYS
        self.looping = self.steps = self.depth = 0

    def program(self, tree: Sequence[Pipeline]) -> Reading:
        """Read all pipelines."""
        self._list(tree)
        return Reading(tuple(self.sink), self.works)

    def _list(self, body: Sequence[Pipeline]) -> None:
        tested: When | None = None
        for pipeline in body:
            self.steps += 1
            if self.steps > _STEPS:
                return
            before = self.when
            if pipeline.after:
                self.when = max(
                    self.when, tested if tested is not None and pipeline.after == "&&" else When.CHOSEN
                )
                # A command that ran well before `&&` decides nothing about what is shown.
                self.when = before if pipeline.after == "&&" and tested is None else self.when
            self._pipeline(pipeline)
            self.when = before
            tested = reason_of([pipeline]) if is_test(pipeline) else None

    def _pipeline(self, pipeline: Pipeline) -> None:
        if len(pipeline.stages) == 1:
            self._node(pipeline.stages[0])
            return
        saved, self.sink = self.sink, []
        self._node(pipeline.stages[0])
        for stage in pipeline.stages[1:]:
            fed, self.sink = self.sink, []
            self._fed(stage, fed)
        if self.fed:
            self._feeds(pipeline.stages)
        saved.extend(self.sink)
        self.sink = saved

    def _feeds(self, stages: Sequence[Node]) -> None:
        """Note that what the stages of a computing pipeline print is its input."""
        self.fed = False
        for stage in stages:
            for word in stage.words if isinstance(stage, Command) else []:
                for part in word.parts:
                    if isinstance(part, Variable):
                        self._input(part.name)

    def _fed(self, stage: Node, fed: list[Shown]) -> None:
        """Read a command with `fed` on its standard input."""
        name = self._name(stage)
        value = text_of([piece for each in fed for piece in each.pieces])
        line = fed[0].line if fed else 0
        arguments = {word.literal for word in stage.words} if isinstance(stage, Command) else set()
        if name == "base64" and arguments & {"-d", "-D", "--decode"}:
            self._emit(as_text(decoded("base64", value)), line)
        elif name == "xxd" and any(each.startswith("-r") for each in arguments):
            self._emit(as_text(decoded("hex", value)), line)
        elif name in _HANDS_ON and isinstance(stage, Command):
            for each in fed:
                self._emit(text_of(each.pieces), each.line, each.when)
            self._redirect(stage.redirects, 0)
        elif name in {*_RUNS, *_ASKS} and isinstance(value, str) and len(arguments) <= 2:  # noqa: PLR2004 - a name and "-"
            self._start({**_RUNS, **_ASKS}[name], value, line)
        else:
            self._node(stage)
            self.works = True
            self.fed = True

    def _name(self, node: Node) -> str:
        return node.words[0].literal if isinstance(node, Command) and node.words else ""

    def _node(self, node: Node) -> None:
        start, redirects = len(self.sink), node.redirects
        if isinstance(node, Command):
            self._command(node)
        else:
            self._compound(node)
        self._redirect(redirects, start)

    def _redirect(self, redirects: Sequence[Redirect], start: int) -> None:
        """Send what was written since `start` to where the redirects say."""
        for redirect in redirects:
            if not redirect.operator.startswith((">", "&>")) or redirect.descriptor == "2":
                continue
            written = [piece for each in self.sink[start:] for piece in (*each.pieces, "\n")]
            del self.sink[start:]
            name = redirect.target.literal
            before = [self.files.get(name, "")] if redirect.operator.startswith(">>") else []
            self.files[name] = text_of([*before, text_of(written)])

    def _compound(self, node: Compound) -> None:
        {
            "if": self._if,
            "for": self._for,
            "loop": self._loop,
            "case": self._case,
            "function": self._function,
            "group": self._group,
        }[node.kind](node)

    def _under(self, when: When, body: Sequence[Pipeline]) -> None:
        before, self.when = self.when, max(self.when, when)
        self._list(body)
        self.when = before

    def _if(self, node: Compound) -> None:
        for condition, body in node.branches:
            saved, self.sink = self.sink, []
            self._list(condition)
            self.sink = saved
            if not asks_for_help(condition):
                self._under(reason_of(condition) if condition else When.CHOSEN, body)

    def _for(self, node: Compound) -> None:
        condition, body = node.branches[0]
        words = node.head[2:]
        values = [self._value(word) for word in words]
        fixed = (
            len(node.head) > 1
            and all(isinstance(each, str) for each in values)
            and len(values) <= _MOST_WORDS
        )
        self._list(condition)
        if not fixed or not node.head or any("{" in each.literal or "*" in each.literal for each in words):
            self._loop(node)
            return
        items = [part for word, each in zip(words, values, strict=True) for part in _split(word, str(each))]
        for item in items[:_MOST_WORDS]:
            self.env[node.head[0].literal] = item, node.head[0].line
            self._list(body)

    def _loop(self, node: Compound) -> None:
        self.works = True
        if node.kind == "for" and node.head:
            self.env[node.head[0].literal] = HOLE, node.head[0].line
        self.looping += 1
        for part in node.branches[0]:
            self._list(part)
        self.looping -= 1

    def _case(self, node: Compound) -> None:
        keyed = bool(node.head) and not node.head[0].fixed
        for patterns, body in node.cases:
            text = " ".join(each.literal for each in patterns)
            if not HELP.search(text):
                self._under(When.KEYED if keyed and not set(text) & set("*?[") else When.CHOSEN, body)

    def _function(self, node: Compound) -> None:
        if node.head and not HELP.search(node.head[0].literal):
            self._under(When.ALWAYS, node.branches[0][1])

    def _group(self, node: Compound) -> None:
        self._list(node.branches[0][1])

    def _command(self, command: Command) -> None:
        words = list(command.words)
        while words and (match := _ASSIGNMENT.match(words[0].literal)) and isinstance(words[0].parts[0], str):
            self._assign(words.pop(0), match)
        if not words:
            return
        name = words[0].literal
        if name in {"echo", "printf"}:
            (self._echo if name == "echo" else self._printf)(words[1:], words[0].line)
        elif name in {"cat", "tee"}:
            self._cat(words[1:], command.redirects, words[0].line)
        elif name in _DECLARES:
            self._declare(words[1:])
        elif name not in _IDLE:
            self._other(name, words, command.redirects)

    def _declare(self, words: Sequence[Word]) -> None:
        for word in words:
            if match := _ASSIGNMENT.match(word.literal):
                self._assign(word, match)

    def _assign(self, word: Word, match: re.Match[str]) -> None:
        first = word.parts[0]
        rest = Word([str(first)[match.end() :], *word.parts[1:]], word.line)
        value = self._value(rest)
        if match[2]:
            value = text_of([self.env.get(match[1], ("", 0))[0], value])
        self.env[match[1]] = (HOLE if self.looping and not isinstance(value, str) else value), word.line

    def _emit(self, value: object, line: int, when: When = When.ALWAYS) -> None:
        for option, reason in options(value, max(when, self.when)):
            self.sink.append(Shown(render(option), line, reason))
            self.steps += self.sink[-1].length // 100

    def _echo(self, words: Sequence[Word], line: int) -> None:
        values: list[object] = []
        escapes = False
        for word in words:
            if not values and word.fixed and re.fullmatch(r"-[neE]+", word.literal):
                escapes = escapes or "e" in word.literal
                continue
            values += [" ", self._value(word)] if values else [self._value(word)]
        whole = text_of(values)
        self._emit(unescaped(whole) if escapes and isinstance(whole, str) else whole, line)

    def _printf(self, words: Sequence[Word], line: int) -> None:
        values = [self._value(word) for word in words if word.literal != "--"]
        if not values or not isinstance(values[0], str):
            self._emit(text_of(values), line)
            return
        template, waiting = unescaped(values[0]), values[1:]
        while True:
            left = len(waiting)
            self._emit(_printed(template, waiting), line)
            if not waiting or len(waiting) == left:
                return

    def _cat(self, words: Sequence[Word], redirects: Sequence[Redirect], line: int) -> None:
        for redirect in redirects:
            if redirect.operator.startswith("<<"):
                self._emit(self._value(redirect.target), redirect.target.line)
        for word in words:
            if word.literal.startswith("-"):
                continue
            value = self.files.get(word.literal, HOLE)
            self.works = self.works or value is HOLE
            self._emit(value, line)

    def _other(self, name: str, words: Sequence[Word], redirects: Sequence[Redirect]) -> None:
        code = self._nested_code(name, words[1:], redirects)
        language = {**_RUNS, **_ASKS, "eval": "bash"}.get(name)
        if language is not None and code is not None:
            self._start(language, code, words[0].line)
            return
        self.works = True
        for word in words[1:]:
            self._used(word)
        if name not in {"[", "[[", "test", "mkdir", "rm", "touch", "chmod", "read", "source", "."}:
            self._emit(HOLE, words[0].line)

    def _nested_code(self, name: str, words: Sequence[Word], redirects: Sequence[Redirect]) -> str | None:
        """Return the program that an interpreter is handed on its command line or its standard input."""
        candidates = [each.target for each in redirects if each.operator.startswith("<<")]
        for number, word in enumerate(words[:-1]):
            if word.literal in _NESTED_OPTIONS:
                candidates.append(words[number + 1])
        if name in _ASKS and name != "psql" and len(words) > 1:
            candidates.append(words[-1])
        if name == "eval" and words:
            candidates.append(words[0])
        value = self._value(candidates[0]) if candidates else HOLE
        return value if isinstance(value, str) else None

    def _start(self, language: str, code: str, line: int) -> None:
        inner = self.nested(language, code) if self.nested and self.depth < _DEEPEST else None
        if inner is None:
            self.works = True
            self._emit(HOLE, line)
            return
        self.works = self.works or inner.works
        for each in inner.shown:
            self.sink.append(Shown(each.pieces, line, max(each.when, self.when)))

    def _value(self, word: Word) -> object:
        return text_of([part if isinstance(part, str) else self._expand(part) for part in word.parts])

    def _expand(self, part: Variable | Substitution) -> object:
        if isinstance(part, Variable):
            value, line = self.env.get(part.name, (HOLE, 0))
            return HOLE if self.blind and (part.name, line) in self.inputs else value
        if part.computes:
            self.works = True
            for name in re.findall(r"[A-Za-z_]\w*", part.code):
                self._input(name)
            return HOLE
        return self._substituted(part.code)

    def _substituted(self, code: str) -> object:
        if self.depth >= _DEEPEST:
            return HOLE
        saved, self.sink = self.sink, []
        self.depth += 1
        self._list(Parser(Lexer(code).run()).program())
        self.depth -= 1
        found, self.sink = self.sink, saved
        value = text_of([piece for each in found for piece in each.pieces]) if found else HOLE
        return value if is_text(value) else HOLE

    def _used(self, word: Word) -> None:
        for part in word.parts:
            if isinstance(part, Variable):
                self._input(part.name)
            elif isinstance(part, Substitution):
                self._expand(part)

    def _input(self, name: str) -> None:
        if name in self.env:
            self.inputs.add((name, self.env[name][1]))


def _split(word: Word, value: str) -> list[str]:
    return [value] if word.quoted else value.split()


def _printed(template: str, waiting: list[object]) -> object:
    """Return one round of `printf`, taking its arguments off `waiting`."""
    pieces: list[object] = []
    end = 0
    for match in _DIRECTIVE.finditer(template):
        pieces.append(template[end : match.start()])
        end = match.end()
        if match[2] == "%":
            pieces.append("%")
        else:
            pieces.append(waiting.pop(0) if waiting else "")
    return text_of([*pieces, template[end:]])
