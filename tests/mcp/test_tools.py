"""The tools' table: made from the operations' rows, and put in words for agents."""

from collections.abc import Iterator
from typing import Any

import pydantic
import pytest

from engramia.mcp.operations import FEEDBACK, METRICS
from engramia.mcp.tools import TOOLS, Tool
from engramia.server.kit.schemas import EXAMPLE_KEY
from engramia.server.memory import operations
from engramia.server.memory.schemas import LearnRequest

ROWS = {row.name: row for row in (*operations.OPERATIONS, FEEDBACK, METRICS)}
EVERY = pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)


def test_there_are_the_ten_of_the_contract() -> None:
    names = "learn recall evaluate compose evolve feedback metrics aging analyze_failures refine"
    assert set(TOOLS) == {f"engramia_{name}" for name in names.split()}


@EVERY
def test_permission_and_behaviour_are_the_rows(tool: Tool) -> None:
    assert tool.operation is ROWS[tool.name.removeprefix("engramia_")]


@EVERY
def test_schemas_stand_alone(tool: Tool) -> None:
    for schema in (tool.input_schema, tool.output_schema):
        assert schema["type"] == "object"
        for node in _nodes(schema):
            assert "$ref" not in node
            assert not isinstance(node.get("pattern"), str)


@EVERY
def test_every_argument_is_described(tool: Tool) -> None:
    undescribed = [
        name for name, field in tool.input_schema["properties"].items() if not field.get("description")
    ]
    assert undescribed in ([], ["limit"], ["limit", "offset"])


@EVERY
def test_a_description_says_when_to_call_it(tool: Tool) -> None:
    assert 80 < len(tool.description) < 1_000
    assert tool.title[0].isupper()


def test_recall_explains_every_tier() -> None:
    description = TOOLS["engramia_recall"].description
    assert all(f"`{tier}`" in description for tier in ("duplicate", "adapt", "fresh"))


def test_an_agent_does_not_choose_the_door_it_came_through() -> None:
    learn = TOOLS["engramia_learn"]
    assert set(learn.input_schema["properties"]) == set(LearnRequest.model_fields) - {"source"}
    asked = learn.asked({"task": "t", "code": "c", "eval_score": 1, "source": "cli"}, "key-1")
    assert asked.body.source == "api"
    assert asked.author == "key-1"


def test_refine_takes_the_pattern_that_the_path_names_over_http() -> None:
    refine = TOOLS["engramia_refine"]
    assert set(refine.input_schema["required"]) == {"eval_score", "pattern_key"}
    assert refine.asked({"pattern_key": EXAMPLE_KEY, "eval_score": 7}, None).key == EXAMPLE_KEY


def test_arguments_of_another_form_are_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="eval_score"):
        TOOLS["engramia_learn"].asked({"task": "t", "code": "c", "eval_score": "8"}, None)


def test_only_what_deletes_is_called_destructive() -> None:
    assert [name for name, tool in TOOLS.items() if tool.destroys] == ["engramia_aging"]


def test_what_writes_is_not_called_read_only() -> None:
    writing = {name for name, tool in TOOLS.items() if not tool.reads_only}
    assert writing == {f"engramia_{name}" for name in ("learn", "refine", "evaluate", "aging")}


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for each in schema.values():
            yield from _nodes(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _nodes(each)
