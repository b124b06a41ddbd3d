"""Whoever may write to the tables changes what was kept, as the database's superuser can: the check tells."""

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import sql

from engramia.core.audit import AuditEntry, AuditQuery, AuditRow
from engramia.core.audit_chain import ChainFault, Seal
from engramia.db.audit import AuditLedger
from engramia.db.audit_archive import AuditArchive
from engramia.db.session import Database, Limits

pytestmark = pytest.mark.slow  # a database server

SECRET = "a long sentence that only the service knows"  # noqa: S105 - made up for these tests
NOW = datetime(2026, 11, 3, 9, 30, tzinfo=UTC)
ROWS = 6
COLUMNS = {
    "tenant_id": "'zeta'",
    "seq": "77",
    "at": "at + interval '1 microsecond'",
    "event": "'key.revoked'",
    "outcome": "'failed'",
    "actor": "'somebody'",
    "project_id": "NULL",
    "request_id": "''",
    "ip": "'192.0.2.8'",
    "facts": "replace(facts, '1', '2')",
    "seal": "'sha256'",
    "previous": "repeat('1', 64)",
    "hash": "repeat('1', 64)",
}


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    opened = Database(postgres_url, Limits())
    yield opened
    opened.dispose()


@pytest.fixture
def superuser(postgres_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


def kept(database: Database, seal: Seal, rows: int = ROWS) -> AuditArchive:
    """Return an archive with a chain of `rows` and one of a neighbour."""
    archive = AuditArchive(database, AuditLedger(seal))
    for tenant in ("acme", "other"):
        archive.keep([entry(number, tenant) for number in range(1, rows + 1)])
    return archive


def entry(number: int, tenant: str = "acme") -> AuditEntry:
    return AuditEntry(
        event="pattern.deleted",
        outcome="success",
        actor="key_1",
        at=NOW,
        tenant_id=tenant,
        project_id="red",
        request_id="r1",
        ip="192.0.2.7",
        facts={"number": 10 + number},
    )


def fault(archive: AuditArchive) -> ChainFault:
    found = archive.verify("acme").fault
    assert found is not None
    assert archive.verify("other").fault is None
    return found


@pytest.mark.parametrize("secret", [SECRET, None])
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("seq", [1, 3, ROWS])
def test_a_row_with_any_column_altered_is_the_first_bad_one(
    database: Database, superuser: psycopg.Connection, column: str, seq: int, secret: str | None
) -> None:
    archive = kept(database, Seal.of(secret))
    altered = "'hmac-sha256:00000000'" if (column, secret) == ("seal", None) else COLUMNS[column]
    update = sql.SQL("UPDATE audit_log SET {} = {} WHERE tenant_id = 'acme' AND seq = %s").format(
        sql.Identifier(column), sql.SQL(altered)
    )
    assert superuser.execute(update, [seq]).rowcount == 1
    assert fault(archive).seq == seq


@pytest.mark.parametrize(("first", "last"), [(1, 1), (3, 3), (2, 4), (ROWS, ROWS), (4, ROWS), (1, ROWS)])
def test_the_first_row_that_was_deleted_is_named(
    database: Database, superuser: psycopg.Connection, first: int, last: int
) -> None:
    archive = kept(database, Seal.of(SECRET))
    superuser.execute(
        "DELETE FROM audit_log WHERE tenant_id = 'acme' AND seq BETWEEN %s AND %s", [first, last]
    )
    found = fault(archive)
    assert (found.seq, found.reason) == (first, "missing")


def test_rows_that_were_swapped_are_found(database: Database, superuser: psycopg.Connection) -> None:
    archive = kept(database, Seal.of(SECRET))
    for old, new in ((2, 99), (4, 2), (99, 4)):
        superuser.execute("UPDATE audit_log SET seq = %s WHERE tenant_id = 'acme' AND seq = %s", [new, old])
    found = fault(archive)
    assert (found.seq, found.reason) == (2, "altered")


def test_deleting_a_row_and_closing_the_gap_is_found(
    database: Database, superuser: psycopg.Connection
) -> None:
    archive = kept(database, Seal.of(SECRET))
    superuser.execute("DELETE FROM audit_log WHERE tenant_id = 'acme' AND seq = 3")
    for seq in range(4, ROWS + 1):
        superuser.execute(
            "UPDATE audit_log SET seq = %s WHERE tenant_id = 'acme' AND seq = %s", [seq - 1, seq]
        )
    superuser.execute("UPDATE audit_heads SET seq = seq - 1 WHERE tenant_id = 'acme'")
    found = fault(archive)
    assert (found.seq, found.reason) == (3, "altered")


@pytest.mark.parametrize(
    ("statement", "seq", "reason"),
    [
        ("UPDATE audit_heads SET hash = repeat('1', 64) WHERE tenant_id = 'acme'", ROWS, "head"),
        ("UPDATE audit_heads SET seq = seq + 1 WHERE tenant_id = 'acme'", ROWS + 1, "missing"),
        ("UPDATE audit_heads SET seq = seq - 1 WHERE tenant_id = 'acme'", ROWS, "beyond_head"),
        ("DELETE FROM audit_heads WHERE tenant_id = 'acme'", ROWS, "head"),
    ],
)
def test_a_head_that_was_altered_is_found(
    database: Database, superuser: psycopg.Connection, statement: str, seq: int, reason: str
) -> None:
    archive = kept(database, Seal.of(SECRET))
    superuser.execute(statement.encode())
    found = fault(archive)
    assert (found.seq, found.reason) == (seq, reason)


def insert(superuser: psycopg.Connection, row: AuditRow) -> None:
    superuser.execute(
        "INSERT INTO audit_log VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            row.tenant_id,
            row.seq,
            row.at,
            row.event,
            row.outcome,
            row.actor,
            row.project_id,
            row.request_id,
            row.ip,
            row.facts,
            row.seal,
            row.previous,
            row.hash,
        ],
    )


def forged(archive: AuditArchive, seq: int, actor: str, previous: str, seal: Seal) -> AuditRow:
    """Return the row `seq` as somebody would like it to be."""
    newest = archive.page("acme", AuditQuery(), limit=1, offset=0).items[0]
    values = {name: getattr(newest, name) for name in newest.__slots__}
    return seal.sealed(AuditRow(**(values | {"seq": seq, "actor": actor, "previous": previous})))


def test_a_row_that_was_put_behind_the_last_is_found(
    database: Database, superuser: psycopg.Connection
) -> None:
    archive = kept(database, Seal.of(SECRET))
    last = archive.verify("acme").last
    for seal, reason in ((Seal.of("a guess"), "other_secret"), (Seal.of(None), "unkeyed")):
        insert(superuser, forged(archive, ROWS + 1, "intruder", last.hash, seal))
        found = fault(archive)
        assert (found.seq, found.reason) == (ROWS + 1, reason)
        superuser.execute("DELETE FROM audit_log WHERE seq > %s", [ROWS])


def rewritten(archive: AuditArchive, superuser: psycopg.Connection, *, first: int, seal: Seal) -> None:
    """Give every row from `first` on another actor, sealed and linked anew, and the head too."""
    rows = list(archive.page("acme", AuditQuery(), limit=ROWS, offset=0))[::-1]
    previous = rows[first - 1].previous
    superuser.execute("DELETE FROM audit_log WHERE tenant_id = 'acme' AND seq >= %s", [first])
    for row in rows[first - 1 :]:
        values = {name: getattr(row, name) for name in row.__slots__}
        row = seal.sealed(AuditRow(**(values | {"actor": "intruder", "previous": previous})))  # noqa: PLW2901 - the same row
        insert(superuser, row)
        previous = row.hash
    superuser.execute("UPDATE audit_heads SET hash = %s WHERE tenant_id = 'acme'", [previous])


@pytest.mark.parametrize("seal", [Seal.of(None), Seal.of("a guess")])
def test_without_the_secret_nobody_can_write_the_chain_anew(
    database: Database, superuser: psycopg.Connection, seal: Seal
) -> None:
    archive = kept(database, Seal.of(SECRET))
    rewritten(archive, superuser, first=3, seal=seal)
    assert fault(archive).seq == 3


def test_a_chain_written_anew_without_a_secret_from_its_beginning_is_told_as_unkeyed(
    database: Database, superuser: psycopg.Connection
) -> None:
    archive = kept(database, Seal.of(SECRET))
    rewritten(archive, superuser, first=1, seal=Seal.of(None))
    assert archive.verify("acme").unkeyed == ROWS


def test_an_anchor_kept_elsewhere_shows_a_chain_that_was_written_anew(
    database: Database, superuser: psycopg.Connection
) -> None:
    archive = kept(database, Seal.of(None))
    third = archive.page("acme", AuditQuery(), limit=1, offset=3).items[0]
    rewritten(archive, superuser, first=2, seal=Seal.of(None))
    assert archive.verify("acme").fault is None
    found = archive.verify("acme", anchors={third.seq: third.hash}).fault
    assert found is not None
    assert (found.seq, found.reason) == (3, "anchor")


def test_an_anchor_kept_elsewhere_shows_an_end_that_was_cut_off(
    database: Database, superuser: psycopg.Connection
) -> None:
    archive = kept(database, Seal.of(SECRET))
    before, last = archive.page("acme", AuditQuery(), limit=2, offset=2), archive.verify("acme").last
    superuser.execute("DELETE FROM audit_log WHERE tenant_id = 'acme' AND seq > 4")
    superuser.execute(
        "UPDATE audit_heads SET seq = 4, hash = %s WHERE tenant_id = 'acme'", [before.items[0].hash]
    )
    assert archive.verify("acme").fault is None
    found = archive.verify("acme", anchors={last.seq: last.hash}).fault
    assert found is not None
    assert (found.seq, found.reason) == (5, "missing")


def test_one_row_sealed_anew_without_a_secret_is_named_by_the_one_after(
    database: Database, superuser: psycopg.Connection
) -> None:
    archive = kept(database, Seal.of(None))
    second = archive.page("acme", AuditQuery(), limit=1, offset=ROWS - 2).items[0]
    superuser.execute("DELETE FROM audit_log WHERE tenant_id = 'acme' AND seq = 2")
    insert(superuser, forged(archive, 2, "intruder", second.previous, Seal.of(None)))
    found = fault(archive)
    assert (found.seq, found.reason) == (2, "replaced")


def test_a_chain_goes_on_under_a_new_secret_and_the_old_one_is_asked_for(database: Database) -> None:
    kept(database, Seal.of(None), rows=2)
    AuditArchive(database, AuditLedger(Seal.of("the first"))).keep([entry(3)])
    archive = AuditArchive(database, AuditLedger(Seal.of(SECRET)))
    archive.keep([entry(4)])
    found = archive.verify("acme").fault
    assert found is not None
    assert (found.seq, found.reason) == (3, "other_secret")
    report = archive.verify("acme", old_seals=[Seal.of("the first")])
    assert (report.fault, report.unkeyed, report.last.seq) == (None, 2, 4)
