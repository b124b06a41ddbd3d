"""`engramia audit` over a real Postgres."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from engramia.cli.exit_codes import ExitCode
from engramia.core.audit import NOBODY, AuditEntry
from engramia.core.audit_chain import Seal
from engramia.db.audit import AuditLedger
from engramia.db.audit_archive import AuditArchive
from engramia.db.session import Database, Limits
from tests.cli.conftest import Cli

pytestmark = pytest.mark.slow  # a database server

SECRET = "a long sentence that only the service knows"  # noqa: S105 - made up for these tests
NOW = datetime(2026, 11, 3, 9, 30, tzinfo=UTC)


def keep(url: str, tenant: str, count: int, secret: str | None = SECRET) -> None:
    database = Database(url, Limits())
    archive = AuditArchive(database, AuditLedger(Seal.of(secret)))
    archive.keep(
        [
            AuditEntry(
                event="key.created",
                outcome="success",
                actor=f"key_{number}",
                at=NOW.replace(hour=number),
                tenant_id=tenant,
                facts={"role": "reader"},
            )
            for number in range(1, count + 1)
        ]
    )
    database.dispose()


@pytest.fixture
def chosen(environment: None, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Choose the database by the environment."""
    del environment
    monkeypatch.setenv("ENGRAMIA_DATABASE_URL", postgres_url)
    monkeypatch.setenv("ENGRAMIA_SECRET_KEY", SECRET)


@pytest.fixture
def superuser(postgres_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


@pytest.mark.usefixtures("chosen")
def test_the_trail_of_a_tenant_is_listed(cli: Cli, postgres_url: str) -> None:
    keep(postgres_url, "acme", 4)
    keep(postgres_url, NOBODY, 1)
    listed = cli("audit", "list", "--tenant", "acme", "--limit", "2", "--json").document
    assert [entry["seq"] for entry in listed["entries"]] == [4, 3]
    assert (listed["has_more"], listed["next_offset"]) == (True, 2)
    found = cli("audit", "list", "--tenant", "acme", "--actor", "key_2", "--json").document
    assert [entry["actor"] for entry in found["entries"]] == ["key_2"]
    since = cli("audit", "list", "--tenant", "acme", "--since", "2026-11-03T03:30:00", "--json")
    assert [entry["seq"] for entry in since.document["entries"]] == [4, 3]
    assert len(cli("audit", "list", "--nobody", "--json").document["entries"]) == 1
    drawn = cli("audit", "list", "--tenant", "acme")
    assert (drawn.code, "key.created" in drawn.out) == (ExitCode.OK, True)
    assert "Nothing is kept." in cli("audit", "list", "--tenant", "other").out


@pytest.mark.usefixtures("chosen")
def test_a_sound_chain_is_told_so_and_its_end_is_an_anchor(cli: Cli, postgres_url: str) -> None:
    keep(postgres_url, "acme", 3)
    verified = cli("audit", "verify", "--tenant", "acme", "--json")
    assert (verified.code, verified.document["ok"]) == (ExitCode.OK, True)
    (chain,) = verified.document["chains"]
    assert (chain["tenant"], chain["rows"], chain["unkeyed"], chain["first_bad"]) == ("acme", 3, 0, None)
    anchor = f"{chain['last']['seq']}:{chain['last']['hash']}"
    told = cli("audit", "verify", "--tenant", "acme", "--anchor", anchor)
    assert (told.code, anchor in told.out) == (ExitCode.OK, True)


@pytest.mark.usefixtures("chosen")
def test_a_broken_chain_has_its_own_exit_code_and_the_first_bad_row_is_named(
    cli: Cli, postgres_url: str, superuser: psycopg.Connection
) -> None:
    for tenant in ("acme", "other"):
        keep(postgres_url, tenant, 5)
    superuser.execute("UPDATE audit_log SET actor = 'x' WHERE tenant_id = 'acme' AND seq IN (3, 4)")
    verified = cli("audit", "verify", "--all", "--json")
    assert (verified.code, verified.document["ok"]) == (ExitCode.BROKEN_CHAIN, False)
    acme, other = verified.document["chains"]
    assert (acme["first_bad"]["seq"], acme["first_bad"]["reason"], acme["rows"]) == (3, "altered", 2)
    assert other["first_bad"] is None
    told = cli("audit", "verify", "--tenant", "acme")
    assert told.code == ExitCode.BROKEN_CHAIN
    assert "row 3 is the first bad one" in told.out
    assert cli("audit", "verify", "--tenant", "other").code == ExitCode.OK


@pytest.mark.usefixtures("chosen")
def test_rows_of_an_older_secret_need_it(cli: Cli, postgres_url: str, tmp_path: Path) -> None:
    keep(postgres_url, "acme", 2, secret="the one before")  # noqa: S106 - made up
    keep(postgres_url, "acme", 2)
    refused = cli("audit", "verify", "--tenant", "acme", "--json")
    assert refused.code == ExitCode.BROKEN_CHAIN
    assert refused.document["chains"][0]["first_bad"]["reason"] == "other_secret"
    (tmp_path / "old").write_text("the one before\n")
    verified = cli("audit", "verify", "--tenant", "acme", "--old-secret-file", str(tmp_path / "old"))
    assert verified.code == ExitCode.OK


@pytest.mark.usefixtures("chosen")
def test_rows_written_without_a_secret_are_told(cli: Cli, postgres_url: str) -> None:
    keep(postgres_url, "acme", 2, secret=None)
    told = cli("audit", "verify", "--tenant", "acme")
    assert (told.code, "2 rows were written without ENGRAMIA_SECRET_KEY" in told.out) == (ExitCode.OK, True)


@pytest.mark.parametrize("anchor", ["12", "0:" + "a" * 64, "1:" + "g" * 64, "1:abc"])
@pytest.mark.usefixtures("chosen")
def test_an_anchor_that_is_none_is_refused(cli: Cli, anchor: str) -> None:
    refused = cli("audit", "verify", "--anchor", anchor, "--json")
    assert (refused.code, refused.document["field"]) == (ExitCode.USAGE, "anchor")


@pytest.mark.usefixtures("chosen")
def test_an_anchor_belongs_to_one_chain(cli: Cli) -> None:
    assert cli("audit", "verify", "--all", "--anchor", "1:" + "a" * 64).code == ExitCode.USAGE


def test_without_a_database_there_is_no_trail(cli: Cli) -> None:
    refused = cli("audit", "verify", "--json")
    assert refused.code == ExitCode.STORAGE
    assert "ENGRAMIA_DATABASE_URL" in refused.document["detail"]
