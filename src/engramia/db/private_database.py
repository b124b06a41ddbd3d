"""Engramia's database in a Postgres server of its own: made, migrated, copied before a migration."""

import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from engramia.db import schema
from engramia.db.private_server import PrivateServer, find_binaries, find_running
from engramia.errors import StorageError

DATABASE = "engramia"
SETTINGS = {"autovacuum_naptime": "1s"}
"""While nothing is known of a table that fills up, plans find no row by its own index (decision 0034)."""
_CONNECTIONS_OF_A_PROCESS = 30
"""A pool, and what goes beside it."""
_SPARE_CONNECTIONS = 40
_DUMP_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Settled:
    """What was found and done: the schema's revisions before (None: it was made) and now, and the copy."""

    url: str
    before: str | None
    now: str
    copy: Path | None = None
    """A dump from before a migration."""


class PrivateDatabase:
    """The database of Engramia over a folder, for so many processes that serve."""

    def __init__(self, folder: Path, *, processes: int) -> None:
        connections = processes * _CONNECTIONS_OF_A_PROCESS + _SPARE_CONNECTIONS
        self.server = PrivateServer(folder, options={"max_connections": str(connections), **SETTINGS})

    def settle(self) -> Settled:
        """Make the database of the running server and bring its schema up to date.

        What an older release left is dumped into the folder first. `StorageError` if a newer one was at work.
        """
        url = self.server.create_database(DATABASE)
        before, newest = schema.current(url), schema.newest()
        schema.refuse_newer(before)
        copy = None
        if before not in {None, newest}:
            copy = self.server.folder / f"before-{newest}.dump"
            dump(url, copy)
        return Settled(url, before, schema.upgrade(url), copy)


def find_address(folder: Path) -> str | None:
    """Return the address of the database that runs over `folder`, or None."""
    return find_running(folder, DATABASE)


def dump(url: str, target: Path) -> None:
    """Write the whole database into a file for `pg_restore`, whole or not at all."""
    half = target.with_suffix(".new")
    try:
        done = subprocess.run(  # noqa: S603 - the wheel's own binary with arguments of ours
            _dump_arguments(url, half), check=False, capture_output=True, timeout=_DUMP_SECONDS
        )
        if done.returncode:
            raise StorageError(
                f"The database could not be copied: {done.stderr.decode(errors='replace').strip()}"
            )
        half.replace(target)
    except subprocess.TimeoutExpired as error:
        raise StorageError(f"The database could not be copied in {_DUMP_SECONDS} seconds.") from error
    finally:
        half.unlink(missing_ok=True)


def dump_command(url: str, target: str) -> str:
    """Return the line for a shell that does what `dump` does."""
    return shlex.join(_dump_arguments(url, Path(target)))


def restore_command(url: str, source: str) -> str:
    """Return the line for a shell that puts a dump into a database with a schema, over what it holds."""
    options = ["--clean", "--if-exists", "--no-owner", f"--dbname={url}"]
    return shlex.join([str(find_binaries() / "pg_restore"), *options, source])


def _dump_arguments(url: str, target: Path) -> list[str]:
    return [str(find_binaries() / "pg_dump"), "--format=custom", f"--file={target}", f"--dbname={url}"]
