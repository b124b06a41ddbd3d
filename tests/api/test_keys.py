"""Keys, projects and quotas over HTTP, on a real database."""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engramia.core.record_format import parse_time
from engramia.providers import PostgresStorage
from engramia.server.keys.secret import new_secret
from tests.server.api import Api, service
from tests.server.serving import Answer

pytestmark = pytest.mark.slow  # a database server

BOOTSTRAP = "a-bootstrap-token-of-forty-characters-xx"
SHOWN = {
    "id",
    "name",
    "secret",
    "key_prefix",
    "role",
    "tenant_id",
    "project_id",
    "max_patterns",
    "expires_at",
    "created_at",
}


@pytest.fixture
def nobody(tmp_path: Path, postgres_url: str) -> Iterator[Api]:
    """A service over Postgres, to which nobody has a key yet."""
    settings: dict[str, Any] = {"database_url": postgres_url, "auth_mode": "db", "bootstrap_token": BOOTSTRAP}
    with service(tmp_path, storage=PostgresStorage(database_url=postgres_url), **settings) as api:
        yield api


def bearing(api: Api, secret: str, **headers: str) -> Api:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Api(api.address, {"authorization": f"Bearer {secret}"} | named)


@pytest.fixture
def owner(nobody: Api) -> Api:
    answer = nobody.post("/v1/keys/bootstrap", {"token": BOOTSTRAP})
    assert answer.status == 201, answer.body
    return bearing(nobody, answer.json()["secret"])


def made(api: Api, **fields: Any) -> Any:
    answer = api.post("/v1/keys", {"name": "a key", **fields})
    assert answer.status == 201, answer.body
    return answer.json()


def code(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json()["error"]


def run(number: int) -> dict[str, Any]:
    return {"task": f"{'abcdefghij'[number % 10] * 5} job {number}", "code": "x", "eval_score": 5.0}


def test_the_first_key_is_made_once(nobody: Api) -> None:
    path = "/v1/keys/bootstrap"
    assert code(nobody.post(path, {"token": "wrong"})) == (401, "unauthorized")
    assert code(nobody.post(path, {})) == (422, "validation_error")
    assert code(nobody.call("POST", path)) == (400, "bad_request")
    with ThreadPoolExecutor(20) as threads:
        bodies = [{"token": BOOTSTRAP}, {"bootstrap_token": BOOTSTRAP}] * 25
        answers = list(threads.map(lambda body: nobody.post(path, body), bodies))
    assert Counter(answer.status for answer in answers) == {201: 1, 409: 49}
    [first] = [answer.json() for answer in answers if answer.status == 201]
    assert set(first) == SHOWN
    assert (first["role"], first["tenant_id"], first["project_id"]) == ("owner", "default", "default")
    assert nobody.post(path, {"token": BOOTSTRAP}).status == 409
    assert code(nobody.post(path, {"token": "wrong"})) == (401, "unauthorized")
    assert bearing(nobody, first["secret"]).get("/v1/metrics").status == 200


def test_without_a_token_in_the_settings_it_says_what_to_do(tmp_path: Path, postgres_url: str) -> None:
    with service(tmp_path, database_url=postgres_url, auth_mode="db") as api:
        answer = api.post("/v1/keys/bootstrap", {"token": BOOTSTRAP})
        assert code(answer) == (403, "bootstrap_not_configured")
        assert "ENGRAMIA_BOOTSTRAP_TOKEN" in answer.json()["detail"]


def test_keys_work_beside_json_storage_too(tmp_path: Path, postgres_url: str) -> None:
    settings: dict[str, Any] = {"database_url": postgres_url, "bootstrap_token": BOOTSTRAP}  # auto: db
    with service(tmp_path, **settings) as api:
        assert api.get("/v1/metrics").status == 401
        first = api.post("/v1/keys/bootstrap", {"token": BOOTSTRAP}).json()
        key = bearing(api, made(bearing(api, first["secret"]), max_patterns=1)["secret"])
        assert key.post("/v1/learn", run(0)).status == 200
        assert code(key.post("/v1/learn", run(1))) == (429, "quota_exceeded")


def test_a_key_is_made_as_asked_and_its_secret_shown_once(owner: Api) -> None:
    asked = {
        "role": "reader",
        "project_id": "billing",
        "max_patterns": 9,
        "expires_at": "2999-01-01T01:00:00+01:00",
    }
    answer = owner.post("/v1/keys", {"name": "Grüße", **asked})
    assert answer["Cache-Control"] == "no-store"
    key = answer.json()
    assert set(key) == SHOWN
    expected = {"name": "Grüße", **asked, "tenant_id": "default", "expires_at": "2999-01-01T00:00:00Z"}
    assert expected.items() <= key.items()
    assert key["secret"].startswith(key["key_prefix"])
    parse_time(key["created_at"], field="created_at")
    listed = bearing(owner, owner.headers["authorization"][7:], x_project_id="billing").get("/v1/keys")
    [shown] = listed.json()["keys"]
    assert shown["id"] == key["id"]
    assert {"last_used_at", "revoked_at"} <= set(shown)
    assert "secret" not in shown
    assert key["secret"] not in listed.body.decode()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": " "}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\x1bb"}, "name"),
        ({"name": None}, "name"),
        ({"role": "boss"}, "role"),
        ({"max_patterns": 0}, "max_patterns"),
        ({"max_patterns": 2**62}, "max_patterns"),
        ({"max_patterns": "5"}, "max_patterns"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2999-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"project_id": "../x"}, "project_id"),
        ({"project_id": ""}, "project_id"),
    ],
)
def test_what_no_key_can_be_is_refused_with_the_reason(
    owner: Api, fields: dict[str, Any], named: str
) -> None:
    answer = owner.post("/v1/keys", {"name": "x", **fields})
    assert code(answer) == (422, "validation_error")
    assert named in {place for issue in answer.json()["issues"] for place in issue["loc"]}


def test_the_list_pages_through_the_project_newest_first(owner: Api) -> None:
    ids = [made(owner, project_id="p")["id"] for _ in range(5)]
    here = Api(owner.address, owner.headers | {"x-project-id": "p"})
    first = here.get("/v1/keys?limit=3").json()
    assert ([key["id"] for key in first["keys"]], first["has_more"], first["next_offset"]) == (
        ids[:1:-1],
        True,
        3,
    )
    rest = here.get("/v1/keys?limit=3&offset=3").json()
    assert ([key["id"] for key in rest["keys"]], rest["has_more"], rest["next_offset"]) == (
        ids[1::-1],
        False,
        None,
    )
    assert code(here.get("/v1/keys?limit=0")) == (422, "validation_error")


def test_a_key_is_revoked_and_rotated(owner: Api) -> None:
    key = made(owner)
    holder = bearing(owner, key["secret"])
    assert holder.get("/v1/metrics").status == 200
    rotated = owner.post(f"/v1/keys/{key['id']}/rotate").json()
    assert set(rotated) == SHOWN
    assert (rotated["id"], rotated["secret"] == key["secret"]) == (key["id"], False)
    renewed = bearing(owner, rotated["secret"])
    assert renewed.get("/v1/metrics").status == 200
    revoked = owner.call("DELETE", f"/v1/keys/{key['id']}")
    assert revoked.status == 200
    assert {"revoked": True, "id": key["id"]}.items() <= revoked.json().items()
    assert code(owner.post(f"/v1/keys/{key['id']}/rotate")) == (409, "key_revoked")
    [own] = [each for each in owner.get("/v1/keys").json()["keys"] if each["role"] == "owner"]
    assert code(owner.call("DELETE", f"/v1/keys/{own['id']}")) == (409, "last_owner_key")


def test_admins_stay_below_owners(owner: Api) -> None:
    [own] = owner.get("/v1/keys").json()["keys"]
    admin = bearing(owner, made(owner, role="admin")["secret"])
    for answer in (
        admin.post("/v1/keys", {"name": "x", "role": "owner"}),
        admin.post("/v1/keys", {"name": "x", "role": "admin"}),
        admin.post(f"/v1/keys/{own['id']}/rotate"),
        admin.call("DELETE", f"/v1/keys/{own['id']}"),
    ):
        assert code(answer) == (403, "forbidden")
    assert made(admin)["role"] == "editor"
    editor = bearing(owner, made(admin)["secret"])
    assert editor.get("/v1/keys").json() == {
        "error": "forbidden",
        "detail": "Role 'editor' does not have permission 'keys:list'.",
    }


def test_another_tenant_s_key_gets_the_bytes_of_an_unknown_one(owner: Api, postgres_url: str) -> None:
    theirs = made(owner)["id"]
    with psycopg.connect(postgres_url) as connection:
        connection.execute("UPDATE api_keys SET tenant_id = 'zeta' WHERE id = %s", [theirs])
    for method, path in (("DELETE", "/v1/keys/{}"), ("POST", "/v1/keys/{}/rotate")):
        answers = [owner.call(method, path.format(each)) for each in (theirs, "key_" + "0" * 26, "%00")]
        assert [answer.status for answer in answers] == [404] * 3
        assert len({answer.body for answer in answers}) == 1


def test_projects_are_there_once_they_have_a_key_or_hold_something(owner: Api, postgres_url: str) -> None:
    elsewhere = Api(owner.address, owner.headers | {"x-project-id": "stored"})
    assert code(elsewhere.get("/v1/metrics")) == (404, "not_found")
    with psycopg.connect(postgres_url) as connection:  # what the command line leaves
        connection.execute("INSERT INTO scopes (tenant_id, project_id) VALUES ('default', 'stored')")
    assert elsewhere.get("/v1/metrics").status == 200


def test_of_a_hundred_learns_at_once_with_room_for_one_one_passes(owner: Api) -> None:
    key = bearing(owner, made(owner, max_patterns=4)["secret"])
    for number in range(3):
        key.learn(run(number)["task"])
    with ThreadPoolExecutor(25) as threads:
        answers = list(threads.map(lambda number: key.post("/v1/learn", run(number)), range(10, 110)))
    assert Counter(answer.status for answer in answers) == {200: 1, 429: 99}
    refused = next(answer for answer in answers if answer.status == 429).json()
    facts = {"error": "quota_exceeded", "metric": "patterns", "current": 4, "limit": 4}
    assert facts.items() <= refused.items()
    assert key.get("/v1/metrics").json()["pattern_count"] == 4
    better = key.post("/v1/learn", {**run(0), "eval_score": 9.9})
    assert better.json()["duplicate_of"]  # replacing takes no room


def records(count: int) -> list[dict[str, Any]]:
    return [
        {
            "version": 1,
            "key": f"patterns/{number:026d}",
            "data": {"task": run(number)["task"], "code": "x", "success_score": 5.0},
        }
        for number in range(count)
    ]


def test_an_import_goes_in_whole_or_not_at_all(owner: Api) -> None:
    key = bearing(owner, made(owner, role="admin", max_patterns=5)["secret"])
    for headers in ({}, {"prefer": "respond-async"}):
        refused = key.post("/v1/import", {"records": records(6)}, headers)
        assert code(refused) == (429, "quota_exceeded")
        assert {"current": 0, "limit": 5}.items() <= refused.json().items()
    assert key.get("/v1/jobs").json()["jobs"] == []
    assert key.get("/v1/metrics").json()["pattern_count"] == 0
    assert key.post("/v1/import", {"records": records(5)}).json()["imported"] == 5
    again = key.post("/v1/import", {"records": records(5), "overwrite": True})
    assert again.json()["imported"] == 5  # replacing takes no room
    broken = [*records(5), {"version": 1, "key": "nonsense", "data": {}}]
    assert key.post("/v1/import", {"records": broken}).json()["skipped"] == 6


def test_a_job_finds_the_limit_of_when_it_runs(tmp_path: Path, postgres_url: str) -> None:
    settings: dict[str, Any] = {"database_url": postgres_url, "auth_mode": "db", "bootstrap_token": BOOTSTRAP}
    settings |= {"storage": None}
    with service(
        tmp_path, **(settings | {"storage": PostgresStorage(database_url=postgres_url), "job_worker": False})
    ) as api:
        first = api.post("/v1/keys/bootstrap", {"token": BOOTSTRAP}).json()
        owner = bearing(api, first["secret"])
        key = bearing(api, made(owner, role="admin", max_patterns=5)["secret"])
        accepted = key.post("/v1/import", {"records": records(5)}, {"prefer": "respond-async"})
        assert accepted.status == 202
        key.learn("Something else that came meanwhile")
    with service(tmp_path, **(settings | {"storage": PostgresStorage(database_url=postgres_url)})) as api:
        job = bearing(api, key.headers["authorization"][7:]).finished(accepted.json()["job_id"])
        assert (job["status"], job["error"]["code"]) == ("failed", "quota_exceeded")
        assert bearing(api, first["secret"]).get("/v1/metrics").json()["pattern_count"] == 1


def test_the_limit_holds_for_tools_too(owner: Api) -> None:
    key = made(owner, max_patterns=1)
    holder = bearing(owner, key["secret"])
    holder.learn("Something")
    call = {"name": "engramia_learn", "arguments": run(1)}
    answer = holder.post(
        "/v1/mcp",
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call},
        {"accept": "application/json, text/event-stream"},
    )
    assert answer.status == 200, answer.body
    result = answer.json()["result"]
    assert result["isError"]
    assert "quota_exceeded" in str(result)
    assert holder.get("/v1/metrics").json()["pattern_count"] == 1


def test_no_secret_is_ever_logged(owner: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = made(owner)
    rotated = owner.post(f"/v1/keys/{key['id']}/rotate").json()
    unknown = new_secret()
    for secret in (key["secret"], rotated["secret"], unknown):
        bearing(owner, secret).get("/v1/metrics")
    owner.call("DELETE", f"/v1/keys/{key['id']}")
    bearing(owner, rotated["secret"]).get("/v1/metrics")
    lines = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert "key.created" in lines
    for secret in (key["secret"], rotated["secret"], unknown, BOOTSTRAP):
        assert secret not in lines


def test_who_was_refused_stands_in_the_trail_of_their_own_tenant(owner: Api) -> None:
    editor, gone = made(owner, role="editor"), made(owner, role="reader")
    assert bearing(owner, editor["secret"], X_Project_Id="other").get("/v1/metrics").status == 403
    assert owner.call("DELETE", f"/v1/keys/{gone['id']}").status == 200
    assert bearing(owner, gone["secret"]).get("/v1/metrics").status == 401
    expected = {(editor["id"], "auth.refused"), (gone["id"], "auth.refused")}
    deadline = time.monotonic() + 20
    while (found := refused(owner)) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found == expected


def refused(owner: Api) -> set[tuple[str, str]]:
    """Return who was refused, as the tenant is told; rows of refusals are written in the background."""
    entries = owner.get("/v1/audit?outcome=refused").json()["entries"]
    return {(entry["actor"], entry["event"]) for entry in entries}


def test_a_wrong_token_leaves_an_audit_line(nobody: Api, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "engramia.audit"):
        assert nobody.post("/v1/keys/bootstrap", {"token": "a wrong one"}).status == 401
    lines = [record.getMessage() for record in caplog.records]
    assert [line for line in lines if "auth.refused" in line and "/v1/keys/bootstrap" in line] == lines != []
    assert "a wrong one" not in caplog.text
