"""The command that moves a memory between the storages: migrate."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engramia.cli.command import command, fail
from engramia.cli.exit_codes import ExitCode
from engramia.cli.session import Session
from engramia.cli.terminal import Bar, counted
from engramia.core.model import Scope
from engramia.errors import ConflictError, EngramiaError, NotFoundError
from engramia.settings import StorageKind

if TYPE_CHECKING:
    from engramia.core.ports import Mover
    from engramia.memory.moving import Moved, Step

_PARTS = ("patterns", "vectors", "versions", "observations", "feedback_items", "events", "jobs")


def migrate(
    session: Session,
    *,
    to: Annotated[StorageKind, typer.Option("--to", help="The storage to copy into, from the other one.")],
    database_url: Annotated[
        str | None,
        typer.Option(help="Address of the database (default: ENGRAMIA_DATABASE_URL)."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace scopes of the target that hold other data.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, write nothing.")
    ] = False,
) -> ExitCode:
    """Copy the memory into the other storage.

    All tenants and projects, or with --tenant and --project those. Patterns go with their vectors and their
    history, quality issues, activity and jobs as they are; nothing is embedded again, and the source is not
    changed. Keys, audit and answers kept for repeated requests are not part of it. Stop what writes to the
    source first. Interrupted, every scope of the target holds all or nothing; run it again to go on.
    """
    from engramia.bootstrap import mover_from
    from engramia.cli.moving_accounts import BroughtInto, TakenFrom, keeping

    settings = session.with_options(database_url=database_url).settings
    source_kind = StorageKind.JSON if to is StorageKind.POSTGRES else StorageKind.POSTGRES
    source = mover_from(settings, source_kind)
    try:
        target = mover_from(settings, to)
        try:
            if dry_run:
                return _move(session, source, target, to, overwrite=overwrite, dry_run=True)
            with keeping(settings) as keep:
                into = to is StorageKind.POSTGRES
                giver = source if into else TakenFrom(source, keep)
                taker = BroughtInto(target, keep) if into else target
                return _move(session, giver, taker, to, overwrite=overwrite, dry_run=False)
        finally:
            target.close()
    finally:
        source.close()


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    command(
        app,
        "migrate",
        examples=(
            "engramia migrate --to postgres --dry-run",
            "ENGRAMIA_DATABASE_URL=postgresql://me@db/memory engramia migrate --to postgres",
            "engramia migrate --to json --data-path ./copy --tenant acme",
        ),
    )(migrate)


def _move(
    session: Session, source: "Mover", target: "Mover", to: StorageKind, *, overwrite: bool, dry_run: bool
) -> ExitCode:
    from engramia.memory.moving import move

    scopes = _chosen(session, source)
    with session.terminal.progress("Moving", len(scopes)) as bar:
        try:
            moved = move(
                source,
                target,
                scopes,
                overwrite=overwrite,
                dry_run=dry_run,
                tell=lambda step: _show(bar, step),
            )
        except ConflictError:
            raise
        except (KeyboardInterrupt, EngramiaError) as stopped:
            return _stopped(session, stopped)
    late = [scope for scope in _chosen(session, source) if scope not in scopes]
    return _report(session, source, target, to, moved, late, dry_run=dry_run)


def _chosen(session: Session, source: "Mover") -> Sequence[Scope]:
    """Return the scopes that were asked for; a setting of the environment does not narrow them."""
    tenant = session.settings.tenant if {"tenant", "project"} & session.given else None
    project = session.settings.project if "project" in session.given else None
    found = [
        scope
        for scope in source.scopes()
        if tenant in {None, scope.tenant_id} and project in {None, scope.project_id}
    ]
    if not found:
        asked = "" if tenant is None else f" of the tenant {tenant}"
        asked += "" if project is None else f", project {project}"
        raise NotFoundError(f"There is nothing{asked} to move in {source.place}.")
    return found


def _show(bar: Bar, step: "Step") -> None:
    share = step.done / step.patterns if step.patterns else 0.0
    name = f"{step.scope.tenant_id}/{step.scope.project_id}"
    note = f"{name}: {step.doing}, {step.done:,} of {counted(step.patterns, 'pattern')}"
    bar.update(step.number - 1 + share, step.scopes, note=note)


def _stopped(session: Session, stopped: BaseException) -> ExitCode:
    detail = str(stopped).rstrip(".") if isinstance(stopped, EngramiaError) else "Interrupted"
    return fail(
        session,
        stopped,
        detail=f"{detail}. Each scope of the target is whole or as it was; run it again to go on.",
    )


def _report(
    session: Session,
    source: "Mover",
    target: "Mover",
    to: StorageKind,
    moved: "Sequence[Moved]",
    late: Sequence[Scope],
    *,
    dry_run: bool,
) -> ExitCode:
    from engramia.memory.moving import Outcome

    changing = [each.scope for each in moved if each.outcome is Outcome.CHANGING] + [*late]
    document = {
        "from": source.place,
        "to": target.place,
        "dry_run": dry_run,
        "scopes": [_facts(each) for each in moved],
        "source": _sum([asdict(each.source) for each in moved]),
        "target": _sum([asdict(each.target) for each in moved]),
        "outcomes": dict(Counter(each.outcome.value for each in moved)),
        "complete": not (changing or dry_run),
    }
    session.terminal.answer(document)
    if not session.json:
        _tell(session, document, to)
    if changing:
        session.terminal.note(
            f"Warning: {counted(len(changing), 'scope')} of {source.place} went on being written to; the "
            "copy lacks what came last. Stop what writes there and run this again with --overwrite."
        )
        return ExitCode.PARTLY
    return ExitCode.OK


def _facts(moved: "Moved") -> dict[str, Any]:
    return {
        "tenant": moved.scope.tenant_id,
        "project": moved.scope.project_id,
        "outcome": moved.outcome.value,
        "source": {name: getattr(moved.source, name) for name in _PARTS},
        "target": {name: getattr(moved.target, name) for name in _PARTS},
    }


def _sum(inventories: Sequence[dict[str, Any]]) -> dict[str, int]:
    return {name: sum(inventory[name] for inventory in inventories) for name in _PARTS}


def _tell(session: Session, document: dict[str, Any], to: StorageKind) -> None:
    from engramia.cli.tables import table

    would = "Would move" if document["dry_run"] else "Moved"
    scopes, outcomes = document["scopes"], document["outcomes"]
    session.terminal.say(f"{would} {counted(len(scopes), 'scope')} from {document['from']}")
    session.terminal.say(f"to {document['to']}: {_outcomes(outcomes)}.")
    drawn = table("", "Source", "Target", right=("Source", "Target"))
    for name in _PARTS:
        drawn.add_row(
            name.replace("_", " ").capitalize(),
            f"{document['source'][name]:,}",
            f"{document['target'][name]:,}",
        )
    session.terminal.out.print(drawn)
    if document["complete"]:
        session.terminal.say(f"Both hold the same. ENGRAMIA_STORAGE={to.value} makes Engramia use the copy.")


def _outcomes(outcomes: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in outcomes.items())
