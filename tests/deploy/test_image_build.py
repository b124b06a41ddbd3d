"""What the Dockerfile runs, run for real without Docker, in a folder of the test's; then the service itself.

Takes minutes and the package index; what stands in for the image's root is a folder with the same names.
"""

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.deploy.compose import ROOT
from tests.deploy.dockerfile import Instruction, arguments, stages

BUILD_SECONDS, START_SECONDS = 900, 120
PLACES = ("/app", "/src", "/opt", "/data", "/tmp")
_PLACE = re.compile(rf"(?<![\w./-])({'|'.join(PLACES)})(?![\w.-])")
COMMIT = "0123456789abcdef"
LOCKED = ("--inh-caps=-all", "--bounding-set=-all")
"""As `cap_drop: [ALL]`: without these even root is held to the permissions of files."""

pytestmark = [pytest.mark.soak, pytest.mark.timeout(BUILD_SECONDS + 300)]


@dataclass(frozen=True)
class Image:
    """A folder in place of the image's root, and the environment of what is run in it."""

    root: Path
    environment: dict[str, str]

    def inside(self, text: str) -> str:
        """Return `text` with its absolute paths moved into the folder."""
        return _PLACE.sub(lambda match: f"{self.root}{match[0]}", text)

    def path(self, place: str) -> Path:
        return self.root / place.lstrip("/")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The image's content, made by the Dockerfile's own instructions."""
    root = tmp_path_factory.mktemp("image")
    for place in (*PLACES, "/home", "/bin"):
        (root / place.lstrip("/")).mkdir()
    python = root / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {os.path.realpath(sys.executable)} "$@"\n')
    python.chmod(0o755)
    outside = {"PATH": f"{root}/bin:/usr/bin:/bin", "HOME": str(root / "home"), "LANG": "C.UTF-8"}
    build = stages()[0]
    built = Image(root, outside | arguments() | _moved(root, build.environment()))
    here = Path("/")
    for each in build.instructions:
        here = _replayed(built, each, here)
    yield built
    subprocess.run(["/bin/chmod", "-R", "u+w", str(root)], check=True)
    shutil.rmtree(root)


def _moved(root: Path, environment: dict[str, str]) -> dict[str, str]:
    image = Image(root, {})
    return {name: image.inside(value) for name, value in environment.items()}


def _replayed(image: Image, each: Instruction, here: Path) -> Path:
    """Do what an instruction says, and return the folder that the next one runs in."""
    match each.word:
        case "WORKDIR":
            return Path(each.text)
        case "COPY":
            *sources, target = each.text.split()
            _copied(sources, image.path(str(here / target)))
        case "RUN":
            done = subprocess.run(
                ["/bin/sh", "-eu", "-c", image.inside(each.text)],
                env=image.environment,
                cwd=image.path(str(here)),
                capture_output=True,
                text=True,
                check=False,
                timeout=BUILD_SECONDS,
            )
            assert done.returncode == 0, f"{each.text}\n{done.stdout}\n{done.stderr}"
        case "ARG" | "ENV" | "SHELL":
            pass
        case other:
            raise AssertionError(f"The replay does not know {other}.")
    return here


def _copied(sources: list[str], target: Path) -> None:
    for source in sources:
        if (ROOT / source).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(ROOT / source, target, dirs_exist_ok=True, ignore=ignored)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, target)


@dataclass(frozen=True)
class Container:
    """The service as the image starts it."""

    url: str

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=START_SECONDS)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 200, text
            return json.loads(text)
        finally:
            connection.close()


@contextmanager
def running(image: Image, *arguments: str) -> Iterator[Container]:
    """Start what the image starts, on any port, with the program's files read-only."""
    final = stages()[-1]
    environment = _moved(image.root, final.environment()) | {
        "ENGRAMIA_HOST": "127.0.0.1",
        "ENGRAMIA_PORT": "0",
        "ENGRAMIA_GIT_COMMIT": COMMIT,
        "ENGRAMIA_BUILD_TIME": "",
    }
    command = [*final.last("ENTRYPOINT").words(), *final.last("CMD").words(), *arguments, "--json"]
    subprocess.run(["/bin/chmod", "-R", "a-w", str(image.path("/app"))], check=True)
    locked = ["/usr/bin/setpriv", *LOCKED] if os.geteuid() == 0 else []
    process = subprocess.Popen(
        [*locked, str(image.path("/app/.venv/bin") / command[0]), *command[1:]],
        env=environment,
        cwd=image.path("/data"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    watchdog = threading.Timer(START_SECONDS, process.kill)
    watchdog.start()
    try:
        yield Container(json.loads(_announcement(process))["listening"])
    finally:
        watchdog.cancel()
        process.terminate()
        process.wait(START_SECONDS)
        if process.stdout is not None:
            process.stdout.close()


def _announcement(process: "subprocess.Popen[str]") -> str:
    text = ""
    for line in process.stdout or ():
        text += line
        if line == "}\n":
            break
    return text


def _files(folder: Path) -> set[tuple[str, int, int]]:
    found = (each for each in folder.rglob("*") if each.is_file() and not each.is_symlink())
    return {(str(each), each.stat().st_size, each.stat().st_mtime_ns) for each in found}


def test_the_service_runs_read_only_with_the_model_and_is_well(image: Image) -> None:
    before = _files(image.path("/app"))
    with running(image) as container:
        assert container.ask("GET", "/v1/version")["git_commit"] == COMMIT
        container.ask("POST", "/v1/learn", {"task": "Parse a CSV file", "code": "csv", "eval_score": 8})
        found = container.ask("POST", "/v1/recall", {"task": "Read a file of comma-separated values"})
        assert [match["pattern"]["task"] for match in found["matches"]] == ["Parse a CSV file"]
        deep = container.ask("GET", "/v1/health/deep")
        assert deep["checks"]["embedding"]["status"] == "ok"
        assert deep["checks"]["embedding"]["model"] == "all-MiniLM-L6-v2"
        check = Instruction("CMD", stages()[-1].last("HEALTHCHECK").text.partition("CMD ")[2]).words()
        words = [str(image.path("/app/.venv/bin/python")), check[1], image.inside(check[2])]
        done = subprocess.run([*words, f"{container.url}/v1/health/live"], check=False, env={}, timeout=30)
        assert done.returncode == 0
    assert _files(image.path("/app")) == before
    assert any(image.path("/data").rglob("*.journal*")) or any(image.path("/data").iterdir())


def test_no_tool_of_the_build_is_in_what_is_copied(image: Image) -> None:
    programs = {each.name for each in image.path("/app/.venv/bin").iterdir()}
    assert {"engramia", "engramia-mcp"} <= programs
    assert not programs & {"uv", "pip", "pytest", "ruff", "mypy"}
    assert not [each for each in image.path("/app").rglob("*") if each.name == "load_model.py"]


def test_what_an_image_without_a_choice_has_is_enough_for_production(image: Image) -> None:
    """Every extra that the compose file's services need can be imported."""
    modules = (
        "fastapi, uvicorn, psycopg, sqlalchemy, alembic, redis, jwt, onnxruntime, mcp, openai, anthropic"
    )
    python = image.path("/app/.venv/bin/python")
    done = subprocess.run(
        [str(python), "-I", "-c", f"import engramia, {modules}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
