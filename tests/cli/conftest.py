"""The command line, run in this process and as a process of its own."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import engramia
from engramia.cli.app import run
from engramia.cli.session import Session

SOURCES = Path(engramia.__file__).parent.parent


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


type Cli = Callable[..., Ended]


@pytest.fixture
def data_path(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def environment(data_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of a machine of its own: words alone, no key, a folder of the test's."""
    for name in [name for name in os.environ if name.startswith(("ENGRAMIA_", "OPENAI_", "ANTHROPIC_"))]:  # noqa: TID251 - a clean slate
        monkeypatch.delenv(name)
    monkeypatch.setenv("ENGRAMIA_EMBEDDING_MODEL", "none")
    monkeypatch.setenv("ENGRAMIA_DATA_PATH", str(data_path))


@contextmanager
def logging_as_it_was() -> Iterator[None]:
    """Take back what commands set for a process that they think is theirs."""
    root, audit = logging.getLogger(), logging.getLogger("engramia.audit")
    before = (root.handlers[:], root.level, audit.level)
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    audit.setLevel(before[2])


@pytest.fixture
def cli(environment: None, capfdbinary: pytest.CaptureFixture[bytes]) -> Iterator[Cli]:
    """Run a command in this process."""
    del environment

    def call(*arguments: str, session: Session | None = None) -> Ended:
        code = run(arguments, session)
        out, err = capfdbinary.readouterr()
        return Ended(int(code), out.decode(), err.decode())

    with logging_as_it_was():
        yield call


def process_environment(data_path: Path, **more: str) -> dict[str, str]:
    """Return the environment of a process with nothing of this one's settings."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(data_path.parent),
        "PYTHONPATH": str(SOURCES),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "ENGRAMIA_EMBEDDING_MODEL": "none",
        "ENGRAMIA_DATA_PATH": str(data_path),
        **more,
    }


COMMAND: Sequence[str] = (sys.executable, "-m", "engramia.cli")


@pytest.fixture
def process(data_path: Path) -> Cli:
    """Run a command as a process of its own."""

    def call(*arguments: str, stdin: bytes = b"", **environment: str) -> Ended:
        done = subprocess.run(
            [*COMMAND, *arguments],
            input=stdin,
            capture_output=True,
            check=False,
            env=process_environment(data_path, **environment),
            timeout=60,
        )
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())

    return call


@pytest.fixture
def learned(cli: Cli) -> str:
    """Learn one pattern and return its key."""
    ended = cli(
        "learn",
        "--task",
        "Merge two CSV files by their id column",
        "--code",
        "merge(a, b)",
        "--score",
        "8",
        "--json",
    )
    assert ended.code == 0, ended
    return str(ended.document["pattern_key"])
