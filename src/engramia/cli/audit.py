"""The commands for the audit trail in Postgres: list, verify."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engramia.cli.command import block, command
from engramia.cli.exit_codes import ExitCode
from engramia.cli.reading import text_from
from engramia.cli.session import Session
from engramia.cli.terminal import counted
from engramia.core import limits
from engramia.errors import ValidationError

if TYPE_CHECKING:
    from engramia.core.audit import AuditRow
    from engramia.core.audit_chain import ChainReport, Seal
    from engramia.db.audit_archive import AuditArchive

_ANCHOR = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")
_SECRET_MAX_CHARS = 10_000
_UNKEYED = "were written without ENGRAMIA_SECRET_KEY, as whoever may write to the tables could have."

_Event = Annotated[str | None, typer.Option(help="Only this event: key.created, auth.refused, …")]
_Actor = Annotated[str | None, typer.Option(help="Only acts of the key or person with this id.")]
_Moment = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="Only acts from this moment on (UTC)."),
]
_Limit = Annotated[int, typer.Option(min=1, max=limits.AUDIT_LIST_LIMIT_MAX, help="Most entries.")]
_Offset = Annotated[int, typer.Option(min=0, max=limits.OFFSET_MAX, help="Entries to pass over.")]
_Nobody = Annotated[
    bool, typer.Option("--nobody", help="The chain of refusals whose caller belongs to no known tenant.")
]
_All = Annotated[bool, typer.Option("--all", help="The chains of all tenants.")]
_Anchors = Annotated[
    list[str] | None,
    typer.Option(
        "--anchor", metavar="SEQ:HASH", help="seq and hash of an AUDIT line of the log; repeatable."
    ),
]
_OldSecrets = Annotated[
    list[Path] | None,
    typer.Option("--old-secret-file", help="File with an ENGRAMIA_SECRET_KEY that was in use; repeatable."),
]


def list_entries(
    session: Session,
    *,
    event: _Event = None,
    actor: _Actor = None,
    since: _Moment = None,
    limit: _Limit = 20,
    offset: _Offset = 0,
    nobody: _Nobody = False,
) -> None:
    """List what was done and refused in all projects of the tenant, newest first."""
    from engramia.core.audit import AuditQuery

    query = AuditQuery(event=event, actor=actor, since=since and since.replace(tzinfo=UTC))
    with _archive(session) as archive:
        page = archive.page(_chain(session, nobody=nobody), query, limit=limit, offset=offset)
    document = _page_document(list(page), has_more=page.has_more, next_offset=page.next_offset)
    session.terminal.answer(document, lambda: _table(list(page)) if page.items else None)
    if not page.items:
        session.terminal.say("Nothing is kept.")
    elif page.has_more:
        session.terminal.say(f"There are more: --offset {page.next_offset}")


def verify(
    session: Session,
    *,
    all_tenants: _All = False,
    nobody: _Nobody = False,
    anchor: _Anchors = None,
    old_secret_file: _OldSecrets = None,
) -> ExitCode:
    """Check that every row is as it was written, and name the first that is not."""
    if anchor and all_tenants:
        raise ValidationError("An anchor belongs to one tenant; give it without --all.", field="anchor")
    anchors, seals = _anchors(anchor or ()), _old_seals(old_secret_file or ())
    with _archive(session) as archive:
        tenants = archive.tenants() if all_tenants else [_chain(session, nobody=nobody)]
        reports = [_verified(session, archive, tenant, anchors, seals) for tenant in tenants]
    broken = any(report.fault for report in reports)
    session.terminal.answer({"ok": not broken, "chains": [_report_document(report) for report in reports]})
    for report in reports:
        for line in _told(report):
            session.terminal.say(line)
    if not reports:
        session.terminal.say("There are no chains yet.")
    return ExitCode.BROKEN_CHAIN if broken else ExitCode.OK


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    group = typer.Typer(
        help="The audit trail in Postgres (ENGRAMIA_DATABASE_URL): who did what, and whether that is all.",
        epilog=block(
            "Examples:", "  engramia audit list --event key.created", "  engramia audit verify --all"
        ),
        rich_markup_mode=None,
    )
    command(group, "list", examples=("engramia audit list", "engramia audit list --actor key_01k9… --json"))(
        list_entries
    )
    command(
        group,
        "verify",
        examples=("engramia audit verify --tenant acme", "engramia audit verify --anchor 12:5f0c…"),
    )(verify)
    app.add_typer(group, name="audit")


@contextmanager
def _archive(session: Session) -> "Iterator[AuditArchive]":
    from engramia.bootstrap import database_from, ledger_from
    from engramia.db.audit_archive import AuditArchive
    from engramia.db.schema import check_connection

    database = database_from(session.settings)
    try:
        with database.transaction("BEGIN READ ONLY") as (connection, _):
            check_connection(connection)
        yield AuditArchive(database, ledger_from(session.settings))
    finally:
        database.dispose()


def _chain(session: Session, *, nobody: bool) -> str:
    from engramia.core.audit import NOBODY

    return NOBODY if nobody else session.settings.tenant


def _verified(
    session: Session,
    archive: "AuditArchive",
    tenant: str,
    anchors: Mapping[int, str],
    seals: "Sequence[Seal]",
) -> "ChainReport":
    with session.terminal.progress(f"Checking {tenant}", None) as bar:
        return archive.verify(tenant, anchors=anchors, old_seals=seals, on_progress=bar)


def _anchors(given: Sequence[str]) -> dict[int, str]:
    found = [_ANCHOR.fullmatch(one) for one in given]
    if not all(found):
        raise ValidationError(
            "An anchor reads SEQ:HASH, a number and 64 hexadecimal digits, as in a line of the log.",
            field="anchor",
        )
    return {int(match[1]): match[2] for match in found if match}


def _old_seals(files: Sequence[Path]) -> "list[Seal]":
    from engramia.core.audit_chain import Seal

    texts = (text_from(file, field="old-secret-file", max_chars=_SECRET_MAX_CHARS) for file in files)
    return [Seal.of(text.strip()) for text in texts]


def _page_document(rows: "Sequence[AuditRow]", *, has_more: bool, next_offset: int | None) -> dict[str, Any]:
    from engramia.server.audit.schemas import row_document

    return {"entries": [row_document(row) for row in rows], "has_more": has_more, "next_offset": next_offset}


def _report_document(report: "ChainReport") -> dict[str, Any]:
    fault = report.fault
    return {
        "tenant": report.tenant_id,
        "rows": report.last.seq,
        "unkeyed": report.unkeyed,
        "last": {"seq": report.last.seq, "hash": report.last.hash} if report.last.seq else None,
        "first_bad": fault and {"seq": fault.seq, "reason": fault.reason, "detail": fault.detail},
    }


def _told(report: "ChainReport") -> Iterator[str]:
    name, rows, fault = report.tenant_id, counted(report.last.seq, "row"), report.fault
    if fault is None:
        yield f"{name}: {rows}, all as they were written."
    else:
        yield f"{name}: row {fault.seq} is the first bad one ({fault.reason}). {fault.detail}"
        yield f"{name}: the {rows} before it are as they were written."
    if report.unkeyed:
        yield f"{name}: {counted(report.unkeyed, 'row')} {_UNKEYED}"
    if report.last.seq:
        yield f"{name}: keep this elsewhere as an anchor: {report.last.seq}:{report.last.hash}"


def _table(rows: "Sequence[AuditRow]") -> Any:
    from rich.text import Text

    from engramia.cli.tables import table
    from engramia.cli.terminal import plain

    drawn = table("No.", "When", "Event", "Outcome", "Actor", "Project", "Facts", right=("No.",))
    for row in rows:
        facts = Text(plain(row.facts), style="dim")
        colour = "green" if row.outcome == "success" else "red"
        drawn.add_row(
            str(row.seq),
            f"{row.at:%Y-%m-%d %H:%M:%S}",
            plain(row.event),
            Text(row.outcome, style=colour),
            plain(row.actor or ""),
            plain(row.project_id or ""),
            facts,
        )
    return drawn
