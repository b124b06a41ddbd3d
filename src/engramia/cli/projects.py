"""The commands for projects in the database: list, limit."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engramia.cli.accounting import log_lines, operator
from engramia.cli.command import block, command
from engramia.cli.session import Session
from engramia.cli.terminal import counted
from engramia.core import limits
from engramia.core.model import Scope
from engramia.errors import ValidationError

if TYPE_CHECKING:
    from engramia.server.tenancy.model import RegisteredProject
    from engramia.server.tenancy.service import ProjectService

NONE = "none"
_DIGITS = 20
"""Of a number that are looked at: more than any limit has."""

_Id = Annotated[str, typer.Argument(metavar="PROJECT", help="Id of a project of --tenant.")]
_Most = Annotated[
    str, typer.Argument(metavar="MAX_PATTERNS", help=f"At least 1, or '{NONE}' for any number.")
]
_Limit = Annotated[int, typer.Option(min=1, max=limits.LIST_LIMIT_MAX, help="Most projects.")]
_Offset = Annotated[int, typer.Option(min=0, max=limits.OFFSET_MAX, help="Projects to pass over.")]


def list_projects(session: Session, limit: _Limit = 100, offset: _Offset = 0) -> None:
    """List the projects of --tenant that were made by keys, tokens or limits, with their limits."""
    with _service(session) as service:
        page = service.list(Scope(session.settings.tenant).tenant_id, limit=limit, offset=offset)
    projects = list(page)
    document = {
        "projects": [_document(project) for project in projects],
        "has_more": page.has_more,
        "next_offset": page.next_offset,
    }
    session.terminal.answer(document, lambda: _table(projects) if projects else None)
    if not projects:
        session.terminal.say(
            "No projects in this tenant. `engramia keys create NAME --project ID` makes one."
        )
    elif page.has_more:
        session.terminal.say(f"There are more: --offset {page.next_offset}")


def limit_project(session: Session, id: _Id, max_patterns: _Most) -> None:
    """Say how many patterns a project may hold.

    It holds for what is stored by keys that say nothing else, and by an identity provider's tokens. What is
    there already stays. Every server knows within a second.
    """
    most = _number(max_patterns)
    scope = Scope(session.settings.tenant, id)
    with _service(session) as service:
        service.limit(scope, most, actor=operator())
    session.terminal.answer({"project_id": id, "max_patterns": most})
    may = "any number of patterns" if most is None else f"at most {counted(most, 'pattern')}"
    session.terminal.say(f"The project {id} may hold {may}.")


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    group = typer.Typer(
        help="Projects in the database (ENGRAMIA_DATABASE_URL), as its operator.",
        epilog=block("Examples:", "  engramia projects list", "  engramia projects limit billing 5000"),
        rich_markup_mode=None,
    )
    command(
        group, "list", examples=("engramia projects list", "engramia projects list --tenant acme --json")
    )(list_projects)
    command(
        group,
        "limit",
        examples=(
            "engramia projects limit billing 5000",
            "engramia projects limit billing none --tenant acme",
        ),
    )(limit_project)
    app.add_typer(group, name="projects")


@contextmanager
def _service(session: Session) -> "Iterator[ProjectService]":
    from engramia.bootstrap import SystemClock, database_from, projects_in
    from engramia.server.audit.trail import AuditTrail
    from engramia.telemetry.audit import audit

    log_lines(session.settings)
    database, clock = database_from(session.settings), SystemClock()
    try:
        service = projects_in(database, session.settings, clock, AuditTrail(clock, audit, None).tell)
        service.check()
        yield service
    finally:
        database.dispose()


def _number(text: str) -> int | None:
    from engramia.server.tenancy.model import MAX_PATTERNS_MAX

    if text == NONE:
        return None
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:_DIGITS]) <= MAX_PATTERNS_MAX):
        raise ValidationError(
            f"MAX_PATTERNS must be 1 to {MAX_PATTERNS_MAX:,}, or '{NONE}'; got {text[:40]!r}.",
            field="max_patterns",
        )
    return int(text)


def _document(project: "RegisteredProject") -> dict[str, Any]:
    from engramia.core.record_format import format_time

    return {
        "project_id": project.id,
        "max_patterns": project.max_patterns,
        "created_at": format_time(project.created_at),
    }


def _table(projects: "Sequence[RegisteredProject]") -> Any:
    from engramia.cli.tables import table

    drawn = table("Project", "Most patterns", "Made", right=("Most patterns",))
    for project in projects:
        most = "any number" if project.max_patterns is None else f"{project.max_patterns:,}"
        drawn.add_row(project.id, most, f"{project.created_at:%Y-%m-%d %H:%M}")
    return drawn
