"""The reference of all commands as Markdown, made from their help: `python -m engramia.cli.reference`."""

from collections.abc import Iterator
from typing import Any

import typer
from typer.main import get_command

from engramia.cli.app import app
from engramia.cli.exit_codes import MEANINGS

WIDTH = 100

_HEAD = """# The command line

This page is made from the commands' own help: `python -m engramia.cli.reference > docs/cli.md`.

People get tables, programs get `--json`: one JSON document on stdout and nothing else. With it an error
is `{"error": code, "detail": sentence}` on stdout, too; without it a sentence on stderr. Progress and
notices go to stderr, and only to a terminal; colours follow `NO_COLOR`. The global options (`--data-
path`, `--tenant`, `--project`, `--json`, `--traceback`) are taken before and after the command.

## Exit codes

| code | meaning |
| ---: | --- |
"""


def reference() -> str:
    """Return the whole page."""
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in MEANINGS.items())
    return f"{_HEAD}{codes}\n" + "\n".join(_sections())


def _sections() -> Iterator[str]:
    root = get_command(app)
    context = typer.Context(root, info_name="engramia", terminal_width=WIDTH)
    for name, command in _below(root).items():
        inner = typer.Context(command, info_name=name, parent=context, terminal_width=WIDTH)
        yield _section(inner)
        for below, leaf in _below(command).items():
            yield _section(typer.Context(leaf, info_name=below, parent=inner, terminal_width=WIDTH))


def _below(command: object) -> dict[str, Any]:
    """Return the commands of a group by name; a command that is none has none."""
    return getattr(command, "commands", {})


def _section(context: typer.Context) -> str:
    text = "\n".join(line.rstrip() for line in context.command.get_help(context).splitlines())
    return f"## {context.command_path}\n\n```text\n{text.strip()}\n```\n"


if __name__ == "__main__":
    typer.echo(reference(), nl=False)
