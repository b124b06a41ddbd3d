"""`GET /v1/audit` over real HTTP."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engramia.core.audit import AuditEntry
from tests.server.api import Api, service
from tests.server.audit.kept import archive_at, audited

pytestmark = pytest.mark.slow  # a database server

NOW = datetime(2026, 11, 3, 9, 30, tzinfo=UTC)


def fill(url: str, count: int = 5) -> None:
    """Keep `count` acts of our tenant, an hour apart, and as many of another's."""
    with archive_at(url) as archive:
        for tenant in ("default", "zeta"):
            archive.keep(
                [
                    AuditEntry(
                        event="key.created" if number % 2 else "key.revoked",
                        outcome="failed" if number == 1 else "success",
                        actor=f"{tenant}_{number}",
                        at=NOW + timedelta(hours=number),
                        tenant_id=tenant,
                        project_id="red",
                        facts={"number": number},
                    )
                    for number in range(1, count + 1)
                ]
            )


def found(api: Api, query: str) -> list[int]:
    answer = api.get(f"/v1/audit?{query}")
    assert answer.status == 200, answer.body
    entries = answer.json()["entries"]
    assert all(entry["actor"].startswith("default_") for entry in entries)
    return [entry["seq"] for entry in entries]


def test_the_trail_of_ones_own_tenant_is_shown_newest_first(tmp_path: Path, postgres_url: str) -> None:
    fill(postgres_url)
    with audited(tmp_path, postgres_url, role="admin") as api:
        page = api.get("/v1/audit?limit=2").json()
        assert (page["has_more"], page["next_offset"]) == (True, 2)
        newest = page["entries"][0]
        shown = {name: newest[name] for name in newest if name != "hash"}
        assert shown == {
            "seq": 5,
            "at": "2026-11-03T14:30:00Z",
            "event": "key.created",
            "outcome": "success",
            "actor": "default_5",
            "project_id": "red",
            "request_id": None,
            "ip": None,
            "facts": {"number": 5},
        }
        page = api.get("/v1/audit?limit=2&offset=3").json()
        assert [entry["seq"] for entry in page["entries"]] == [2, 1]
        assert (page["has_more"], page["next_offset"]) == (False, None)


def test_filters_narrow_it(tmp_path: Path, postgres_url: str) -> None:
    fill(postgres_url)
    with audited(tmp_path, postgres_url) as api:
        assert found(api, "") == [5, 4, 3, 2, 1]
        assert found(api, "event=key.revoked") == [4, 2]
        assert found(api, "actor=default_3") == [3]
        assert found(api, "outcome=failed") == [1]
        assert found(api, "since=2026-11-03T12:30:00Z") == [5, 4, 3]
        assert found(api, "until=2026-11-03T12:30:00Z") == [2, 1]
        assert found(api, "since=2026-11-03T13:30:00%2B02:00&until=2026-11-03T12:30:00Z") == [2]
        assert found(api, "actor=zeta_1") == []


@pytest.mark.parametrize(
    ("role", "status"), [("reader", 403), ("editor", 403), ("admin", 200), ("owner", 200)]
)
def test_admins_and_owners_may_read_it(tmp_path: Path, postgres_url: str, role: str, status: int) -> None:
    with audited(tmp_path, postgres_url, role=role) as api:
        assert api.get("/v1/audit").status == status


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "offset=-1",
        "outcome=maybe",
        "since=yesterday",
        "since=2026-11-03T09:30:00",
        "event=a%00b",
    ],
)
def test_what_cannot_be_asked_for_is_refused(tmp_path: Path, postgres_url: str, query: str) -> None:
    with audited(tmp_path, postgres_url) as api:
        answer = api.get(f"/v1/audit?{query}")
    assert (answer.status, answer.json()["error"]) == (422, "validation_error")


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-12:00"])
def test_moments_at_the_ends_of_time_are_fine(tmp_path: Path, postgres_url: str, moment: str) -> None:
    with audited(tmp_path, postgres_url) as api:
        assert found(api, f"since={moment}&until={moment}") == []


def test_without_a_database_there_is_nothing_to_read(tmp_path: Path) -> None:
    with service(tmp_path) as api:
        answer = api.get("/v1/audit")
    assert (answer.status, answer.json()["error"]) == (501, "database_required")
