"""Who may call what: every operation of the document, as every role and as nobody."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engramia.server.kit.endpoints import PUBLIC
from engramia.server.kit.permissions import PERMISSIONS, Role
from tests.server.api import Api, service

pytestmark = pytest.mark.slow

DOCUMENT = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text(encoding="utf-8"))
METHODS = {"get", "post", "put", "patch", "delete"}
KEY = "a-key-of-twenty-chars"
VALUES = {
    "key": "patterns/" + "0" * 26,
    "job_id": "job_" + "0" * 26,
    "id": "x",
    "window": "daily",
}
OPERATIONS = [
    (method.upper(), path, operation)
    for path, methods in sorted(DOCUMENT["paths"].items())
    for method, operation in sorted(methods.items())
    if method in METHODS
]


@pytest.fixture(scope="module", params=[*Role])
def holder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Role, Api]]:
    folder = tmp_path_factory.mktemp(str(request.param))
    settings: dict[str, Any] = {"api_keys": (KEY,), "env_auth_role": request.param.value}
    with service(folder, headers={"authorization": f"Bearer {KEY}"}, **settings) as api:
        yield request.param, api


def sent(api: Api, method: str, path: str, operation: Any) -> Any:
    """Call an operation with the document's own example of a body."""
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    example = body.get("examples", {}).get("example", {}).get("value")
    return api.call(method, path.format(**VALUES), example)


def test_a_role_may_call_what_the_table_says_and_nothing_else(holder: tuple[Role, Api]) -> None:
    role, api = holder
    for method, path, operation in OPERATIONS:
        permission = operation["x-permission"]
        answer = sent(api, method, path, operation)
        allowed = permission == PUBLIC or permission in PERMISSIONS[role]
        assert (answer.status != 403) == allowed, (role, method, path, answer.body)
        if not allowed:
            detail = f"Role '{role}' does not have permission '{permission}'."
            assert answer.json() == {"error": "forbidden", "detail": detail}


def test_nobody_may_call_what_is_not_public(holder: tuple[Role, Api]) -> None:
    _, api = holder
    for method, path, operation in OPERATIONS:
        if operation["x-permission"] == PUBLIC:
            continue
        for headers in ({}, {"authorization": "Bearer wrong-key-of-this-length"}, {"authorization": KEY}):
            answer = sent(Api(api.address, headers), method, path, operation)
            assert (answer.status, answer.json()["error"]) == (401, "unauthorized"), (method, path)
            assert answer["WWW-Authenticate"] == "Bearer"


def test_what_needs_a_database_says_so(holder: tuple[Role, Api]) -> None:
    role, api = holder
    for method, path, operation in OPERATIONS:
        if path.startswith(("/v1/keys", "/v1/billing", "/auth")) and operation["x-permission"] == PUBLIC:
            answer = sent(api, method, path, operation)
            assert (answer.status, answer.json()["error"]) == (501, "database_required"), (role, method, path)
    if role is Role.OWNER:
        assert api.post("/v1/keys", {"name": "x"}).json()["error"] == "database_required"


def test_an_editor_deletes_its_own_patterns_alone(tmp_path: Path) -> None:
    other, own = "the-other-key-of-them", {"authorization": f"Bearer {KEY}"}
    with service(tmp_path, headers=own, api_keys=(KEY, other), env_auth_role="editor") as api:
        mine = api.learn("Sort invoices")
        theirs = Api(api.address, {"authorization": f"Bearer {other}"}).learn("Fetch the weather")
        refused = api.call("DELETE", f"/v1/patterns/{theirs}")
        assert (refused.status, refused.json()["error"]) == (403, "forbidden")
        assert api.get(f"/v1/patterns/{theirs}").status == 200
        assert api.call("DELETE", f"/v1/patterns/{mine}").status == 200


def test_a_reader_names_no_other_project(tmp_path: Path) -> None:
    own = {"authorization": f"Bearer {KEY}"}
    with service(tmp_path, headers=own, api_keys=(KEY,), env_auth_role="editor") as api:
        assert Api(api.address, own | {"x-project-id": "other"}).get("/v1/metrics").status == 403
