"""Services that run as processes of their own, on free ports of this machine."""

import http.client
import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.cli.conftest import COMMAND, process_environment

START_SECONDS = 60
STOP_SECONDS = 60


@dataclass
class Started:
    """A command that goes on until it is told to stop."""

    process: "subprocess.Popen[str]"
    announced: dict[str, Any]
    lines: list[str] = field(default_factory=list)
    """What it wrote to stderr."""

    @property
    def url(self) -> str:
        return str(self.announced["listening"])

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Send one request over a connection of its own; return the status and the decoded body."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=STOP_SECONDS)
        try:
            sent = None if body is None else json.dumps(body)
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, sent, {"Content-Type": "application/json", **named})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def text(self, path: str) -> str:
        """Return the body of what a path answers, as it is."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=STOP_SECONDS)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Wait for the end and return the exit code."""
        return self.process.wait(STOP_SECONDS)


@contextmanager
def started(data_path: Path, *arguments: str, **environment: str) -> Iterator[Started]:
    """Run a command with `--json` and wait for the document that says that it runs; kill it at the end."""
    process = subprocess.Popen(
        [*COMMAND, *arguments, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=process_environment(data_path, **environment),
        start_new_session=True,
    )
    lines: list[str] = []
    assert process.stderr
    assert process.stdout
    reader = threading.Thread(target=lambda: lines.extend(process.stderr or ()), daemon=True)
    reader.start()
    watchdog = threading.Timer(START_SECONDS, process.kill)
    watchdog.start()
    try:
        document = _announcement(process)
        watchdog.cancel()
        assert document, f"It ended before it ran: {''.join(lines)}"
        yield Started(process, json.loads(document), lines)
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
        reader.join(STOP_SECONDS)
        process.stderr.close()


def _announcement(process: "subprocess.Popen[str]") -> str:
    text = ""
    for line in process.stdout or ():
        text += line
        if line == "}\n":
            break
    return text
