"""Every place of the OpenAPI document that takes an id, found in the document itself."""

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

METHODS = ("get", "post", "put", "patch", "delete")


class Kind(StrEnum):
    """What an id names."""

    PATTERN = "pattern"
    JOB = "job"
    KEY = "key"
    PROJECT = "project"
    TENANT = "tenant"
    ACTOR = "actor"
    """Who did something: a filter, so that an id of nobody finds nothing."""
    NEW_PATTERN = "new pattern"
    """An id that the caller chooses for something of its own."""
    NEW_PROJECT = "new project"


LOOKED_UP = frozenset({Kind.PATTERN, Kind.JOB, Kind.KEY, Kind.PROJECT, Kind.TENANT})
"""What must be there: 404 (or 403) for those of others."""

_PATH = MappingProxyType({"key": Kind.PATTERN, "job_id": Kind.JOB, "window": None})
_ID_UNDER = MappingProxyType(
    {
        "/v1/keys/": Kind.KEY,
        "/v1/governance/projects/": Kind.PROJECT,
        "/v1/governance/tenants/": Kind.TENANT,
    }
)
_OTHER: Mapping[str, Kind | None] = MappingProxyType(
    {
        "X-Project-Id": Kind.PROJECT,
        "actor": Kind.ACTOR,
        "Idempotency-Key": None,  # the caller's own; has tests of its own
        **dict.fromkeys(("prefer", "limit", "offset", "status", "event", "outcome", "since", "until")),
        **dict.fromkeys(("task_type", "classification", "source", "min_score")),
    }
)
"""Parameters of queries and headers; None: no id of anything stored."""
BODY: Mapping[str, Kind | None] = MappingProxyType(
    {
        "pattern_key": Kind.PATTERN,
        "records.key": Kind.NEW_PATTERN,
        "project_id": Kind.NEW_PROJECT,
        "run_id": None,  # the caller's own name for a run
    }
)
LOOKS_LIKE_AN_ID = re.compile(r"(^|[._])(id|key|project|tenant)s?$")


class UnknownPlaceError(Exception):
    """The document has a place of which the tables above do not say whether it takes an id."""


@dataclass(frozen=True)
class Operation:
    """One operation of the document."""

    method: str
    path: str
    document: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def permission(self) -> str:
        return str(self.document["x-permission"])

    @property
    def is_built(self) -> bool:
        """Whether it does anything but say that it is not there on this server."""
        return any(status.startswith("2") for status in self.document["responses"])

    @property
    def body(self) -> Any:
        """Return the document's example of a body, None for no body."""
        content = self.document.get("requestBody", {}).get("content", {}).get("application/json", {})
        return copy.deepcopy(content.get("examples", {}).get("example", {}).get("value"))

    @property
    def may_be_a_job(self) -> bool:
        return any(one["name"].lower() == "prefer" for one in self.document.get("parameters", ()))


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True)
class Slot:
    """One place of one operation that takes an id."""

    operation: Operation
    place: str
    name: str
    kind: Kind

    def __str__(self) -> str:
        return f"{self.operation.name} {self.place} {self.name}"

    def filled(self, id: str, others: Mapping[str, str]) -> Request:
        """Return a request with `id` in the place; `others` are values of the path's other parameters."""
        operation = self.operation
        values = dict(others) | ({self.name: id} if self.place == "path" else {})
        path = address(operation, values)
        if self.place == "query":
            path += f"?{self.name}={quote(id, safe='')}"
        headers = {self.name.lower(): id} if self.place == "header" else {}
        body = operation.body
        if self.place == "body":
            body = _with(body, self.name.split("."), id)
        return Request(operation.method, path, headers, body)


def address(operation: Operation, values: Mapping[str, str]) -> str:
    """Return the operation's path with `values` in it."""
    return re.sub(r"{(\w+)}", lambda found: quote(values[found[1]]), operation.path)


def operations_of(document: Mapping[str, Any]) -> list[Operation]:
    return [
        Operation(method.upper(), path, methods[method])
        for path, methods in document["paths"].items()
        for method in METHODS
        if method in methods
    ]


def slots_of(document: Mapping[str, Any]) -> list[Slot]:
    """Return every place that takes an id; `UnknownPlaceError` for one that nobody has decided on."""
    return [slot for operation in operations_of(document) for slot in _slots(operation, document)]


def _slots(operation: Operation, document: Mapping[str, Any]) -> Iterator[Slot]:
    for name in re.findall(r"{(\w+)}", operation.path):
        yield from _slot(operation, "path", name, _path_kind(operation, name))
    for parameter in operation.document.get("parameters", ()):
        if parameter["in"] != "path":
            kind = _decided(_OTHER, parameter["name"], operation)
            yield from _slot(operation, parameter["in"], parameter["name"], kind)
    for name in sorted(_body_names(operation, document)):
        if LOOKS_LIKE_AN_ID.search(name) or name in BODY:
            yield from _slot(operation, "body", name, _decided(BODY, name, operation))


def _slot(operation: Operation, place: str, name: str, kind: Kind | None) -> Iterator[Slot]:
    if kind is not None:
        yield Slot(operation, place, name, kind)


def _path_kind(operation: Operation, name: str) -> Kind | None:
    if name == "id":
        known = [kind for start, kind in _ID_UNDER.items() if operation.path.startswith(start + "{id}")]
        if not known:
            raise UnknownPlaceError(f"What does {{id}} of {operation.name} name?")
        return known[0]
    return _decided(_PATH, name, operation)


def _decided(table: Mapping[str, Kind | None], name: str, operation: Operation) -> Kind | None:
    if name not in table:
        raise UnknownPlaceError(f"Does {name!r} of {operation.name} take an id, and of what?")
    return table[name]


def _body_names(operation: Operation, document: Mapping[str, Any]) -> set[str]:
    """Return the dotted names of a body's fields, of the schema and of the example."""
    content = operation.document.get("requestBody", {}).get("content", {}).get("application/json", {})
    schema = content.get("schema", {})
    return set(_schema_names(schema, (schema, document), "")) | set(_example_names(operation.body, ""))


def _schema_names(
    schema: Mapping[str, Any], roots: tuple[Mapping[str, Any], ...], before: str
) -> Iterator[str]:
    if "$ref" in schema:
        schema = _resolved(schema["$ref"], roots)
    for each in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from _schema_names(each, roots, before)
    if "items" in schema:
        yield from _schema_names(schema["items"], roots, before)
    for name, each in schema.get("properties", {}).items():
        yield before + name
        yield from _schema_names(each, roots, f"{before}{name}.")


def _resolved(reference: str, roots: tuple[Mapping[str, Any], ...]) -> Mapping[str, Any]:
    for root in roots:
        found: Any = root
        for step in reference.removeprefix("#/").split("/"):
            found = found.get(step) if found is not None else None
        if found is not None:
            return dict(found)
    raise UnknownPlaceError(f"{reference} leads nowhere.")


def _example_names(value: Any, before: str) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _example_names(one, before)
    if isinstance(value, dict):
        for name, one in value.items():
            yield before + name
            yield from _example_names(one, f"{before}{name}.")


def _with(body: Any, path: list[str], id: str) -> Any:
    """Return the body with `id` at the path; through a list, in each of its items."""
    if isinstance(body, list):
        return [_with(one, path, id) for one in body]
    first, *rest = path
    return body | {first: _with(body.get(first, {}), rest, id) if rest else id}
