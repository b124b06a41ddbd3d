"""Two tenants on one service: ours with two projects, and another one. All of them hold something."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from engramia.bootstrap import SystemClock
from engramia.core.audit_chain import Seal
from engramia.core.model import Scope
from engramia.db.audit import AuditLedger
from engramia.db.base import VERSION_TABLE
from engramia.db.session import Database, Limits
from engramia.providers.postgres.storage import PostgresStorage
from engramia.server.keys.model import KeyRequest, Principal
from engramia.server.keys.service import KeyService
from engramia.server.kit.permissions import Role
from engramia.testing import ScriptedLLM
from tests.isolation.slots import Kind
from tests.server.api import Api, service
from tests.server.memory.test_quality import answered
from tests.server.serving import Answer

TASK = "Boil jam out of the ripe fruit of the garden"
SHARED_ATTEMPT = "an-idempotency-key-that-everybody-thinks-of"
OURS, NEIGHBOUR, STRANGER = "apricot", "mirabelle", "zwetschge"
"""Words that stand in all that a party stores."""
_DIGITS = {OURS: "1", NEIGHBOUR: "2", STRANGER: "3"}


@dataclass
class Party:
    """One project: the word in all that it stores, callers of each role, and ids of what it has."""

    word: str
    scope: Scope
    callers: dict[Role, Api] = field(default_factory=dict)
    key_ids: dict[Role, str] = field(default_factory=dict)
    ids: dict[Kind, str] = field(default_factory=dict)

    @property
    def owner(self) -> Api:
        return self.callers[Role.OWNER]


@dataclass
class World:
    """A running service and who lives on it."""

    url: str
    api: Api
    llm: ScriptedLLM
    ours: Party
    neighbour: Party
    stranger: Party


@contextmanager
def inhabited(folder: Path, url: str) -> Iterator[World]:
    """Serve the database, in which our tenant, its second project and another tenant store something."""
    llm = ScriptedLLM(answered)
    storage = PostgresStorage(database_url=url)
    with service(folder, storage=storage, llm=llm, database_url=url, auth_mode="db") as api:
        ours = Party(OURS, Scope("ourselves", "home-base"))
        neighbour = Party(NEIGHBOUR, Scope("ourselves", "next-door"))
        stranger = Party(STRANGER, Scope("strangers", "far-field"))
        database = Database(url, Limits())
        try:
            for party in (ours, neighbour, stranger):
                _admit(party, database, api)
        finally:
            database.dispose()
        for party in (ours, neighbour, stranger):
            _settle(party)
        _make_projects(stranger)
        yield World(url, api, llm, ours, neighbour, stranger)


def _admit(party: Party, database: Database, api: Api) -> None:
    """Make the party's tenant, project, and a key of each role."""
    made = KeyService(
        database,
        SystemClock(),
        secret_key=None,
        ledger=AuditLedger(Seal.of(None)),
        tell=lambda _entry, _stamp: None,
    )
    founder = Principal(party.scope, Role.OWNER)
    for role in Role:
        key = made.create(KeyRequest(f"{party.word} {role.value}", role), founder, new_tenant=True)
        party.callers[role] = Api(api.address, {"authorization": f"Bearer {key.secret}"})
        party.key_ids[role] = key.key.id


def _settle(party: Party) -> None:
    """Store something of every kind, through the service."""
    owner, word = party.owner, party.word
    learned = {
        "task": f"{TASK} {word}",
        "code": f"boil('{word}')",
        "output": f"{word} jam",
        "eval_score": 8.0,
        "run_id": f"{word}-run",
        "skills": [f"{word}-skill", "cooking"],
    }
    answer = owner.post("/v1/learn", learned, {"idempotency-key": SHARED_ATTEMPT})
    assert answer.status == 200, answer.body
    key: str = answer.json()["pattern_key"]
    refined = {"eval_score": 7.0, "feedback": f"The {word} was not ripe."}
    for _ in range(3):
        assert owner.post(f"/v1/patterns/{key}/refine", refined).status == 200
    assert owner.post("/v1/recall", {"task": TASK}).status == 200
    record: dict[str, Any] = {"version": 1, "key": f"patterns/{_DIGITS[word] * 26}", "data": _data(word)}
    accepted = owner.post("/v1/import", {"records": [record]}, {"prefer": "respond-async"})
    assert accepted.status == 202, accepted.body
    job: str = accepted.json()["job_id"]
    assert owner.finished(job)["status"] == "completed"
    party.ids |= {
        Kind.PATTERN: key,
        Kind.NEW_PATTERN: record["key"],
        Kind.JOB: job,
        Kind.KEY: party.key_ids[Role.READER],
        Kind.ACTOR: party.key_ids[Role.OWNER],
        Kind.PROJECT: party.scope.project_id,
        Kind.TENANT: party.scope.tenant_id,
    }


def _data(word: str) -> dict[str, Any]:
    return {"task": f"Stew {word} with sugar", "code": f"stew('{word}')", "success_score": 6.0}


def _make_projects(party: Party) -> None:
    """Make a project of a name that others may give to one of theirs."""
    asked = {"name": f"{party.word} key", "role": "reader", "project_id": "bare-field"}
    assert party.owner.post("/v1/keys", asked).status == 201
    party.ids[Kind.NEW_PROJECT] = "bare-field"


NOBODY = {
    Kind.PATTERN: "patterns/01k00000000000000000000000",
    Kind.NEW_PATTERN: "patterns/01k00000000000000000000001",
    Kind.JOB: "job_01k00000000000000000000000",
    Kind.KEY: "key_01k00000000000000000000000",
    Kind.ACTOR: "key_01k00000000000000000000000",
    Kind.PROJECT: "no-field1",
    Kind.TENANT: "nobodies1",
    Kind.NEW_PROJECT: "new-field1",
}
"""Well-formed ids of nothing, each as long as those of something."""


def belongings(url: str, party: Party, *, by_project: bool = False) -> dict[str, list[Any]]:
    """Return every row of the party's tenant, or of its project alone, by table, beneath all security."""
    found: dict[str, list[Any]] = {}
    with psycopg.connect(url) as connection:
        for table, has_project in _tables(connection):
            if by_project and not has_project:
                continue
            whose = sql.SQL("tenant_id = %s AND project_id = %s" if by_project else "tenant_id = %s")
            # When a key was last used is noted a little later than it was.
            statement = sql.SQL(
                "SELECT to_jsonb(t) - 'last_used_at' FROM {} AS t WHERE {} ORDER BY 1"
            ).format(sql.Identifier(table), whose)
            ids = [party.scope.tenant_id, party.scope.project_id]
            found[table] = connection.execute(statement, ids if by_project else ids[:1]).fetchall()
    assert any(found.values())
    return found


def by_tenant_alone(url: str) -> frozenset[str]:
    """Return the tables whose row security goes by the tenant and not by the project."""
    with psycopg.connect(url) as connection:
        return frozenset(table for table, by_project in _tables(connection) if not by_project)


def _tables(connection: "psycopg.Connection[Any]") -> list[tuple[str, bool]]:
    """Return the tables that hold what is of tenants, and whether their policy goes by the project too."""
    asked = "SELECT tablename, qual FROM pg_policies WHERE policyname = 'scope' AND tablename <> %s"
    return [(table, "project_id" in qual) for table, qual in connection.execute(asked, [VERSION_TABLE])]


def words_in(answer: Answer) -> set[str]:
    """Return whose words an answer holds."""
    text = answer.body.decode() + str(answer.headers)
    return {word for word in (OURS, NEIGHBOUR, STRANGER) if word in text}


@contextmanager
def reopened(folder: Path, world: World) -> Iterator[Api]:
    """Serve the same database anew, to our owner."""
    storage = PostgresStorage(database_url=world.url)
    llm = ScriptedLLM(answered)
    with service(folder, storage=storage, llm=llm, database_url=world.url, auth_mode="db") as api:
        yield Api(api.address, world.ours.owner.headers)
