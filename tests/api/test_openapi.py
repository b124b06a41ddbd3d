"""The OpenAPI document: committed, complete, and telling the truth about who may do what."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engramia.api.__main__ import text
from engramia.server.kit.endpoints import PUBLIC
from engramia.server.kit.permissions import Permission

ROOT = Path(__file__).parents[2]
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def document() -> Any:
    return json.loads(text())


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, methods in document["paths"].items():
        for method in methods.keys() & METHODS:
            yield path, method, methods[method]


def answers(document: Any, operation: Any) -> Iterator[tuple[str, Any]]:
    for status, answer in operation["responses"].items():
        name = answer.get("$ref", "").rpartition("/")[2]
        yield status, document["components"]["responses"][name] if name else answer


def test_the_committed_document_is_what_the_code_makes() -> None:
    committed = (ROOT / "docs" / "openapi.json").read_text(encoding="utf-8")
    assert committed == text(), "Run `python -m engramia.api` and look at what changed."


def test_every_operation_says_who_may_call_it(document: Any) -> None:
    known = {permission.value for permission in Permission} | {PUBLIC}
    for path, method, operation in operations(document):
        assert operation["x-permission"] in known, (method, path)
        assert (operation["security"] == []) == (operation["x-permission"] == PUBLIC), (method, path)


def test_every_operation_has_a_tag_a_summary_and_a_name_of_its_own(document: Any) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    tags = {tag["name"] for tag in document["tags"]}
    for path, method, operation in operations(document):
        assert set(operation["tags"]) <= tags, (method, path)
        assert operation["summary"], (method, path)
        assert operation["description"], (method, path)


def test_every_answer_is_described_with_its_headers_and_an_example(document: Any) -> None:
    for path, method, operation in operations(document):
        for status, answer in answers(document, operation):
            assert answer["description"], (method, path, status)
            assert "X-Request-ID" in answer["headers"], (method, path, status)
            content = answer.get("content", {}).get("application/json", {})
            if "schema" in content and status != "202":
                assert "example" in content, (method, path, status)


def test_every_error_has_the_one_shape(document: Any) -> None:
    for path, method, operation in operations(document):
        errors = {status: answer for status, answer in answers(document, operation) if status >= "400"}
        assert errors, (method, path)
        for status, answer in errors.items():
            body = answer["content"]["application/json"]
            assert {"error", "detail"} <= body["example"].keys(), (method, path, status)
            name = body["schema"]["$ref"].rpartition("/")[2]
            assert {"error", "detail"} <= set(document["components"]["schemas"][name]["required"])


def test_every_reference_leads_somewhere(document: Any) -> None:
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)):
        place = document
        for part in reference.split("/"):
            place = place[part]
