"""The container's health check, run as the container runs it, against servers on this machine."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.deploy.compose import PRODUCTION, ROOT, raw
from tests.deploy.dockerfile import Instruction, stages
from tests.server.api import service

pytestmark = pytest.mark.slow

SCRIPT = ROOT / "deploy" / "healthcheck.py"


def checked(url: str) -> tuple[int, str]:
    """Run the health check of the image with another address; return its exit code and what it said."""
    command = Instruction("CMD", stages()[-1].last("HEALTHCHECK").text.partition("CMD ")[2]).words()
    assert command[:-1] == ["python", "-I", "/app/healthcheck.py"]
    done = subprocess.run(
        [sys.executable, *command[1:-2], str(SCRIPT), url],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={"http_proxy": "http://127.0.0.1:1"},
    )
    return done.returncode, done.stderr


def test_compose_asks_the_same() -> None:
    words = raw(PRODUCTION)["services"]["engramia-api"]["healthcheck"]["test"]
    command = Instruction("CMD", stages()[-1].last("HEALTHCHECK").text.partition("CMD ")[2]).words()
    assert words == ["CMD", *command]


@pytest.mark.parametrize("maintenance", [False, True])
def test_a_service_that_answers_is_well_also_in_maintenance(tmp_path: Path, maintenance: bool) -> None:
    with service(tmp_path, maintenance=maintenance) as api:
        host, port = api.address
        assert checked(f"http://{host}:{port}/v1/health/live") == (0, "")
        code, said = checked(f"http://{host}:{port}/v1/health/nonsense")
    assert code == 1
    assert "503" in said if maintenance else "404" in said


def test_nobody_there_is_not_well() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    code, said = checked(f"http://127.0.0.1:{port}/v1/health/live")
    assert code == 1
    assert "refused" in said


def test_a_process_that_hangs_is_not_well() -> None:
    with silent() as port:
        code, said = checked(f"http://127.0.0.1:{port}/v1/health/live")
    assert code == 1
    assert "timed out" in said


@contextmanager
def silent() -> Iterator[int]:
    """Take a connection on a port and answer nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken: list[socket.socket] = []
        thread = threading.Thread(target=lambda: taken.append(listener.accept()[0]))
        thread.start()
        yield listener.getsockname()[1]
        thread.join()
        taken[0].close()
