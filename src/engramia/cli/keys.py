"""The commands for API keys in the database: bootstrap, create, list, revoke, rotate."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engramia.cli.accounting import log_lines, operator
from engramia.cli.command import block, command
from engramia.cli.exit_codes import ExitCode
from engramia.cli.session import Session
from engramia.core import limits
from engramia.core.model import Scope
from engramia.errors import ConflictError, NotFoundError, StorageError, ValidationError

if TYPE_CHECKING:
    from engramia.server.keys.model import Key, NewKey, Principal
    from engramia.server.keys.service import KeyService

_Id = Annotated[str, typer.Argument(metavar="ID", help="Id of a key: key_…")]
_Name = Annotated[str, typer.Argument(help="What people call the key, 1 to 100 characters.")]
_Role = Annotated[str, typer.Option(help="reader, editor, admin or owner.")]
_MaxPatterns = Annotated[
    int | None, typer.Option(min=1, help="How many patterns the project may come to hold by this key.")
]
_Expires = Annotated[str | None, typer.Option(help="When the key ends: 2027-01-31T00:00:00Z.")]
_Limit = Annotated[int, typer.Option(min=1, max=limits.LIST_LIMIT_MAX, help="Most keys.")]
_Offset = Annotated[int, typer.Option(min=0, max=limits.OFFSET_MAX, help="Keys to pass over.")]


def bootstrap(session: Session) -> None:
    """Make the first key of the database, an owner of --tenant and --project; only once."""
    with _service(session) as service:
        made = service.bootstrap(_operator(session))
    if made is None:
        raise ConflictError("The first key was made already; `engramia keys create` makes others.")
    _show_secret(session, made)


def create(
    session: Session,
    name: _Name,
    role: _Role = "editor",
    max_patterns: _MaxPatterns = None,
    expires_at: _Expires = None,
) -> None:
    """Make a key in --project of --tenant; both are made if they are new."""
    with _service(session) as service:
        request = _request(name, role, max_patterns, expires_at)
        made = service.create(request, _operator(session), new_tenant=True)
    _show_secret(session, made)


def list_keys(session: Session, limit: _Limit = 100, offset: _Offset = 0) -> None:
    """List the project's keys, newest first; never their secrets."""
    from engramia.server.keys.schemas import key_document

    with _service(session) as service:
        page = service.list(_scope(session), limit=limit, offset=offset)
    keys = list(page)
    document = {
        "keys": [key_document(key) for key in keys],
        "has_more": page.has_more,
        "next_offset": page.next_offset,
    }
    session.terminal.answer(document, lambda: _table(keys) if keys else None)
    if not keys:
        session.terminal.say("No keys in this project. `engramia keys create NAME` makes one.")
    elif page.has_more:
        session.terminal.say(f"There are more: --offset {page.next_offset}")


def revoke(session: Session, id: _Id) -> None:
    """Revoke a key of --tenant: within a second it opens nothing any more."""
    from engramia.server.keys.schemas import revoked_document

    with _service(session) as service, _naming(id):
        key = service.revoke(id, _operator(session))
    session.terminal.answer(revoked_document(key))
    session.terminal.say(f"Revoked {id} ({key.name}).")


def rotate(session: Session, id: _Id) -> None:
    """Give a key of --tenant a new secret; the old one opens nothing any more."""
    with _service(session) as service, _naming(id):
        made = service.rotate(id, _operator(session))
    _show_secret(session, made)


def pepper(session: Session) -> ExitCode | None:
    """Print the secret that keys are hashed under, where it is kept in the database.

    Set ENGRAMIA_SECRET_KEY to it on every server: the first one to start takes it out of the database.
    """
    from engramia.server.keys import pepper as kept

    with _service(session) as service:
        found = kept.kept(service.database)
    if found is None:
        raise NotFoundError("The database keeps none: ENGRAMIA_SECRET_KEY is it, or no key was made yet.")
    session.terminal.answer({"secret_key": found})
    session.terminal.say(found)
    return None


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    group = typer.Typer(
        help="API keys in the database (ENGRAMIA_DATABASE_URL), as its operator.",
        epilog=block("Examples:", "  engramia keys bootstrap", '  engramia keys create "Invoice agent"'),
        rich_markup_mode=None,
    )
    command(group, "bootstrap", examples=("engramia keys bootstrap", "engramia keys bootstrap --json"))(
        bootstrap
    )
    command(
        group,
        "create",
        examples=(
            'engramia keys create "Invoice agent"',
            "engramia keys create dashboard --role reader --project billing",
            "engramia keys create trial --max-patterns 100 --expires-at 2027-01-31T00:00:00Z",
        ),
    )(create)
    command(group, "list", examples=("engramia keys list", "engramia keys list --project billing --json"))(
        list_keys
    )
    command(group, "revoke", examples=("engramia keys revoke key_01k9…",))(revoke)
    command(group, "rotate", examples=("engramia keys rotate key_01k9…",))(rotate)
    command(group, "pepper", examples=("engramia keys pepper",))(pepper)
    app.add_typer(group, name="keys")


@contextmanager
def _service(session: Session) -> "Iterator[KeyService]":
    """Yield the keys in the database of the settings, whatever the auth mode is."""
    from engramia.bootstrap import SystemClock, database_from, key_service_from
    from engramia.server.audit.trail import AuditTrail
    from engramia.settings import AuthMode
    from engramia.telemetry.audit import audit

    log_lines(session.settings)
    settings = session.settings.model_copy(update={"auth_mode": AuthMode.DB})
    database, clock = database_from(settings), SystemClock()
    try:
        service = key_service_from(settings, database, clock, AuditTrail(clock, audit, None).tell)
        if service is None:
            raise StorageError("Keys need a database: set ENGRAMIA_DATABASE_URL.")
        service.prepare()
        yield service
    finally:
        database.dispose()


def _scope(session: Session) -> Scope:
    return Scope(session.settings.tenant, session.settings.project)


def _operator(session: Session) -> "Principal":
    from engramia.server.keys.model import Principal
    from engramia.server.kit.permissions import Role

    return Principal(_scope(session), Role.OWNER, operator=operator())


def _request(name: str, role: str, max_patterns: int | None, expires_at: str | None) -> Any:
    """Return the key that is asked for, checked as the API checks it."""
    from pydantic import ValidationError as Invalid

    from engramia.server.keys.schemas import CreateKeyRequest, key_request

    try:
        body = CreateKeyRequest.model_validate(
            {"name": name, "role": role, "max_patterns": max_patterns, "expires_at": expires_at}
        )
    except Invalid as error:
        issue = error.errors(include_url=False)[0]
        field = str(issue["loc"][0])
        raise ValidationError(f"{field}: {issue['msg']}.", field=field) from error
    return key_request(body)


@contextmanager
def _naming(id: str) -> Iterator[None]:
    """Name the key in what is said of one that is not there."""
    try:
        yield
    except NotFoundError as error:
        raise NotFoundError(f"There is no key {id} in this tenant.") from error


def _show_secret(session: Session, made: "NewKey") -> None:
    from engramia.cli.tables import facts, named
    from engramia.server.keys.schemas import new_key_document

    document = new_key_document(made)
    shown = {name: value for name, value in document.items() if value is not None}
    session.terminal.answer(document, lambda: facts(named(shown)))
    session.terminal.say("Keep the secret: it is shown this once and kept nowhere.")


def _table(keys: "list[Key]") -> Any:
    from rich.text import Text

    from engramia.cli.tables import table
    from engramia.cli.terminal import plain

    drawn = table("State", "Role", "Name", "Begins", "Last used", "Key")
    for key in keys:
        state, colour = _state(key)
        drawn.add_row(
            Text(state, style=colour),
            key.role.value,
            Text(plain(key.name)),
            f"{key.key_prefix}…",
            _day(key.last_used_at),
            Text(key.id, style="dim"),
        )
    return drawn


def _state(key: "Key") -> tuple[str, str]:
    from engramia.bootstrap import SystemClock

    if key.revoked_at is not None:
        return "revoked", "red"
    return ("live", "green") if key.is_live(SystemClock().now()) else ("expired", "yellow")


def _day(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment:%Y-%m-%d %H:%M}"
