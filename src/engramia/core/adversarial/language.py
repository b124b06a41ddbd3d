"""Which language a piece of code is in, told from its text."""

import re
from typing import Final

_SAMPLE: Final = 20_000  # characters from which the language is told
_FENCE: Final = re.compile(r"\A\s*```[^\n]*\n(.*?)(?:\n```\s*)?\Z", re.DOTALL)
_COMMENTS: Final = re.compile(r"\A(?:\s|--[^\n]*|/\*.*?\*/|#[^\n]*)+", re.DOTALL)
_SQL: Final = re.compile(
    r"(?:select|with\s+(?:recursive\s+)?\w+|insert\s+into|create\s+(?:or|temp|table|view|index|unique)|update\s+\w+\s+set"
    r"|delete\s+from|drop\s+\w+|values\s*\(|print\s+'|begin\s*;|pragma|explain|alter\s+table|truncate|\\echo|do\s+\$\$"
    r"|set\s+\w+\s*(?:=|to)\s|use\s+\w+\s*;)",
    re.IGNORECASE,
)
_SCRIPT: Final = re.compile(
    r"console\.\w+[ ]?\(|process\.stdout|\b(?:const|let|var)[ ]+[\w${\[]+[^\n=]{0,200}="
    r"|=>\s*[{(`'\"\w]|\bfunction\b[ *]{0,3}\w*[ ]?\(|\brequire\s*\(|\bmodule\.exports\b"
    r"|^[ \t]*export\s+(?:default|const|function)|^[ \t]*import\s+[\w{*].{0,200}\bfrom\s+['\"]",
    re.MULTILINE,
)
_PYTHON: Final = re.compile(
    r"^[ \t]*(?:def|class|elif|from\s+\S+\s+import|import\s+\w+|async\s+def|try:|@\w"
    r"|(?:with|if|while|for) .{1,200}:$)"
    r"|\bprint\s*\(|^[ \t]*return\b",
    re.MULTILINE,
)
_SHELL: Final = re.compile(r"^[ \t]*(?:fi|done|then|esac|echo\b.*|printf\s+['\"].*)\s*$", re.MULTILINE)
_SHEBANG: Final = re.compile(
    r"\A\s*#!\S*?(?:/|\s)(?:env\s+)?(bash|sh|zsh|ksh|dash|python[\d.]*|node|deno|bun)\b"
)


_INTERPRETERS: Final = {"python": "python", "node": "javascript", "deno": "javascript", "bun": "javascript"}


def unfenced(code: str) -> str:
    """Return `code` without the Markdown fence that a model likes to put around it."""
    match = _FENCE.match(code) if code.lstrip().startswith("```") else None
    return match[1] if match else code


def guesses(code: str) -> list[str]:
    """Return the languages to try, most likely first: python, javascript, sql, bash."""
    code = code[:_SAMPLE]
    if shebang := _SHEBANG.match(code[:200]):
        return [_INTERPRETERS.get(shebang[1].rstrip("0123456789."), "bash")]
    comments = _COMMENTS.match(code)
    body = code[comments.end() :] if comments else code
    if _SQL.match(body):
        return ["sql"]
    if _SCRIPT.search(code) and not _SHELL.search(code):
        # A text inside Python may look like a script; whether it parses decides.
        return ["python", "javascript"] if _PYTHON.search(code) else ["javascript", "python"]
    if _PYTHON.search(code) and not _SHELL.search(code):
        return ["python", "bash"]
    return (
        ["python", "bash"]
        if re.match(r"\s*[\w.]+\s*=\s", code) or "(" in body.split("\n", 1)[0]
        else ["bash", "python"]
    )
