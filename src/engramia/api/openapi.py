"""The OpenAPI document: what FastAPI makes of the routes, and what the layers around them add."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from engramia.server.kit.endpoints import PUBLIC

_JSON = "application/json"
_FIRST_ERROR = "400"
_METHODS = frozenset({"get", "post", "put", "patch", "delete"})

TAGS = (
    {"name": "memory", "description": "Store agent runs and find them again."},
    {"name": "quality", "description": "Judge code, compose pipelines, improve prompts, see what recurs."},
    {"name": "skills", "description": "Tags on patterns."},
    {"name": "upkeep", "description": "Let scores and feedback fade with time."},
    {"name": "transfer", "description": "Export and import."},
    {"name": "jobs", "description": "What was asked for with `Prefer: respond-async`."},
    {"name": "ops", "description": "Health and version."},
    {"name": "keys", "description": "API keys. Needs Postgres."},
    {"name": "analytics", "description": "What the memory is worth. Needs Postgres."},
    {"name": "governance", "description": "Retention, classification, erasure. Needs Postgres."},
    {"name": "audit", "description": "Who did what. Needs Postgres."},
    {"name": "billing", "description": "Plans and payment. Needs Postgres."},
    {"name": "auth", "description": "Cloud accounts. Needs Postgres."},
)

_HEADERS = {
    "X-Request-ID": {
        "description": "The id of this request, the caller's own if it sent a fit one; in every log line.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    },
    "RateLimit-Limit": {"description": "Requests a minute.", "schema": {"type": "string"}},
    "RateLimit-Remaining": {"description": "Requests left in this minute.", "schema": {"type": "string"}},
    "RateLimit-Reset": {"description": "Seconds until the minute is over.", "schema": {"type": "string"}},
}
_LIMITED_ONLY = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")

_PROJECT = {
    "name": "X-Project-Id",
    "in": "header",
    "required": False,
    "description": "Work in this project of the tenant in place of the key's own; for admins and owners.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"},
}


def document_of(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of `app`; the same for the same routes, so that it can be compared."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
        tags=[dict(tag) for tag in TAGS],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    parts = document.setdefault("components", {})
    parts["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "An API key: `Authorization: Bearer ...`."}
    }
    parts["headers"] = {name: dict(header) for name, header in _HEADERS.items()}
    parts["responses"] = {}
    for path in document["paths"].values():
        for operation in (path[method] for method in path.keys() & _METHODS):
            _complete(operation, parts["responses"])
    _put_examples(app, document)
    return document


def _complete(operation: dict[str, Any], shared: dict[str, Any]) -> None:
    """Add what the edge does to every operation; errors, which all share, go to `shared`."""
    public = operation["x-permission"] == PUBLIC
    operation["security"] = [] if public else [{"key": []}]
    if not public:
        operation.setdefault("parameters", []).append(_PROJECT)
    limited = "429" in operation["responses"]
    names = [name for name in _HEADERS if limited or name not in _LIMITED_ONLY]
    for status, response in operation["responses"].items():
        headers = response.setdefault("headers", {})
        headers.update({name: {"$ref": f"#/components/headers/{name}"} for name in names})
        if status >= _FIRST_ERROR:
            operation["responses"][status] = _shared(response, status, shared)


def _shared(response: dict[str, Any], status: str, shared: dict[str, Any]) -> dict[str, Any]:
    """Return a reference to `response` among the shared ones, under a name of its own for each kind."""
    name = next((name for name, known in shared.items() if known == response), None)
    if name is None:
        alike = sum(known.partition("-")[0] == status for known in shared)
        name = status if not alike else f"{status}-{alike + 1}"
        shared[name] = response
    return {"$ref": f"#/components/responses/{name}"}


def _put_examples(app: FastAPI, document: dict[str, Any]) -> None:
    """Put the examples in again as they were given: FastAPI drops what is null in them."""
    for route in app.routes:
        if not isinstance(route, APIRoute) or not route.include_in_schema:
            continue
        for status in (200, 201):
            given = route.responses.get(status, {}).get("content", {}).get(_JSON)
            if given is not None:
                for method in (route.methods or set()) & {name.upper() for name in _METHODS}:
                    answer = document["paths"][route.path_format][method.lower()]["responses"][str(status)]
                    answer["content"][_JSON]["example"] = given["example"]
