"""What happens to requests at `/v1/mcp` before and around the protocol, byte by byte."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError
from pydantic import SecretStr

from tests.e2e.served import model
from tests.mcp.clients import done, over_http, refused, talk
from tests.server.api import Api, service
from tests.server.serving import Answer, ask

pytestmark = pytest.mark.slow

KEY = "a-key-of-the-mcp-tests"
BEARER = {"Authorization": f"Bearer {KEY}"}
ACCEPT = {"accept": "application/json, text/event-stream"}
TODAY = {"mcp-protocol-version": "2026-07-28"}
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
LISTED = "https://tools.example.org"


def call(
    api: Api, method: str, params: dict[str, Any] | None = None, headers: dict[str, str] | None = None
) -> Answer:
    """Send one request of the protocol as clients without a handshake of their own do."""
    body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params or {}}
    return api.post("/v1/mcp", body, ACCEPT | (headers or {}))


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[Api]:
    key = (SecretStr(KEY),)
    with service(tmp_path / "data", headers=BEARER, api_keys=key, cors_origins=(LISTED,)) as running:
        yield running


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
def test_every_older_revision_shakes_hands(keyed: Api, version: str) -> None:
    hello = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "old", "version": "1"}}
    answer = call(keyed, "initialize", hello)
    assert answer.status == 200
    assert answer.json()["result"]["protocolVersion"] == version
    assert set(answer.json()["result"]["capabilities"]) == {"tools", "resources", "prompts"}
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert keyed.post("/v1/mcp", ready, ACCEPT | {"mcp-protocol-version": version}).status == 202
    listed = call(keyed, "tools/list", headers={"mcp-protocol-version": version}).json()["result"]["tools"]
    assert "engramia_recall" in [tool["name"] for tool in listed]


def test_todays_revision_needs_no_handshake(keyed: Api) -> None:
    params = {"name": "engramia_metrics", "arguments": {}, "_meta": ENVELOPE}
    named = {"mcp-method": "tools/call", "mcp-name": "engramia_metrics"}
    answer = call(keyed, "tools/call", params, TODAY | named)
    assert answer.status == 200, answer.body
    assert answer.json()["result"]["structuredContent"]["runs"] == 0


def test_a_revision_that_is_not_known_is_refused_with_those_that_are(keyed: Api) -> None:
    answer = call(keyed, "tools/list", {"_meta": ENVELOPE}, {"mcp-protocol-version": "2031-01-01"})
    assert answer.status == 400
    assert answer.json()["error"]["code"] < 0


@pytest.mark.parametrize("headers", [{"Authorization": ""}, {"Authorization": "Bearer wrong"}])
def test_a_wrong_key_is_refused_before_the_protocol(keyed: Api, headers: dict[str, str]) -> None:
    answer = call(keyed, "tools/list", headers=headers)
    assert answer.status == 401
    assert answer["WWW-Authenticate"] == "Bearer"
    assert answer.json()["error"] == "unauthorized"


def test_a_client_without_the_key_does_not_get_in(keyed: Api) -> None:
    async def knock() -> None:
        async with over_http(keyed.address):
            pytest.fail("It got in.")

    with pytest.RaisesGroup(pytest.RaisesExc(MCPError, match="error response"), flatten_subgroups=True):
        talk(knock)


def test_answers_carry_what_all_answers_carry(keyed: Api) -> None:
    answer = call(keyed, "tools/list", headers={"X-Request-ID": "my-request"})
    assert answer["X-Request-ID"] == "my-request"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "RateLimit-Remaining" in answer
    assert answer["Content-Type"].startswith("application/json")


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_there_is_no_stream_and_no_session(keyed: Api, method: str) -> None:
    answer = keyed.call(method, "/v1/mcp", headers=ACCEPT)
    assert answer.status == 405
    assert answer["Allow"] == "POST"
    assert answer.json()["error"] == "method_not_allowed"


@pytest.mark.parametrize(
    ("headers", "status", "error"),
    [
        ({"content-type": "text/plain"}, 415, "unsupported_media_type"),
        ({"accept": "text/html"}, 406, "not_acceptable"),
        ({"content-encoding": "gzip"}, 415, "unsupported_media_type"),
        ({"origin": "https://evil.example.net"}, 403, "forbidden"),
        ({"origin": "null"}, 403, "forbidden"),
        ({"X-Project-Id": "../up"}, 422, "validation_error"),
    ],
)
def test_what_cannot_be_served_is_refused_in_our_shape(
    keyed: Api, headers: dict[str, str], status: int, error: str
) -> None:
    answer = call(keyed, "tools/list", headers=headers)
    assert answer.status == status
    assert answer.json()["error"] == error
    assert answer.json()["detail"]


def test_a_listed_page_and_our_own_may_call(keyed: Api) -> None:
    host, port = keyed.address
    for origin in (LISTED, f"http://{host}:{port}"):
        assert call(keyed, "tools/list", headers={"origin": origin}).status == 200


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"{", "not valid JSON"),
        (b'{"id": NaN}', "not valid JSON"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": "\\ud800"}', "not valid JSON"),
        (b"[" * 100 + b"]" * 100, "64 levels"),
    ],
)
def test_json_is_as_strict_as_everywhere(keyed: Api, body: bytes, says: str) -> None:
    headers = BEARER | ACCEPT | {"content-type": "application/json"}
    answer = ask(keyed.address, "POST", "/v1/mcp", headers, body)
    assert answer.status == 400
    assert says in answer.json()["detail"]


def test_a_body_over_the_limit_is_too_large(tmp_path: Path) -> None:
    with service(tmp_path / "data", max_body_size=2_048) as api:
        answer = call(api, "tools/call", {"name": "engramia_recall", "arguments": {"task": "x" * 4_000}})
    assert answer.status == 413
    assert answer.json()["error"] == "payload_too_large"


def test_a_large_call_goes_through(keyed: Api) -> None:
    run = {"task": "Keep a long file", "code": "x = 1\n" * 30_000, "eval_score": 8}
    answer = call(keyed, "tools/call", {"name": "engramia_learn", "arguments": run})
    assert answer.json()["result"]["structuredContent"]["stored"]


def test_calls_count_on_the_standard_limit(tmp_path: Path) -> None:
    with service(tmp_path / "data", rate_limit_default=2) as api:
        assert [call(api, "tools/list").status for _ in range(3)] == [200, 200, 429]
        assert call(api, "tools/list").json()["error"] == "rate_limited"
        assert api.get("/v1/metrics").status == 429


def test_tools_that_ask_a_model_share_the_limit_of_the_endpoints_that_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def spend(api: Api) -> None:
        async with over_http(api.address) as client:
            arguments = {"task": "Fetch prices and report them"}
            await done(client.call_tool("engramia_compose", arguments))
            assert api.post("/v1/compose", arguments).status == 200
            told = await refused(client.call_tool("engramia_compose", arguments))
            assert told["error"] == "rate_limited"
            assert 1 <= told["retry_after"] <= 60
            await done(client.call_tool("engramia_recall", arguments))
        assert api.post("/v1/compose", arguments).status == 429
        # One line for the window, although two were refused.
        assert caplog.text.count("AUDIT rate_limit.refused") == 1

    with service(tmp_path / "data", llm=model(), rate_limit_expensive=2) as api:
        talk(lambda: spend(api))


def test_a_key_is_not_charged_twice_for_one_call(tmp_path: Path) -> None:
    key = (SecretStr(KEY),)
    params = {"name": "engramia_compose", "arguments": {"task": "Fetch prices and report them"}}
    with service(tmp_path / "data", llm=model(), headers=BEARER, api_keys=key, rate_limit_per_key=2) as api:
        assert [call(api, "tools/call", params).status for _ in range(3)] == [200, 200, 429]


def test_during_maintenance_nothing_is_served(tmp_path: Path) -> None:
    with service(tmp_path / "data", maintenance=True) as api:
        answer = call(api, "tools/list")
    assert answer.status == 503
    assert answer.json()["error"] == "maintenance"
    assert answer["Retry-After"] == "3600"


def test_without_the_package_the_rest_of_the_service_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    with service(tmp_path / "data") as api:
        assert call(api, "tools/list").status == 404
        assert api.get("/v1/metrics").status == 200


def test_a_service_ends_with_conversations_behind_it(tmp_path: Path) -> None:
    for _ in range(2):  # a second one in the same process begins anew
        with service(tmp_path / "data") as api:
            assert call(api, "tools/list").status == 200
