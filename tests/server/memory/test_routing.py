"""Which paths are an operation's."""

import pytest
from starlette.routing import Match

from engramia.server.kit.routes import OperationRoute
from engramia.server.memory.operations import RECALL, REFINE


def match(route: OperationRoute, path: str, **more: str) -> Match:
    found, _ = route.matches({"type": "http", "method": "POST", "path": path, "headers": [], **more})
    return found


def test_a_path_without_parameters_is_its_own_alone() -> None:
    route = OperationRoute(RECALL)
    assert match(route, "/v1/recall") is Match.FULL
    assert match(route, "/v1/recall", method="GET") is Match.PARTIAL
    assert match(route, "/below/v1/recall", root_path="/below") is Match.FULL


@pytest.mark.parametrize("path", ["/v1/learn", "/v1/recall/", "/v1/recall\n", "/below/v1/recall", ""])
def test_another_path_is_not(path: str) -> None:
    assert match(OperationRoute(RECALL), path) is Match.NONE


def test_a_path_with_a_parameter_takes_any_value_of_it() -> None:
    route = OperationRoute(REFINE)
    assert match(route, "/v1/patterns/patterns/01k/refine") is Match.FULL
    assert match(route, "/v1/patterns/patterns/01k") is Match.NONE
