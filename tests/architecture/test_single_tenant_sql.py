"""Every statement is one tenant's: what lets the tables be spread over many machines by `tenant_id`."""

import inspect
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from engramia.core import ports
from engramia.db import schema
from engramia.db.audit_archive import AuditArchive
from engramia.db.base import VERSION_TABLE
from engramia.db.private_server import PrivateServer
from engramia.server.keys.service import KeyService
from engramia.server.tenancy.service import ProjectService
from tests.architecture.scenario import Scenario
from tests.architecture.single_tenant import Sent, read_log, statements
from tests.postgres import QUICK

_LOGGED = {**QUICK, "log_statement": "all", "log_line_prefix": "%a|"}

UNDIVIDED = {
    VERSION_TABLE: "the revision of the schema: one row",
    "service_secrets": "the service's own: a few rows",
    "service_counters": "the service's own: a few rows",
}
"""Tables that belong to no tenant: on every machine the same."""
DIRECTORY = {
    "tenants": "read before the tenant's machine is known",
    "projects": "read with a key",
    "api_keys": "a key is looked up before anybody knows whose it is",
}
"""Tables with a tenant that are small and stay in one place, as docs/scaling.md says."""
CROSSING = {"api_keys_digest": "of the directory: finds a key before anybody knows whose it is"}
"""Unique indexes that do not begin with the tenant."""
ACROSS_TENANTS = {
    "FROM scopes ORDER BY scopes.tenant_id": "the directory of scopes, for `engramia migrate` and doctor",
    "FROM scopes WHERE scopes.jobs_due IS NOT NULL": "where workers find tenants with jobs",
    "FROM audit_heads ORDER BY audit_heads.tenant_id": "the directory of chains, for `engramia audit verify`",
    "FROM api_keys WHERE api_keys.digest = $1": "the key lookup, in the directory of keys",
}
"""Statements that ask for no one tenant, by what they read, and why each may."""

_PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"
_DISTRIBUTED = re.compile(r"create_distributed_table\('(\w+)', 'tenant_id'")
_KEPT = re.compile(r"citus_add_local_table_to_metadata\('(\w+)'")
_TABLES = "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
_WITH_TENANT = (
    "SELECT attrelid::regclass::text FROM pg_attribute WHERE attname = 'tenant_id' AND attnotnull "
    "AND attnum > 0 AND attrelid = ANY (%s::regclass[])"
)
_INDEXES = (
    "SELECT indexrelid::regclass::text, indrelid::regclass::text, indisunique, attname "
    "FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam "
    "LEFT JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0] "
    "WHERE amname = 'btree' AND indrelid = ANY (%s::regclass[])"
)
_FOREIGN_KEYS = (
    "SELECT conname, ours.attname, theirs.attname, confrelid::regclass::text FROM pg_constraint "
    "JOIN pg_attribute ours ON ours.attrelid = conrelid AND ours.attnum = conkey[1] "
    "JOIN pg_attribute theirs ON theirs.attrelid = confrelid AND theirs.attnum = confkey[1] "
    "WHERE contype = 'f'"
)


@dataclass(frozen=True)
class Recording:
    """A database in which everything was asked once: what was sent, and what was called for it."""

    url: str
    sent: Sequence[Sent]
    called: frozenset[str]
    distributed: frozenset[str]

    def rows(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(statement, values).fetchall()


def with_tenant(url: str) -> frozenset[str]:
    with psycopg.connect(url) as connection:
        tables = [str(name) for (name,) in connection.execute(_TABLES)]
        return frozenset(str(name) for (name,) in connection.execute(_WITH_TENANT, [tables]))


@pytest.fixture(scope="module")
def recording() -> Iterator[Recording]:
    folder = Path(tempfile.mkdtemp(prefix="engramia-statements-"))
    with PrivateServer(folder, options=_LOGGED) as server:
        url = server.create_database("statements")
        schema.upgrade(url)
        server.log.write_text("")
        scenario = Scenario(url)
        scenario.run()
        sent = [*read_log(server.log, "engramia")]
        yield Recording(url, sent, frozenset(scenario.called), with_tenant(url))
    shutil.rmtree(folder)


@pytest.mark.slow
def test_the_scenario_asks_all_that_there_is_to_ask(recording: Recording) -> None:
    """A new method that the scenario does not call fails here; one that is not called is not checked."""
    stores = ("PatternStore", "FeedbackStore", "ActivityLog", "JobStore", "IdempotencyStore", "AuditTrail")
    asked = {f"Postgres{name}": getattr(ports, name) for name in stores}
    classes = asked | {
        "KeyService": KeyService,
        "ProjectService": ProjectService,
        "AuditArchive": AuditArchive,
        "PostgresMover": ports.Mover,
    }
    missing = {
        f"{name}.{method}"
        for name, kind in classes.items()
        for method, _ in inspect.getmembers(kind, inspect.isfunction)
        if not method.startswith("_")
    } - recording.called
    assert not missing


@pytest.mark.slow
def test_every_statement_over_tables_of_tenants_is_one_tenants(recording: Recording) -> None:
    used: Counter[str] = Counter()
    named: set[str] = set()
    for message in recording.sent:
        for text, statement in statements(message, recording.distributed):
            named |= statement.tables
            fault = statement.fault()
            excuse = next((known for known in ACROSS_TENANTS if known in text), None)
            if fault is not None and excuse is not None:
                used[excuse] += 1
                continue
            assert fault is None, f"{fault}: {text}"
    assert set(used) == set(ACROSS_TENANTS)  # an excuse that nothing needs is none
    assert named == recording.distributed  # nor is a table checked that nothing was asked of


@pytest.mark.slow
def test_every_table_has_its_tenant_or_is_said_to_need_none(recording: Recording) -> None:
    tables = {str(name) for (name,) in recording.rows(_TABLES)}
    assert tables - recording.distributed == set(UNDIVIDED)
    assert set(DIRECTORY) <= recording.distributed


@pytest.mark.slow
def test_every_index_begins_with_the_tenant(recording: Recording) -> None:
    found = recording.rows(_INDEXES, [*recording.distributed])
    assert len(found) > len(recording.distributed)
    assert {str(index) for index, _, _, first in found if first != "tenant_id"} == set(CROSSING)
    unique_in = {str(table) for _, table, unique, first in found if unique and first == "tenant_id"}
    assert unique_in == recording.distributed
    crossing = {str(table) for index, table, _, _ in found if index in CROSSING}
    assert crossing <= set(DIRECTORY)


@pytest.mark.slow
def test_every_foreign_key_begins_with_the_tenant_on_both_sides(recording: Recording) -> None:
    found = recording.rows(_FOREIGN_KEYS)
    assert found
    for name, ours, theirs, referenced in found:
        assert (ours, theirs) == ("tenant_id", "tenant_id"), name
        assert referenced not in DIRECTORY, name


@pytest.mark.slow
def test_no_function_hides_statements_from_the_check(recording: Recording) -> None:
    found = recording.rows(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace "
        "AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')"
    )
    assert not found
    assert not recording.rows("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")


@pytest.mark.slow
def test_the_page_on_scaling_distributes_every_table_and_keeps_the_directory(recording: Recording) -> None:
    page = _PAGE.read_text()
    assert set(_DISTRIBUTED.findall(page)) == recording.distributed - set(DIRECTORY)
    assert set(_KEPT.findall(page)) == {*DIRECTORY, *UNDIVIDED} - {VERSION_TABLE}


TABLES = frozenset({"patterns", "jobs"})
_A, _B = "'acme'", "'zeta'"


def faults(sql: str, *values: str) -> list[str | None]:
    sent = Sent(sql, dict(enumerate(values, 1)))
    return [statement.fault() for _, statement in statements(sent, TABLES) if statement.references]


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        ("SELECT * FROM patterns WHERE tenant_id = $1 AND number > 3", [_A]),
        ("SELECT * FROM patterns p JOIN jobs j ON j.tenant_id = p.tenant_id WHERE p.tenant_id = $1", [_A]),
        ('SELECT * FROM patterns AS p WHERE p.tenant_id = $1::VARCHAR COLLATE "C"', [_A]),
        ("SELECT 1 FROM (SELECT) AS one LEFT JOIN patterns ON tenant_id = 'acme'", []),
        ("WITH w AS (SELECT * FROM jobs WHERE tenant_id = $1) SELECT * FROM w", [_A]),
        ("INSERT INTO jobs (id, tenant_id) VALUES ($1, $2), ($3, $4)", ["'a'", _A, "'b'", _A]),
        ("INSERT INTO jobs (tenant_id, id) SELECT $1, x FROM unnest($2) AS x", [_A, "'{}'"]),
        ("UPDATE jobs SET id = 1 WHERE tenant_id = $1", [_A]),
        ("DELETE FROM jobs WHERE tenant_id = $1 AND id = (SELECT 1 FROM patterns WHERE tenant_id = $1)",
         [_A]),
        ("SELECT FROM jobs WHERE tenant_id = $1 AND EXISTS (SELECT FROM patterns WHERE tenant_id = $1)",
         [_A]),
        ("SELECT (SELECT 1 FROM jobs j WHERE j.tenant_id = p.tenant_id) FROM patterns p WHERE tenant_id = $1",
         [_A]),
    ],
)  # fmt: skip
def test_a_statement_of_one_tenant_is_known(sql: str, values: list[str]) -> None:
    assert faults(sql, *values) == [None]


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        ("SELECT * FROM patterns", []),
        ("SELECT * FROM patterns WHERE project_id = $1", [_A]),
        ("SELECT * FROM patterns WHERE tenant_id = $1 OR number = 3", [_A]),
        ("SELECT * FROM patterns WHERE tenant_id <> $1", [_A]),
        ("SELECT * FROM patterns WHERE tenant_id = ANY ($1)", ["'{acme}'"]),
        ("SELECT * FROM patterns WHERE tenant_id > $1", [_A]),
        ("SELECT * FROM patterns p JOIN jobs j ON j.id = p.id WHERE p.tenant_id = $1", [_A]),
        ("SELECT * FROM patterns p, jobs j WHERE p.tenant_id = $1 AND j.tenant_id = $2", [_A, _B]),
        ("SELECT (SELECT count(*) FROM jobs) FROM patterns WHERE tenant_id = $1", [_A]),
        ("SELECT * FROM patterns WHERE tenant_id = $1 UNION ALL SELECT * FROM patterns", [_A]),
        ("WITH w AS (SELECT * FROM jobs) SELECT * FROM w", []),
        ("INSERT INTO jobs (id, tenant_id) VALUES ($1, $2), ($3, $4)", ["'a'", _A, "'b'", _B]),
        ("INSERT INTO jobs (tenant_id, id) SELECT x, x FROM unnest($1) AS x", ["'{}'"]),
        ("INSERT INTO jobs (id) VALUES ($1)", ["'a'"]),
        ("UPDATE jobs SET id = 1", []),
        ("UPDATE jobs SET id = 1 FROM patterns WHERE jobs.tenant_id = $1", [_A]),
        ("DELETE FROM jobs USING patterns WHERE jobs.tenant_id = $1 AND patterns.id = jobs.id", [_A]),
        ("DELETE FROM jobs WHERE id IN (SELECT id FROM patterns) AND tenant_id = $1", [_A]),
        ("BEGIN; SELECT 1; DELETE FROM jobs", []),
    ],
)  # fmt: skip
def test_a_statement_that_may_be_of_several_tenants_is_found(sql: str, values: list[str]) -> None:
    assert [fault for fault in faults(sql, *values) if fault is not None]
