"""Commands on what is known about patterns: skills, feedback, failures."""

from typing import Annotated

import typer

from engramia.cli.command import command
from engramia.cli.patterns import Key, Offset, full_key, say_next
from engramia.cli.session import Session
from engramia.core import documents, limits


def register_skills(
    session: Session,
    *,
    key: Key,
    skills: Annotated[
        list[str] | None, typer.Argument(metavar="[SKILL]...", help="The tags; none clears them.")
    ] = None,
) -> None:
    """Put tags on a pattern, in place of those it has."""
    with session.memory() as memory:
        registered = memory.register_skills(full_key(key), skills or [])
    session.terminal.answer({"registered": list(registered)})
    session.terminal.say(f"Skills of {full_key(key)}: {', '.join(registered) or 'none'}.")


def search_skills(
    session: Session,
    *,
    skills: Annotated[list[str], typer.Argument(metavar="SKILL...", help="Tags to look for.")],
    match_all: Annotated[bool, typer.Option("--all", help="Only patterns that have every tag.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", "-n", help="Most patterns to return, 1 to 50.")
    ] = limits.RECALL_LIMIT_DEFAULT,
    offset: Offset = 0,
) -> None:
    """Find patterns by their tags, best score first."""
    with session.memory() as memory:
        found = memory.find_by_skills(skills, match_all=match_all, limit=limit, offset=offset)
    if session.json:
        session.terminal.answer(documents.recall_document(found))
        return
    if not found:
        session.terminal.say("No pattern has these skills.")
        return
    from engramia.cli import tables

    session.terminal.out.print(tables.patterns_table(match.pattern for match in found))
    say_next(session, found.next_offset)


def feedback(
    session: Session,
    *,
    task_type: Annotated[
        str | None, typer.Option("--task-type", help="Only issues whose task or text has this.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="Most issues to return.")] = 5,
    offset: Offset = 0,
    decay: Annotated[
        bool, typer.Option("--decay", help="Let old issues fade, and prune those that did.")
    ] = False,
) -> None:
    """Show recurring quality issues.

    Those said at least twice, most pressing first.
    """
    with session.memory() as memory:
        if decay:
            pruned = memory.run_feedback_decay()
            session.terminal.answer({"pruned": pruned})
            session.terminal.say(f"Faded and pruned: {pruned}.")
            return
        page = memory.get_feedback(task_type=task_type, limit=limit, offset=offset)
    if session.json:
        session.terminal.answer(documents.feedback_document(page))
        return
    if not len(page):
        session.terminal.say(
            "No issue was said twice yet. `engramia refine KEY SCORE --feedback TEXT` records one."
        )
        return
    from engramia.cli import tables

    session.terminal.out.print(tables.feedback_table(page))
    say_next(session, page.next_offset)


def analyze_failures(
    session: Session,
    *,
    min_count: Annotated[int, typer.Option("--min-count", help="Least times a failure was seen.")] = 1,
) -> None:
    """Group failures by kind, most frequent first."""
    with session.memory() as memory:
        clusters = memory.analyze_failures(min_count=min_count)
    if session.json:
        session.terminal.answer(documents.clusters_document(clusters))
        return
    if not clusters:
        session.terminal.say("No failures are recorded.")
        return
    from engramia.cli import tables

    session.terminal.out.print(tables.clusters_table(clusters))


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    skills = typer.Typer(rich_markup_mode=None, help="Tag patterns, and find them by tag.")
    command(skills, "register", examples=("engramia skills register 01k… python csv",))(register_skills)
    command(skills, "search", examples=("engramia skills search python csv --all",))(search_skills)
    app.add_typer(skills, name="skills")
    command(
        app,
        "feedback",
        examples=("engramia feedback", "engramia feedback --task-type csv", "engramia feedback --decay"),
    )(feedback)
    command(app, "analyze-failures", examples=("engramia analyze-failures --min-count 2",))(analyze_failures)
