"""What the product's documents show: commands, answers and programs, read out of their text."""

import ast
import json
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_HEADING = re.compile(r"¶$|^(?:GET|POST|PUT|PATCH|DELETE) /\S+$")
_ANSWER = re.compile(r"^(?:Expected r|R)esponse(?: \((\d+)\))?:$")
_SAID_IN_COMMENT = re.compile(r"^# (?:Response: )?(\{.*\})$")
_PROGRAM = "Python example:"


@dataclass
class Example:
    """A curl command of a document, where it stands, and the answers that are shown for it."""

    name: str
    arguments: list[str]
    shown: list[Any] = field(default_factory=list)

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self._after("-X") or ("POST" if self._after("-d") else "GET")

    @property
    def url(self) -> str:
        """The address as it is printed."""
        return next(each for each in self.arguments[1:] if "/v1/" in each)

    @property
    def path(self) -> str:
        """The address from `/v1` on, without its query."""
        return self.url[self.url.index("/v1/") :].partition("?")[0]

    @property
    def headers(self) -> dict[str, str]:
        """The headers, by names in lower case."""
        pairs = zip(self.arguments, self.arguments[1:], strict=False)
        parts = [value.partition(":") for option, value in pairs if option == "-H"]
        return {name.strip().lower(): value.strip() for name, _, value in parts}

    @property
    def body(self) -> Any:
        """The decoded JSON that is sent, None if there is none."""
        said = self._after("-d")
        return None if said is None else json.loads(said)

    def _after(self, option: str) -> str | None:
        if option not in self.arguments:
            return None
        return self.arguments[self.arguments.index(option) + 1]


@dataclass
class Program:
    """A piece of Python in a document, indented again, and what is said to be printed by it."""

    name: str
    source: str

    @property
    def printed(self) -> list[Any]:
        """The JSON that comments show."""
        found = (_SAID_IN_COMMENT.match(line) for line in self.source.splitlines())
        return [json.loads(each[1]) for each in found if each]


@dataclass(frozen=True)
class Endpoint:
    """An endpoint that a document lists, and who may call it, as the table says; empty where it does not."""

    method: str
    path: str
    auth: str


def examples(document: Path) -> list[Example]:
    """Return the curl commands of a document in order.

    A JSON in a comment below a command is its answer; one after the word for it is that of the first command
    under the same heading.
    """
    lines = document.read_text(encoding="utf-8").splitlines()
    found: list[Example] = []
    heading, first = document.stem, 0
    place = 0
    while place < len(lines):
        line = lines[place]
        if _HEADING.search(line):
            heading, first = line.rstrip("¶"), len(found)
        elif line.startswith("curl ") and not line.endswith(":"):
            arguments, place = _command(lines, place)
            found.append(Example(f"{document.stem}: {heading}: {len(found) - first + 1}", arguments))
        elif (said := _SAID_IN_COMMENT.match(line)) and len(found) > first:
            # Below a program it is what the command above the program is answered, too.
            found[first if lines[place - 1].startswith("print(") else -1].shown.append(json.loads(said[1]))
        elif _ANSWER.match(line) and len(found) > first and lines[place + 1].startswith("{"):
            found[first].shown.append(first_json(lines[place + 1 :]))
        place += 1
    return found


def programs(document: Path) -> list[Program]:
    """Return the pieces of Python that use `requests` or the client, in order."""
    lines = document.read_text(encoding="utf-8").splitlines()
    starts = [place + 1 for place, line in enumerate(lines) if line == _PROGRAM]
    starts += [
        place
        for place, line in enumerate(lines)
        if line.startswith(("from engramia.sdk.webhook import", "import requests"))
        and lines[place - 1] != _PROGRAM
    ]
    return [Program(f"line {start + 1}", _longest(lines[start:])) for start in sorted(starts)]


def shown_with(document: Path, field_name: str) -> dict[str, Any]:
    """Return the first JSON object of a document that begins on a line of its own and has a field."""
    lines = document.read_text(encoding="utf-8").splitlines()
    for place, line in enumerate(lines):
        found = first_json(lines[place:]) if line.startswith("{") else None
        if isinstance(found, dict) and field_name in found:
            return found
    raise LookupError(field_name)


def raw_answers(document: Path) -> Iterator[tuple[int, dict[str, str], dict[str, Any]]]:
    """Yield the answers that a document shows as HTTP: status, headers, body."""
    lines = document.read_text(encoding="utf-8").splitlines()
    for place, line in enumerate(lines):
        if found := re.match(r"HTTP/1\.1 (\d{3}) ", line):
            end = next(each for each in range(place, len(lines)) if lines[each].startswith("{"))
            parts = [each.partition(": ") for each in lines[place + 1 : end]]
            yield int(found[1]), {name: value for name, _, value in parts}, first_json(lines[end:])


def endpoints(document: Path) -> list[Endpoint]:
    """Return the endpoints that a document lists, in its table or as headings."""
    text = document.read_text(encoding="utf-8")
    method = "GET|POST|PUT|PATCH|DELETE"
    rows = re.finditer(rf"^\| ({method}) \| (\S+) \|\s*([^|\n]+?) \|", text, re.MULTILINE)
    headings = re.finditer(rf"^({method}) (/\S+)()$", text, re.MULTILINE)
    found = (Endpoint(each[1], each[2].partition("?")[0], each[3]) for each in (*rows, *headings))
    return list(dict.fromkeys(found))


def first_json(lines: Sequence[str]) -> Any:
    """Return the JSON value with which the lines begin, None if they begin with something else."""
    try:
        return json.JSONDecoder().raw_decode("\n".join(lines))[0]
    except json.JSONDecodeError:
        return None


def _command(lines: Sequence[str], start: int) -> tuple[list[str], int]:
    """Return the arguments of the command that begins at `start`, and the place of its last line."""
    for end in range(start, len(lines)):
        text = "\n".join(lines[start : end + 1])
        if text.endswith("\\"):
            continue
        try:
            return shlex.split(text.replace("\\\n", " ")), end
        except ValueError:
            # A quotation is open: it goes on.
            continue
    raise AssertionError(f"The command in line {start + 1} does not end.")


def _longest(lines: Sequence[str]) -> str:
    """Return as many of the lines as are Python; the body of a loop, set flush in the text, is indented."""
    best = ""
    kept: list[str] = []
    for line in lines:
        if "¶" in line:
            break
        inside = bool(kept) and kept[-1].startswith(("for ", "with ")) and kept[-1].endswith(":")
        kept.append(f"    {line}" if inside else line)
        try:
            ast.parse("\n".join(kept))
        except SyntaxError:
            continue
        best = "\n".join(kept)
    return best
