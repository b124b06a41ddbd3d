"""Tools and resources for agents: ids of others in them, as every role; and what the answers hold."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from engramia.server.kit.permissions import Role
from tests.isolation.slots import BODY, LOOKS_LIKE_AN_ID, Kind
from tests.isolation.tenants import NOBODY, OURS, TASK, World, belongings, words_in
from tests.server.api import Api
from tests.server.serving import Answer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]  # a database server

_ACCEPTED = {"accept": "application/json, text/event-stream"}
_FISHING: dict[str, Any] = {
    "task": TASK,
    "code": "x",
    "eval_score": 1.0,
    "on_duplicate": "keep_both",
    "role": "coder",
    "current_prompt": "You write code.",
    "feedback": "Too long.",
    "limit": 20,
    "min_count": 1,
}


def rpc(api: Api, method: str, **parameters: Any) -> Answer:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
    answer = api.post("/v1/mcp", body, _ACCEPTED)
    assert answer.status in {200, 400}, answer.body
    return answer


def tools(world: World, role: Role = Role.OWNER) -> dict[str, dict[str, Any]]:
    """Return the fields of each tool's arguments."""
    found = rpc(world.ours.callers[role], "tools/list").json()["result"]["tools"]
    return {tool["name"]: tool["inputSchema"]["properties"] for tool in found}


def arguments(fields: dict[str, Any], key: str) -> dict[str, Any]:
    """Return values that find all there is, and `key` wherever a tool takes a pattern's."""
    given = {name: value for name, value in _FISHING.items() if name in fields}
    return given | dict.fromkeys(_ids(fields), key)


def _ids(fields: dict[str, Any]) -> Iterator[str]:
    for name in fields:
        if LOOKS_LIKE_AN_ID.search(name) and BODY[name] is not None:
            assert BODY[name] is Kind.PATTERN
            yield name


def test_a_tool_given_an_id_of_others_says_what_it_says_of_nobody_s(world: World) -> None:
    taking = {name: fields for name, fields in tools(world).items() if any(_ids(fields))}
    assert taking
    before = belongings(world.url, world.stranger), belongings(world.url, world.neighbour, by_project=True)
    for role in Role:
        api = world.ours.callers[role]
        for name, fields in taking.items():
            nobodys = NOBODY[Kind.PATTERN]
            expected = rpc(api, "tools/call", name=name, arguments=arguments(fields, nobodys))
            for party in (world.neighbour, world.stranger):
                key = party.ids[Kind.PATTERN]
                found = rpc(api, "tools/call", name=name, arguments=arguments(fields, key))
                assert without(found, key) == without(expected, nobodys), (role, name)
    after = belongings(world.url, world.stranger), belongings(world.url, world.neighbour, by_project=True)
    assert before == after


def test_a_resource_of_others_is_nobody_s(world: World) -> None:
    listed = rpc(world.ours.owner, "resources/list")
    assert words_in(listed) == {OURS}
    [uri] = {
        resource["uri"].replace(world.ours.ids[Kind.PATTERN], "{key}")
        for resource in listed.json()["result"]["resources"]
        if world.ours.ids[Kind.PATTERN] in resource["uri"]
    }
    for role in Role:
        api = world.ours.callers[role]
        nobodys = uri.format(key=NOBODY[Kind.PATTERN])
        expected = rpc(api, "resources/read", uri=nobodys)
        for party in (world.neighbour, world.stranger):
            theirs = uri.format(key=party.ids[Kind.PATTERN])
            found = rpc(api, "resources/read", uri=theirs)
            assert without(found, party.ids[Kind.PATTERN]) == without(expected, NOBODY[Kind.PATTERN])
    assert words_in(rpc(world.ours.owner, "resources/read", uri=uri.format(key=world.ours.ids[Kind.PATTERN])))


def test_no_tool_tells_anybody_a_word_of_others(world: World) -> None:
    seen = set[str]()
    for role in Role:
        for name, fields in tools(world, role).items():
            given = arguments(fields, world.ours.ids[Kind.PATTERN])
            words = words_in(rpc(world.ours.callers[role], "tools/call", name=name, arguments=given))
            assert words <= {OURS}, (role, name)
            seen |= {name} if words else set()
    assert "engramia_recall" in seen


def without(answer: Answer, key: str) -> tuple[int, str]:
    """Return the answer without the key that was asked for, nor times."""
    return answer.status, re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "", answer.body.decode().replace(key, "KEY"))
