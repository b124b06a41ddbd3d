"""Tools under real keys in a database: quotas, roles and limits, and keys that are revoked in between."""

import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError

from engramia.providers import PostgresStorage
from tests.mcp.clients import Era, done, over_http, refused, talk
from tests.server.api import Api, service

pytestmark = pytest.mark.slow  # a database server

BOOTSTRAP = "a-bootstrap-token-of-forty-characters-xx"
RUN: dict[str, Any] = {
    "task": "Merge two CSV files by their id column",
    "code": "merge(a, b)",
    "eval_score": 8.0,
}
OTHER: dict[str, Any] = {
    "task": "Draw the phases of the moon as a poster",
    "code": "moon()",
    "eval_score": 8.0,
}
PER_KEY = 40

type Conversation = Callable[[Client], Awaitable[None]]


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


@pytest.fixture
def owner(tmp_path: Path, postgres_url: str) -> Iterator[Api]:
    """A service over Postgres, and the key of its owner."""
    settings: dict[str, Any] = {"database_url": postgres_url, "auth_mode": "db", "bootstrap_token": BOOTSTRAP}
    settings["rate_limit_per_key"] = PER_KEY
    with service(tmp_path, storage=PostgresStorage(database_url=postgres_url), **settings) as api:
        first = api.post("/v1/keys/bootstrap", {"token": BOOTSTRAP})
        assert first.status == 201, first.body
        yield Api(api.address, bearer(first.json()["secret"]))


def a_key(owner: Api, **fields: Any) -> Any:
    answer = owner.post("/v1/keys", {"name": "an editor's", **fields})
    assert answer.status == 201, answer.body
    return answer.json()


def converse(owner: Api, era: Era, key: Any, conversation: Conversation) -> None:
    """Hold a conversation with the key."""

    async def talked() -> None:
        async with over_http(owner.address, era, bearer(key["secret"])) as client:
            await conversation(client)

    talk(talked)


def test_a_key_that_is_full_is_told_so_and_recalls_on(owner: Api, era: Era) -> None:
    async def fill(client: Client) -> None:
        first = await done(client.call_tool("engramia_learn", RUN))
        assert first["stored"]
        told = await refused(client.call_tool("engramia_learn", OTHER))
        assert {"error": "quota_exceeded", "current": 1, "limit": 1}.items() <= told.items()
        assert "retry_after" not in told
        (match,) = (await done(client.call_tool("engramia_recall", {"task": RUN["task"]})))["matches"]
        assert match["pattern_key"] == first["pattern_key"]
        better = await done(client.call_tool("engramia_learn", {**RUN, "eval_score": 9.5}))
        assert better["stored"], "replacing takes no room"

    key = a_key(owner, max_patterns=1)
    converse(owner, era, key, fill)
    (pattern,) = owner.get("/v1/patterns").json()["patterns"]
    assert (pattern["task"], pattern["success_score"]) == (RUN["task"], 9.5)


def test_a_readers_key_reads(owner: Api, era: Era) -> None:
    async def act(client: Client) -> None:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert names == {"engramia_recall", "engramia_feedback", "engramia_metrics"}
        assert (await done(client.call_tool("engramia_recall", {"task": RUN["task"]})))["matches"]
        told = await refused(client.call_tool("engramia_learn", OTHER))
        assert told["error"] == "forbidden"

    editor = Api(owner.address, bearer(a_key(owner, role="editor")["secret"]))
    editor.learn(RUN["task"])
    converse(owner, era, a_key(owner, role="reader"), act)
    assert owner.get("/v1/metrics").json()["runs"] == 1


def test_a_key_that_is_revoked_in_a_conversation_is_refused_at_the_next_call(owner: Api, era: Era) -> None:
    key = a_key(owner)

    async def lose(client: Client) -> None:
        await done(client.call_tool("engramia_learn", RUN))
        assert owner.call("DELETE", f"/v1/keys/{key['id']}").status in {200, 204}
        ends = time.monotonic() + 1  # within a second it is dead
        while Api(owner.address, bearer(key["secret"])).get("/v1/metrics").status != 401:
            assert time.monotonic() < ends
            await anyio.sleep(0.02)
        with pytest.raises(MCPError, match="error response"):  # the client says no more
            await client.call_tool("engramia_learn", OTHER)
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
        answer = Api(owner.address, bearer(key["secret"])).post("/v1/mcp", call)
        assert (answer.status, answer.json()["error"]) == (401, "unauthorized")

    converse(owner, era, key, lose)
    assert owner.get("/v1/metrics").json()["runs"] == 1


def test_the_window_of_a_key_is_the_same_at_every_door(owner: Api, era: Era) -> None:
    key = a_key(owner)
    api = Api(owner.address, bearer(key["secret"]))

    async def spend(client: Client) -> None:
        await done(client.call_tool("engramia_metrics", {}))
        spent = [api.get("/v1/metrics").status for _ in range(PER_KEY)]
        assert spent.count(200) < PER_KEY - 1, "the tool and the handshake took from it, too"
        assert spent[-1] == 429
        with pytest.raises(MCPError, match="error response"):
            await client.call_tool("engramia_metrics", {})

    converse(owner, era, key, spend)
    assert owner.get("/v1/metrics").status == 200, "the owner's window is its own"
