"""The commands for the Postgres schema: upgrade, current, check, index."""

from collections.abc import Sequence

import typer

from engramia.cli.command import block, command
from engramia.cli.session import Session


def upgrade(session: Session) -> None:
    """Make the schema, or bring it up to date.

    Run it as the role that owns the tables or will; the service itself needs less. All or nothing is done,
    and several may run at once. Then the indexes that large projects lack are made, as `db index` does.
    """
    from engramia.bootstrap import database_url
    from engramia.db import schema, vector_index

    url = database_url(session.settings)
    revision = schema.upgrade(url)
    session.terminal.say(f"The schema is at revision {revision}, the newest.")
    session.terminal.say("Making the indexes over vectors that large projects lack, if there are any ...")
    made = vector_index.make_wanted_indexes(url)
    session.terminal.answer({"revision": revision, "dimensions": made})
    session.terminal.say(_told(made))


def current(session: Session) -> None:
    """Show which revision the schema is at, and which this release needs."""
    from engramia.bootstrap import database_url
    from engramia.db import schema

    found, needed = schema.current(database_url(session.settings)), schema.newest()
    session.terminal.answer({"revision": found, "newest": needed})
    session.terminal.say(f"The schema is at revision {found or 'none'}; this release needs {needed}.")


def check(session: Session) -> None:
    """Fail with a sentence unless the schema is just what this release needs."""
    from engramia.bootstrap import database_url
    from engramia.db import schema

    schema.check(database_url(session.settings))
    session.terminal.answer({"ok": True, "revision": schema.newest()})
    session.terminal.say("The schema is what this release needs.")


def index(session: Session) -> None:
    """Make the indexes over vectors that large projects are searched by.

    Run it as the role that owns the tables. It takes minutes for a million vectors; reads and writes go on.
    """
    from engramia.bootstrap import database_url
    from engramia.db import vector_index

    made = vector_index.make_wanted_indexes(database_url(session.settings))
    session.terminal.answer({"dimensions": made})
    session.terminal.say(_told(made))


def _told(made: Sequence[int]) -> str:
    """Say of which dimensions an index was made."""
    named = ", ".join(map(str, made))
    return f"Made the index over vectors of dimension {named}." if made else "No index was missing."


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    group = typer.Typer(
        help="The schema in Postgres (ENGRAMIA_DATABASE_URL).",
        epilog=block("Examples:", "  engramia db upgrade", "  engramia db check"),
        rich_markup_mode=None,
    )
    command(group, "upgrade", examples=("engramia db upgrade",))(upgrade)
    command(group, "current", examples=("engramia db current", "engramia db current --json"))(current)
    command(group, "check", examples=("engramia db check",))(check)
    command(group, "index", examples=("engramia db index",))(index)
    app.add_typer(group, name="db")
