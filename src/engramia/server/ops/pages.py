"""Swagger UI at /docs, from the asset files of an installed package: no other host, nothing inline."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from engramia.errors import NotFoundError

router = APIRouter(include_in_schema=False)

PACKAGE = "fastapi_offline"
"""Never imported: only the files in it are read."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may do, for the edge to say so.

Its icons are data: images in the style sheet; styles that the script sets need no permission.
"""

_FOREVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
_TYPES: Mapping[str, str] = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon.png": "image/png",
    "start.js": "text/javascript; charset=utf-8",
}
_START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  presets: [SwaggerUIBundle.presets.apis],
  validatorUrl: null,
});
"""
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Engramia API</title>
<link rel="stylesheet" href="docs/{css}">
<link rel="icon" type="image/png" href="docs/{icon}">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/{bundle}"></script>
<script src="docs/{start}"></script>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served; `version` is a digest of its bytes."""

    body: bytes
    media_type: str

    @property
    def version(self) -> str:
        return hashlib.sha256(self.body).hexdigest()[:16]


@router.get("/docs")
async def page(request: Request) -> Response:
    """Return the page; its address has no slash at the end, for the addresses in it are relative."""
    names = {
        "css": "swagger-ui.css",
        "icon": "favicon.png",
        "bundle": "swagger-ui-bundle.js",
        "start": "start.js",
    }
    links = {link: f"{name}?v={asset(name).version}" for link, name in names.items()}
    html = Asset(_PAGE.format(**links).encode(), "text/html; charset=utf-8")
    return _served(request, html, {"Cache-Control": _ASK_AGAIN})


@router.get("/docs/{name}")
async def file(request: Request, name: str) -> Response:
    """Return a file of the page; it may be kept for good under its address, which names its version."""
    return _served(request, asset(name), {"Cache-Control": _FOREVER})


@cache
def asset(name: str) -> Asset:
    """Return one of the page's files, read once; `NotFoundError` for any other name."""
    if name not in _TYPES:
        raise NotFoundError("There is nothing at this path.")
    if name == "start.js":
        return Asset(_START.encode(), _TYPES[name])
    try:
        return Asset((_folder() / name).read_bytes(), _TYPES[name])
    except OSError as error:
        raise NotFoundError('The pages of /docs are not installed: pip install "engramia[api]".') from error


def _folder() -> Path:
    spec = find_spec(PACKAGE)
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places or ()), "")) / "static"


def _served(request: Request, found: Asset, headers: dict[str, str]) -> Response:
    tag = f'"{found.version}"'
    headers = {**headers, "ETag": tag}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(found.body, headers={**headers, "Content-Type": found.media_type})
