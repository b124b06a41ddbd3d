"""Projects of an identity provider's callers, where there is a database: one is named, and must be there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engramia.cli.key_checks import key_checks
from engramia.core.audit_chain import Seal
from engramia.core.model import Scope
from engramia.db.audit import AuditLedger
from engramia.db.private_server import PrivateServer
from engramia.db.session import Database, Limits
from engramia.errors import StorageError
from engramia.providers import PostgresStorage
from engramia.server.identity.oidc_claims import subject_id
from engramia.server.keys.repository import announce
from engramia.server.tenancy.service import ProjectService
from engramia.settings import Settings
from engramia.testing import FrozenClock
from tests.oidc.directory import directory
from tests.oidc.forger import AUDIENCE, Forger
from tests.server.api import Api, service
from tests.server.serving import Answer

pytestmark = pytest.mark.slow  # a database server

CLAIMS = {"oidc_tenant_claim": "org", "oidc_project_claim": "team"}


class House:
    """A service behind a provider."""

    def __init__(self, api: Api, forger: Forger, url: str) -> None:
        self.api, self._forger, self._url = api, forger, url

    def bearing(self, role: str, org: str = "acme", team: str = "default", **headers: str) -> Api:
        """Return the API as somebody with these claims sees it."""
        token = self._forger.with_claims(engramia_role=role, org=org, team=team)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Api(self.api.address, {"authorization": f"Bearer {token.decode()}"} | named)

    @property
    def me(self) -> str:
        return subject_id(self._forger.issuer, "user-7")

    def rows(self, statement: str) -> list[Any]:
        with psycopg.connect(self._url) as connection:
            return connection.execute(statement).fetchall()


@contextmanager
def housed(folder: Path, url: str, storage: PostgresStorage | None, **settings: Any) -> Iterator[House]:
    forger = Forger()
    with directory(forger.published()) as found:
        forger.issuer = found.issuer
        wanted = {"auth_mode": "oidc", "oidc_issuer": found.issuer, "oidc_audience": AUDIENCE, **CLAIMS}
        with service(folder, storage=storage, database_url=url, **(wanted | settings)) as api:
            yield House(api, forger, url)


@pytest.fixture
def house(tmp_path: Path, postgres_url: str) -> Iterator[House]:
    with housed(tmp_path, postgres_url, PostgresStorage(database_url=postgres_url)) as made:
        yield made


def code(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json()["error"]


def test_what_the_provider_names_is_made_with_the_first_request_and_told_once(house: House) -> None:
    for _ in range(2):
        assert house.bearing("reader", team="billing").get("/v1/metrics").status == 200
    assert house.rows("SELECT tenant_id, project_id FROM projects") == [("acme", "billing")]
    assert house.rows("SELECT tenant_id FROM tenants") == [("acme",)]
    told = house.rows("SELECT event, outcome, actor, tenant_id, project_id, ip FROM audit_log")
    assert told == [("project.created", "success", house.me, "acme", "billing", "127.0.0.1")]


def test_a_project_is_named_by_admin_and_owner_alone_and_must_be_there(house: House) -> None:
    house.bearing("editor", team="billing").learn("Sum the invoices")
    for role in ("reader", "editor"):
        for named in ("billing", "nowhere"):
            refused = house.bearing(role, X_Project_Id=named).get("/v1/metrics")
            assert code(refused) == (403, "forbidden")
        assert house.bearing(role, X_Project_Id="default").get("/v1/metrics").status == 200
    admin = house.bearing("admin", X_Project_Id="billing")
    assert admin.get("/v1/metrics").json()["pattern_count"] == 1
    missing = house.bearing("admin", X_Project_Id="nowhere").get("/v1/metrics")
    assert code(missing) == (404, "not_found")
    assert house.rows("SELECT project_id FROM projects ORDER BY 1") == [("billing",), ("default",)]


def test_another_tenants_project_is_answered_as_one_that_is_not_there(house: House) -> None:
    house.bearing("editor", org="zeta", team="secret").learn("Sum the invoices")
    named, missing = (
        house.bearing("admin", X_Project_Id=project).get("/v1/metrics") for project in ("secret", "nowhere")
    )
    assert (named.status, named.json()) == (404, missing.json())


def test_what_was_stored_without_a_register_is_there(house: House, postgres_url: str) -> None:
    with PostgresStorage(database_url=postgres_url).scoped(Scope("acme", "old")).writing() as stores:
        stores.patterns.use_embedding_model("hash-384")
    assert house.bearing("admin", X_Project_Id="old").get("/v1/metrics").status == 200
    assert house.bearing("reader", team="old").get("/v1/metrics").status == 200
    assert house.rows("SELECT project_id FROM projects WHERE project_id = 'old'") == []


def test_the_limit_of_the_project_holds_for_requests_and_for_jobs(house: House, postgres_url: str) -> None:
    admin = house.bearing("admin")
    admin.learn("Sum the invoices")
    record = admin.get("/v1/export").json()["records"][0]
    with psycopg.connect(postgres_url) as connection:
        connection.execute("INSERT INTO projects VALUES ('acme', 'small', 1, now())")
    small = house.bearing("admin", X_Project_Id="small")
    small.learn("Merge two files")
    full = small.post("/v1/learn", {"task": "Draw a chart of sales", "code": "x", "eval_score": 5})
    assert full.status == 429, full.body
    other = house.bearing("editor", team="small")
    assert other.post("/v1/learn", {"task": "Send mail", "code": "x", "eval_score": 5}).status == 429
    handed_in = small.post("/v1/import", {"records": [record]}, {"prefer": "respond-async"})
    assert handed_in.status == 429


def test_a_limit_that_comes_while_a_job_waits_holds_for_it(postgres_url: str) -> None:
    database = Database(postgres_url, Limits())
    projects = ProjectService(
        database, FrozenClock(), ledger=AuditLedger(Seal(None)), tell=lambda *_: None, announce=announce
    )
    scope = Scope("acme", "small")
    assert projects.limit_of(scope, "oidc-1") is None
    with psycopg.connect(postgres_url) as connection:
        connection.execute("INSERT INTO projects VALUES ('acme', 'small', 3, now())")
    assert projects.limit_of(scope, "oidc-1") == 3
    database.dispose()


def test_on_files_beside_a_database_the_same_holds(tmp_path: Path, postgres_url: str) -> None:
    with housed(tmp_path, postgres_url, None) as house:
        house.bearing("editor", team="billing").learn("Sum the invoices")
        assert house.bearing("admin", X_Project_Id="billing").get("/v1/metrics").status == 200
        assert house.bearing("admin", X_Project_Id="nowhere").get("/v1/metrics").status == 404


def test_while_the_database_is_away_nobody_is_refused(tmp_path: Path) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    with housed(tmp_path, nowhere, None) as house:
        answer = house.bearing("reader").get("/v1/metrics")
        assert code(answer) == (503, "unavailable")
        assert "retry-after" in answer


def test_a_schema_that_is_behind_is_refused_at_the_start(
    tmp_path: Path, postgres_server: PrivateServer
) -> None:
    url = postgres_server.create_database("oidc_without_schema")
    with (
        pytest.raises(StorageError, match="engramia db upgrade"),
        housed(tmp_path, url, None),
    ):
        pass
    settings = Settings(
        auth_mode="oidc", database_url=url, oidc_issuer="https://a.example", oidc_audience="b"
    )
    (check,) = key_checks(settings)
    assert (check.name, check.status) == ("projects", "fail")
