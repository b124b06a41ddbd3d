"""The commands for jobs, on jobs that are really stored."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engramia.cli.exit_codes import ExitCode
from engramia.core.jobs import Job, JobError, JobStatus
from engramia.core.model import Scope
from engramia.providers.json.storage import JSONStorage
from tests.cli.conftest import Cli

BEGIN = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
LONG = timedelta(minutes=5)


def job(name: str, minutes: int) -> Job:
    at = BEGIN + timedelta(minutes=minutes)
    return Job(
        id=f"job_{name}", operation="aging", request={"secret": "of the request"}, created_at=at, run_at=at
    )


@pytest.fixture
def stored(data_path: Path) -> None:
    """One job that is done, one that failed, one that runs, one that waits."""
    storage = JSONStorage(data_path)
    with storage.scoped(Scope()).writing() as stores:
        jobs = stores.jobs
        for minutes, name in enumerate(("done", "failed", "running")):
            jobs.add(job(name, minutes))
            claimed = jobs.claim(worker="w", now=BEGIN + LONG, lease_until=BEGIN + 2 * LONG)
            assert claimed
            if name == "done":
                assert jobs.complete(claimed.id, claimed.fence, {"pruned": 4}, BEGIN + LONG)
            if name == "failed":
                error = JobError("upstream_timeout", "The model did not answer in time.")
                assert jobs.fail(claimed.id, claimed.fence, error, BEGIN + LONG)
        jobs.add(job("waiting", 9))
    storage.close()


def test_without_jobs_it_says_how_to_make_one(cli: Cli) -> None:
    assert cli("jobs", "list", "--json").document == {"jobs": [], "has_more": False, "next_offset": None}
    assert "respond-async" in cli("jobs", "list").out


@pytest.mark.usefixtures("stored")
def test_jobs_are_listed_newest_first_and_page_by_page(cli: Cli) -> None:
    document = cli("jobs", "list", "--json").document
    assert [(one["id"], one["status"]) for one in document["jobs"]] == [
        ("job_waiting", "pending"),
        ("job_running", "running"),
        ("job_failed", "failed"),
        ("job_done", "completed"),
    ]
    page = cli("jobs", "list", "--limit", "3", "--json").document
    assert (len(page["jobs"]), page["has_more"], page["next_offset"]) == (3, True, 3)
    rest = cli("jobs", "list", "--limit", "3", "--offset", "3", "--json").document
    assert [one["id"] for one in rest["jobs"]] == ["job_done"]
    assert "--offset 3" in cli("jobs", "list", "--limit", "3").out


@pytest.mark.usefixtures("stored")
def test_people_see_the_status_and_why_one_failed(cli: Cli) -> None:
    shown = cli("jobs", "list").out
    for text in ("completed", "pending", "job_running", "upstream_timeout: The model did not answer"):
        assert text in shown
    assert "of the request" not in shown


@pytest.mark.usefixtures("stored")
def test_the_status_chooses(cli: Cli) -> None:
    for status in JobStatus:
        document = cli("jobs", "list", "--status", status.value, "--json").document
        assert {one["status"] for one in document["jobs"]} <= {status.value}
    assert len(cli("jobs", "list", "--status", "failed", "--json").document["jobs"]) == 1
    assert cli("jobs", "list", "--status", "lost").code == ExitCode.USAGE
    assert cli("jobs", "list", "--limit", "101").code == ExitCode.USAGE


@pytest.mark.usefixtures("stored")
def test_one_job_is_shown_with_its_result_or_its_error(cli: Cli) -> None:
    done = cli("jobs", "show", "job_done", "--json").document
    assert (done["result"], done["error"], done["attempts"]) == ({"pruned": 4}, None, 1)
    assert done["completed_at"] == "2026-11-02T09:35:00Z"
    assert "request" not in done
    shown = cli("jobs", "show", "job_done").out
    assert "Pruned" in shown
    assert "completed" in shown
    assert "upstream_timeout" in cli("jobs", "show", "job_failed").out


@pytest.mark.usefixtures("stored")
def test_a_waiting_job_is_cancelled_and_stays_so(cli: Cli) -> None:
    ended = cli("jobs", "cancel", "job_waiting", "--json")
    assert (ended.code, ended.document) == (ExitCode.OK, {"cancelled": True, "job_id": "job_waiting"})
    assert cli("jobs", "show", "job_waiting", "--json").document["status"] == "cancelled"
    assert cli("jobs", "cancel", "job_waiting").code == ExitCode.NOT_ALLOWED


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("name", "status"), [("done", "completed"), ("failed", "failed"), ("running", "running")]
)
def test_only_a_waiting_job_can_be_cancelled(cli: Cli, name: str, status: str) -> None:
    ended = cli("jobs", "cancel", f"job_{name}", "--json")
    assert ended.code == ExitCode.NOT_ALLOWED
    assert (ended.document["error"], ended.document["status"]) == ("conflict", status)
    assert cli("jobs", "show", f"job_{name}", "--json").document["status"] == status


@pytest.mark.usefixtures("stored")
def test_what_is_not_there_is_not_found_in_another_project_either(cli: Cli) -> None:
    for arguments in (
        ("show", "job_none"),
        ("cancel", "job_none"),
        ("show", "job_done", "--project", "other"),
    ):
        ended = cli("jobs", *arguments, "--json")
        assert (ended.code, ended.document["error"]) == (ExitCode.NOT_FOUND, "not_found"), arguments
    assert "jobs list" in cli("jobs", "show", "job_none").err


def test_how_far_an_import_came_is_shown(cli: Cli, data_path: Path) -> None:
    storage = JSONStorage(data_path)
    with storage.scoped(Scope()).writing() as stores:
        stores.jobs.add(job("import", 1))
        claimed = stores.jobs.claim(worker="w", now=BEGIN + LONG, lease_until=BEGIN + 2 * LONG)
        assert claimed
        so_far = {"done": 1256, "total": 5000, "imported": 1255, "skipped": 1, "reasons": ["of a record"]}
        assert stores.jobs.advance(claimed.id, claimed.fence, so_far, BEGIN + 2 * LONG)
    storage.close()
    told = cli("jobs", "show", "job_import").out
    assert "1,256 done, 5,000 total, 1,255 imported, 1 skipped" in told
    document = cli("jobs", "show", "job_import", "--json").document
    assert document["progress"] == {"done": 1256, "total": 5000, "imported": 1255, "skipped": 1}
