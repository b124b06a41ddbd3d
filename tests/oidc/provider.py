"""The certified provider as a process that can be stopped, started again, and given new keys."""

import base64
import json
import subprocess
import threading
import urllib.parse
import urllib.request
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.oidc.installation import BIN, installed_provider

AUDIENCE = "https://memory.example.com"
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
START_SECONDS = 30
DEADLINE_SECONDS = 10


@dataclass(frozen=True)
class Client:
    """A program that gets tokens; `times` are seconds from now, `overrides` go over the rest."""

    alg: str = "RS256"
    audience: str = AUDIENCE
    lifetime: int = 300
    claims: dict[str, Any] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)
    overrides: dict[str, Any] = field(default_factory=dict)


class CertifiedProvider:
    """Runs the provider; keeps its port, so that it is the same issuer after a restart."""

    def __init__(self, clients: dict[str, Client]) -> None:
        self._clients = clients
        self._folder: Path = installed_provider()
        self._process: subprocess.Popen[str] | None = None
        self._generation = 0
        self._port = 0
        self._secret = ""
        self.issuer = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it with keys that it never had."""
        self._generation += 1
        process = subprocess.Popen(
            [BIN / "node", self._folder / "provider.js"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._process = process
        assert process.stdin is not None
        assert process.stdout is not None
        clients = {name: asdict(client) for name, client in self._clients.items()}
        wanted = {"port": self._port, "generation": self._generation, "clients": clients}
        watchdog = threading.Timer(START_SECONDS, process.kill)
        watchdog.start()
        try:
            process.stdin.write(json.dumps(wanted) + "\n")
            process.stdin.flush()
            said = json.loads(process.stdout.readline())
        finally:
            watchdog.cancel()
        self.issuer, self._secret = said["issuer"], said["secret"]
        self._port = urlsplit(self.issuer).port or 0

    def stop(self) -> None:
        """End it; what asks it now finds nobody."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait(DEADLINE_SECONDS)
        self._process.stdin.close()
        self._process.stdout.close()
        self._process = None

    def token(self, client: str) -> str:
        """Return a fresh access token, by client credentials."""
        who = base64.b64encode(f"{client}:{self._secret}".encode()).decode()
        form = urllib.parse.urlencode({"grant_type": "client_credentials", "resource": AUDIENCE})
        request = urllib.request.Request(  # noqa: S310 - of this machine
            f"{self.issuer}/token", form.encode(), {"Authorization": f"Basic {who}"}
        )
        with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS) as answer:  # noqa: S310 - as above
            return str(json.loads(answer.read())["access_token"])

    def bearer(self, client: str) -> dict[str, str]:
        """Return the header of a request by `client`."""
        return {"Authorization": f"Bearer {self.token(client)}"}
