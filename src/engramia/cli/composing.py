"""The commands `compose` and `evolve`: a task as stages, a prompt made better."""

from pathlib import Path
from typing import Annotated

import typer

from engramia.cli.asking import asking
from engramia.cli.command import command
from engramia.cli.reading import given_once
from engramia.cli.session import Session
from engramia.core import documents, limits


def compose(
    session: Session,
    *,
    task: Annotated[str, typer.Argument(metavar="TASK", help="What has to be done, in words.")],
    code: Annotated[bool, typer.Option("--code", help="Show the code found for each stage, too.")] = False,
) -> None:
    """Split a task into stages, each with its best pattern.

    A language model plans 2 to 4 stages; the memory finds a stored run for each and says how far to
    trust it. What one stage reads, an earlier one must write: where that contract is broken it is said,
    and the command still ends with 0.
    """
    with asking(session, "compose") as memory:
        found = memory.compose(task)
    session.terminal.answer(documents.pipeline_document(found))
    if session.json:
        return
    from engramia.cli.answers import pipeline_view

    if found.fallback:
        session.terminal.note(f"Notice: the task is left whole. {found.fallback}")
    session.terminal.out.print(pipeline_view(found, code=code))


def evolve(
    session: Session,
    *,
    role: Annotated[str, typer.Option("--role", help="Whose prompt it is, such as coder.")],
    stdin: Annotated[
        str | None, typer.Argument(metavar="-", help="'-' reads the prompt from standard input.")
    ] = None,
    prompt: Annotated[str | None, typer.Option("--prompt", help="The prompt as it is now.")] = None,
    prompt_file: Annotated[
        Path | None, typer.Option("--prompt-file", help="File with the prompt (UTF-8).")
    ] = None,
    issues: Annotated[
        int, typer.Option("--issues", "-n", help="How many recurring issues to address, 1 to 20.")
    ] = limits.ISSUES_DEFAULT,
) -> None:
    """Improve a prompt by what went wrong again and again.

    A language model proposes a prompt that addresses the most pressing issues; it is accepted only if
    it keeps every instruction, is at most twice as long, and copies no code, secret or task out of the
    feedback. Refused is an answer, too: then the prompt stays as it is and the reason is said. No file
    is changed.
    """
    current = given_once(prompt, prompt_file, stdin, field="prompt", max_chars=limits.PROMPT_MAX_CHARS)
    with asking(session, "evolve") as memory:
        found = memory.evolve_prompt(role, current, num_issues=issues)
    session.terminal.answer(documents.evolution_document(found))
    if session.json:
        return
    from engramia.cli.answers import evolution_view, prompt_diff

    if found.accepted:
        session.terminal.out.print(prompt_diff(current, found.improved_prompt), soft_wrap=True)
    session.terminal.out.print(evolution_view(found))


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    command(
        app,
        "compose",
        examples=(
            'engramia compose "Fetch stock prices, analyze the trend, write a report"',
            'engramia compose "Fetch stock prices, write a report" --code',
        ),
    )(compose)
    command(
        app,
        "evolve",
        examples=(
            "engramia evolve --role coder --prompt-file coder.md",
            "engramia evolve --role coder --issues 3 - < coder.md",
            "engramia evolve --role coder --prompt-file coder.md --json | jq -r .improved_prompt > new.md",
        ),
    )(evolve)
