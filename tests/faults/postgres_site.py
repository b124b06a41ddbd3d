"""A service on a Postgres of its own, and clients with real keys of two tenants."""

import json
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engramia.bootstrap import SystemClock
from engramia.core.audit_chain import Seal
from engramia.core.model import Scope
from engramia.db.audit import AuditLedger
from engramia.db.private_server import PrivateServer
from engramia.db.schema import upgrade
from engramia.db.session import Database, Limits
from engramia.server.keys.model import KeyRequest, Principal
from engramia.server.keys.service import KeyService
from engramia.server.kit.permissions import Role
from tests.cli.services import Started, started

OURS, OTHERS = Scope("acme", "shop"), Scope("zeta", "shop")
PATIENCE = 60.0
WORDS = [a + b + c for a in "bdfgklmnprst" for b in "aeiou" for c in ("lto", "rvin", "sk", "nda")]
_UNLIMITED = {f"ENGRAMIA_RATE_LIMIT_{name}": "1000000" for name in ("DEFAULT", "EXPENSIVE", "PER_KEY")} | {
    "ENGRAMIA_JOB_POLL_INTERVAL": "0.2",
    "ENGRAMIA_MAX_IMPORT_BODY_SIZE": "67108864",
}


@dataclass(frozen=True)
class Reply:
    """One answer, and when it was asked for."""

    what: str
    status: int
    began: float
    seconds: float
    retry_after: str | None
    body: Any


@dataclass(eq=False)
class Client:
    """One connection with one key; notes every answer. Not for several threads."""

    netloc: str
    secret: str
    replies: list[Reply] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._connection = HTTPConnection(self.netloc, timeout=PATIENCE)

    def ask(self, what: str, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"content-type": "application/json", "authorization": f"Bearer {self.secret}", **named}
        began = time.monotonic()
        self._connection.request(method, path, None if body is None else json.dumps(body), sent)
        answer = self._connection.getresponse()
        content = answer.read()
        seconds = time.monotonic() - began
        reply = Reply(what, answer.status, began, seconds, answer.headers["retry-after"], json.loads(content))
        self.replies.append(reply)
        return reply

    def insist(self, what: str, method: str, path: str, body: Any, **headers: str) -> Reply:
        """Ask again, as the answer says when, until it is done."""
        ends = time.monotonic() + PATIENCE
        while True:
            reply = self.ask(what, method, path, body, **headers)
            if reply.status != 503:
                return reply
            assert time.monotonic() < ends, reply
            time.sleep(0.05)

    def close(self) -> None:
        self._connection.close()


@dataclass(frozen=True)
class Site:
    """A service on a Postgres of its own, and a key for each of two tenants."""

    postgres: PrivateServer
    url: str
    service: Started
    secrets: dict[Scope, str]

    def client(self, scope: Scope = OURS) -> Client:
        return Client(urlsplit(self.service.url).netloc, self.secrets[scope])


@contextmanager
def site(folder: Path, *, workers: int = 1) -> Iterator[Site]:
    home = Path(tempfile.mkdtemp(prefix="engramia-service-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home)
        options = {"shared_buffers": "64MB", "max_connections": "150"}
        postgres = stack.enter_context(PrivateServer(home, options=options))
        url = postgres.create_database("service")
        upgrade(url)
        environment = {
            "ENGRAMIA_STORAGE": "postgres",
            "ENGRAMIA_DATABASE_URL": url,
            "ENGRAMIA_AUTH_MODE": "db",
        }
        secrets = {scope: owner_secret(url, scope) for scope in (OURS, OTHERS)}
        serve = ("serve", "--port", "0", "--workers", str(workers))
        with started(folder / "data", *serve, **environment, **_UNLIMITED) as service:
            yield Site(postgres, url, service, secrets)


def owner_secret(url: str, scope: Scope) -> str:
    database = Database(url, Limits())
    try:
        keys = KeyService(
            database,
            SystemClock(),
            secret_key=None,
            ledger=AuditLedger(Seal.of(None)),
            tell=lambda _entry, _stamp: None,
        )
        founder = Principal(scope, Role.OWNER)
        return keys.create(KeyRequest("load", Role.OWNER), founder, new_tenant=True).secret
    finally:
        database.dispose()


def sentence(number: int) -> str:
    """Return a task that is like no other."""
    chance = random.Random(number)  # noqa: S311 - words, no secret
    return f"{' '.join(chance.sample(WORDS, 6))} number {number}"


def run(number: int) -> dict[str, Any]:
    return {
        "task": sentence(number),
        "code": f"do({number})",
        "eval_score": 7.0,
        "run_id": f"run-{number}",
        "on_duplicate": "keep_both",
    }


def record(number: int) -> dict[str, Any]:
    data = {"task": sentence(number), "code": f"do({number})", "success_score": 6.0}
    return {"version": 1, "key": f"patterns/{number:026d}", "data": data}


def finished(client: Client, job_id: str) -> Any:
    ends = time.monotonic() + PATIENCE
    while True:
        reply = client.insist("look", "GET", f"/v1/jobs/{job_id}", None)
        assert reply.status == 200, (job_id, reply)
        if reply.body["status"] not in {"pending", "running"}:
            return reply.body
        assert time.monotonic() < ends, reply
        time.sleep(0.05)
