"""The tools over a real socket, with the official client."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError
from mcp.types import TextContent, TextResourceContents
from pydantic import SecretStr

from engramia.errors import ProviderUnreachableError
from engramia.mcp import teaching
from engramia.mcp.tools import TOOLS
from engramia.server.identity.env import key_id
from engramia.testing import ScriptedLLM
from tests.e2e.served import ISSUE, model
from tests.mcp.clients import REVISIONS, Era, done, over_http, refused, talk
from tests.server.api import Api, service

pytestmark = pytest.mark.slow

KEY = "a-key-of-the-mcp-tests"
BEARER = {"Authorization": f"Bearer {KEY}"}
TASK = "Merge two CSV files by their id column"
RUN = {"task": TASK, "code": "merge(a, b)", "eval_score": 8.0, "skills": ["csv"]}


@pytest.fixture
def judged(tmp_path: Path) -> Iterator[Api]:
    """A service whose language model knows what to say."""
    with service(tmp_path / "data", llm=model()) as running:
        yield running


def keyed(folder: Path, **settings: Any) -> Any:
    """A service that asks for a key."""
    return service(folder, headers=BEARER, api_keys=(SecretStr(KEY),), **settings)


def test_a_client_learns_who_it_talks_to(api: Api, era: Era) -> None:
    async def meet() -> None:
        async with over_http(api.address, era) as client:
            assert client.protocol_version == REVISIONS[era]
            assert client.server_info is not None
            assert client.server_info.name == "engramia"
            assert client.instructions == teaching.INSTRUCTIONS

    talk(meet)


def test_tools_are_advertised_with_types_and_hints(api: Api, era: Era) -> None:
    async def look() -> None:
        async with over_http(api.address, era) as client:
            listed = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert list(listed) == list(TOOLS)
        for name, tool in listed.items():
            assert tool.input_schema == TOOLS[name].input_schema
            assert tool.output_schema == TOOLS[name].output_schema
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint is TOOLS[name].reads_only
        aging, evaluate = listed["engramia_aging"].annotations, listed["engramia_evaluate"].annotations
        assert aging is not None
        assert aging.destructive_hint
        assert aging.idempotent_hint
        assert evaluate is not None
        assert evaluate.open_world_hint

    talk(look)


def test_what_one_call_learns_the_next_recalls_and_rates(api: Api, era: Era) -> None:
    async def work() -> None:
        async with over_http(api.address, era) as client:
            key = (await done(client.call_tool("engramia_learn", RUN)))["pattern_key"]
            (match,) = (await done(client.call_tool("engramia_recall", {"task": TASK})))["matches"]
            assert (match["pattern_key"], match["reuse_tier"]) == (key, "duplicate")
            assert match["pattern"]["code"] == RUN["code"]
            judgement = {"pattern_key": key, "eval_score": 4, "feedback": "It loses the header line."}
            record = await done(client.call_tool("engramia_refine", judgement))
            assert [observation["score"] for observation in record["observations"]] == [8.0, 4.0]
            metrics = await done(client.call_tool("engramia_metrics", {}))
            assert (metrics["runs"], metrics["pattern_count"], metrics["reuse_rate"]) == (1, 1, 1.0)

    talk(work)


def test_every_tool_answers_in_its_type(judged: Api, era: Era) -> None:
    """The client holds each result against the tool's output schema by itself."""

    async def work() -> None:
        async with over_http(judged.address, era) as client:
            await done(client.call_tool("engramia_learn", RUN))
            code = {"task": TASK, "code": "merge(a, b)"}
            for _ in range(2):
                evaluated = await done(client.call_tool("engramia_evaluate", {**code, "num_evals": 2}))
                assert evaluated["median_score"] == 7.5
            issues = await done(client.call_tool("engramia_feedback", {"task_type": "csv"}))
            assert [issue["text"] for issue in issues["feedback"]] == [ISSUE]
            clusters = await done(client.call_tool("engramia_analyze_failures", {"min_count": 2}))
            assert clusters["clusters"][0]["representative"] == ISSUE
            composed = await done(client.call_tool("engramia_compose", {"task": "Fetch prices and report"}))
            assert [stage["name"] for stage in composed["stages"]] == ["fetch", "report"]
            prompt = {"role": "coder", "current_prompt": "You write Python. Keep functions short."}
            assert (await done(client.call_tool("engramia_evolve", prompt)))["accepted"]
            explained = await done(client.call_tool("engramia_recall", {"task": TASK, "explain": True}))
            assert explained["matches"][0]["explanation"]["quality"] > 0
            assert await done(client.call_tool("engramia_aging", {})) == {"pruned": 0}

    talk(work)


@pytest.mark.parametrize(
    ("tool", "arguments", "code", "says"),
    [
        ("learn", {**RUN, "eval_score": 11}, "validation_error", "eval_score"),
        ("learn", {**RUN, "eval_score": "8"}, "validation_error", "eval_score"),
        ("learn", {"task": TASK}, "validation_error", "code: Field required (1 more)"),
        ("learn", {**RUN, "task": "  "}, "validation_error", "task must not be blank."),
        ("recall", {"task": TASK, "limit": 51}, "validation_error", "limit"),
        ("refine", {"pattern_key": "patterns/x", "eval_score": 5}, "validation_error", "pattern_key must be"),
        (
            "refine",
            {"pattern_key": "patterns/01kabcdefghjkmnpqrstvwxyz0", "eval_score": 5},
            "not_found",
            "There is no pattern",
        ),
        ("feedback", {"limit": 0}, "validation_error", "limit"),
        ("evaluate", {"task": TASK, "code": "x"}, "provider_not_configured", "ENGRAMIA_LLM_PROVIDER"),
        ("evaluate", {"task": TASK}, "validation_error", "code"),
        ("compose", {"task": TASK}, "provider_not_configured", "ENGRAMIA_LLM_PROVIDER"),
    ],
)
def test_what_goes_wrong_is_said_in_the_answer(
    api: Api, era: Era, tool: str, arguments: dict[str, Any], code: str, says: str
) -> None:
    async def fail() -> None:
        async with over_http(api.address, era) as client:
            told = await refused(client.call_tool(f"engramia_{tool}", arguments))
        assert told["error"] == code
        assert says in told["detail"]

    talk(fail)


def test_an_unknown_tool_or_prompt_is_an_error_of_the_protocol(api: Api, era: Era) -> None:
    async def fail() -> None:
        async with over_http(api.address, era) as client:
            with pytest.raises(MCPError, match="Unknown tool: engramia_forget") as caught:
                await client.call_tool("engramia_forget", {})
            assert caught.value.code == -32602
            with pytest.raises(MCPError, match="Unknown prompt: x"):
                await client.get_prompt("x")

    talk(fail)


def test_a_bug_shows_nothing_of_itself(tmp_path: Path, era: Era) -> None:
    broken = ScriptedLLM(lambda _: ZeroDivisionError("password hunter2"))

    async def fail(api: Api) -> None:
        async with over_http(api.address, era) as client:
            told = await refused(client.call_tool("engramia_compose", {"task": TASK}))
        assert told["error"] == "internal_error"
        assert len(told["request_id"]) == 32
        assert "hunter2" not in json.dumps(told)
        assert "Traceback" not in json.dumps(told)

    with service(tmp_path / "data", llm=broken) as api:
        talk(lambda: fail(api))


def test_an_outage_says_when_to_come_back(tmp_path: Path) -> None:
    down = ScriptedLLM(lambda _: ProviderUnreachableError("vendor.example.org refused"))

    async def fail(api: Api) -> None:
        async with over_http(api.address) as client:
            told = await refused(client.call_tool("engramia_compose", {"task": TASK}))
        assert told["error"] == "unavailable"
        assert told["retry_after"] >= 1
        assert "vendor.example.org" not in told["detail"]

    with service(tmp_path / "data", llm=down) as api:
        talk(lambda: fail(api))


def test_a_slow_judge_keeps_nobody_waiting(tmp_path: Path) -> None:
    """While a tool waits for its model, others on the same event loop are answered."""
    asked, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        asked.set()
        go_on.wait(20)

    async def both(api: Api) -> None:
        async with over_http(api.address) as slow, over_http(api.address) as quick:
            waiting = asyncio.create_task(slow.call_tool("engramia_compose", {"task": TASK}))
            await asyncio.to_thread(asked.wait, 20)
            assert (await done(quick.call_tool("engramia_metrics", {})))["runs"] == 0
            assert not waiting.done()
            go_on.set()
            assert not (await waiting).is_error

    plan: dict[str, list[str]] = {"initial_inputs": [], "stages": []}
    with service(tmp_path / "data", llm=ScriptedLLM(lambda _: plan, sleep=wait)) as api:
        talk(lambda: both(api))


def test_patterns_are_resources(api: Api, era: Era) -> None:
    key = api.learn(TASK)

    async def read() -> None:
        async with over_http(api.address, era) as client:
            listing, pattern = (await client.list_resources()).resources
            assert (pattern.name, pattern.title) == (key, TASK)
            (content,) = (await client.read_resource(pattern.uri)).contents
            assert isinstance(content, TextResourceContents)
            assert json.loads(content.text)["pattern_key"] == key
            (page,) = (await client.read_resource(listing.uri)).contents
            assert isinstance(page, TextResourceContents)
            assert [each["pattern_key"] for each in json.loads(page.text)["patterns"]] == [key]
            templates = (await client.list_resource_templates()).resource_templates
            assert "engramia://patterns/{key}" in [template.uri_template for template in templates]

    talk(read)


@pytest.mark.parametrize(
    ("uri", "code", "error"),
    [
        ("engramia://patterns/01kabcdefghjkmnpqrstvwxyz0", -32602, "not_found"),
        ("engramia://patterns/nothing", -32602, "validation_error"),
        ("file:///etc/passwd", -32602, "not_found"),
    ],
)
def test_a_resource_that_is_not_there(api: Api, era: Era, uri: str, code: int, error: str) -> None:
    async def read() -> None:
        async with over_http(api.address, era) as client:
            with pytest.raises(MCPError) as caught:
                await client.read_resource(uri)
        assert caught.value.code == code
        assert caught.value.data["error"] == error

    talk(read)


def test_the_prompt_teaches_the_loop(api: Api, era: Era) -> None:
    async def ask() -> None:
        async with over_http(api.address, era) as client:
            (prompt,) = (await client.list_prompts()).prompts
            (message,) = (await client.get_prompt(prompt.name, {"task": "Sort the members"})).messages
        assert isinstance(message.content, TextContent)
        text = message.content.text
        assert text.startswith("The task:\n\nSort the members\n")
        places = [text.index(f"`engramia_{step}`") for step in ("recall", "refine", "learn")]
        assert places == sorted(places)

    talk(ask)


def test_the_author_is_the_key_and_the_door_the_api(tmp_path: Path, era: Era) -> None:
    async def learn(api: Api) -> None:
        async with over_http(api.address, era, BEARER) as client:
            key = (await done(client.call_tool("engramia_learn", {**RUN, "source": "cli"})))["pattern_key"]
        record = api.get(f"/v1/patterns/{key}").json()
        assert (record["author"], record["source"]) == (key_id(KEY.encode()), "api")

    with keyed(tmp_path / "data") as api:
        talk(lambda: learn(api))


def test_a_reader_sees_and_calls_what_a_reader_may(tmp_path: Path, era: Era) -> None:
    async def read(api: Api) -> None:
        async with over_http(api.address, era, BEARER) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            assert tools == ["engramia_recall", "engramia_feedback", "engramia_metrics"]
            assert (await done(client.call_tool("engramia_recall", {"task": TASK})))["matches"] == []
            for name in TOOLS.keys() - set(tools):
                told = await refused(client.call_tool(name, {}))
                assert told["error"] == "forbidden"
                assert "Role 'reader' does not have permission" in told["detail"]
            assert len((await client.list_resources()).resources) == 1

    with keyed(tmp_path / "data", env_auth_role="reader") as api:
        talk(lambda: read(api))


def test_an_admin_works_in_the_project_that_the_header_names(tmp_path: Path, era: Era) -> None:
    async def learn(api: Api) -> None:
        async with over_http(api.address, era, {**BEARER, "X-Project-Id": "other"}) as client:
            await done(client.call_tool("engramia_learn", RUN))
        async with over_http(api.address, era, BEARER) as client:
            assert (await done(client.call_tool("engramia_metrics", {})))["runs"] == 0
        assert api.get("/v1/metrics", **{"X-Project-Id": "other"}).json()["runs"] == 1

    with keyed(tmp_path / "data", env_auth_role="admin") as api:
        talk(lambda: learn(api))


def test_a_conversation_goes_on_at_another_process(tmp_path: Path) -> None:
    """Two services on one folder: what one began the other ends, without a session between them."""

    async def both(first: Api, second: Api) -> None:
        async with over_http(first.address, "legacy") as here, over_http(second.address, "legacy") as there:
            key = (await done(here.call_tool("engramia_learn", RUN)))["pattern_key"]
            (match,) = (await done(there.call_tool("engramia_recall", {"task": TASK})))["matches"]
            assert match["pattern_key"] == key

    with service(tmp_path / "data") as first, service(tmp_path / "data") as second:
        talk(lambda: both(first, second))
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
        body = {**call, "params": {"name": "engramia_metrics", "arguments": {}}}
        accept = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
        answer = second.post("/v1/mcp", body, accept)  # nothing was ever initialized here
        assert answer.json()["result"]["structuredContent"]["runs"] == 1
        assert "mcp-session-id" not in answer
