"""A streaming replica of a private Postgres server, for the tests that ask for one."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit

import psycopg

from engramia.db import schema
from engramia.db.private_server import PrivateServer, find_binaries
from tests.postgres import QUICK

DATABASE = "replicated"
TALKATIVE = {**QUICK, "log_statement": "all", "log_min_messages": "warning", "wal_keep_size": "1GB"}
"""Settings of a server whose log tells every statement.

Each copy of the primary makes a checkpoint, which would take away what a replica that is held up has yet to
read.
"""
_STATEMENT = re.compile(r"LOG:  (?:statement|execute [^:]*): (.*(?:\n\t.*)*)")


@dataclass(frozen=True)
class Server:
    """A running server with the database of the tests."""

    process: PrivateServer

    @property
    def url(self) -> str:
        return self.process.url(DATABASE)

    def ask(self, statement: str) -> object:
        """Return the first value that the superuser gets for it, if any."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            found = connection.execute(statement)
            row = found.fetchone() if found.description is not None else None
        return None if row is None else row[0]

    def statements(self) -> list[str]:
        """Return every statement that the server's log tells."""
        return _STATEMENT.findall(self.process.log.read_text(errors="replace"))

    def forget_statements(self) -> None:
        """Begin the log anew."""
        os.truncate(self.process.log, 0)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop all of the server's processes, as a machine that hangs; let them go on at the end."""
        stopped: list[int] = []
        try:
            _stop_all(self.process, stopped)
            yield
        finally:
            for pid in stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


def _stop_all(server: PrivateServer, stopped: list[int]) -> None:
    postmaster = server.pid
    assert postmaster is not None
    os.kill(postmaster, signal.SIGSTOP)
    stopped.append(postmaster)
    for pid in _children(postmaster):
        os.kill(pid, signal.SIGSTOP)
        stopped.append(pid)


def _children(parent: int) -> list[int]:
    found = Path(f"/proc/{parent}/task/{parent}/children")
    return [int(pid) for pid in found.read_text().split()]


class Replicated:
    """A primary with the newest schema, and replicas of it, each made when it is asked for."""

    def __init__(self) -> None:
        self._folders: list[Path] = []
        self._running = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.primary = Server(self._start(self._folder()))
        schema.upgrade(self.primary.process.create_database(DATABASE))
        return self

    def __exit__(self, *_exc: object) -> None:
        self._running.close()
        for folder in self._folders:
            shutil.rmtree(folder)

    def replica(self) -> Server:
        """Copy the primary, and follow it."""
        folder = self._folder()
        owner = self.primary.process.folder.stat()
        os.chown(folder, owner.st_uid, owner.st_gid)
        address = parse_qs(urlsplit(self.primary.url).query)
        command = [
            str(find_binaries() / "pg_basebackup"), "-D", str(folder / "data"), "-h", address["host"][0],
            "-p", address["port"][0], "-U", "postgres", "-c", "fast", "-X", "stream", "-R", "--no-sync",
        ]  # fmt: skip
        as_owner = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
        subprocess.run(command, check=True, cwd="/", timeout=60, capture_output=True, **as_owner)  # type: ignore[call-overload] # either all or none of them
        return Server(self._start(folder))

    def _folder(self) -> Path:
        self._folders.append(Path(tempfile.mkdtemp(prefix="engramia-replica-")))
        return self._folders[-1]

    def _start(self, folder: Path) -> PrivateServer:
        server = PrivateServer(folder, options=TALKATIVE).start()
        self._running.callback(server.stop, immediate=True)
        return server


def wait_until(reached: Callable[[], bool], seconds: float = 10.0) -> None:
    """Return once `reached` says so; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.01)
