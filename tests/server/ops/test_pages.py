"""The files behind /docs: where they come from, and what is said of them."""

import re
from importlib.metadata import files
from pathlib import Path

import pytest

from engramia.errors import NotFoundError
from engramia.server.ops.pages import PACKAGE, POLICY, asset
from tests.server.ops.ops_app import Running, running

pytestmark = pytest.mark.slow  # real sockets


def links(html: str) -> list[str]:
    return re.findall(r'(?:src|href)="([^"]*)"', html)


def fetched(service: Running) -> dict[str, bytes]:
    html = service.get("/docs").body.decode()
    return {link: service.anonymous().get(f"/{link}").body for link in links(html)}


def test_the_page_holds_nothing_but_its_own_files(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        answer = service.anonymous().get("/docs")
        assert answer["Content-Type"] == "text/html; charset=utf-8"
        assert answer["Content-Security-Policy"] == POLICY
        html = answer.body.decode()
        assert len(links(html)) == 4
        assert all(link.startswith("docs/") for link in links(html))
        assert not re.search(r"<style|style=|onload=|<script(?![^>]*src=)", html)
        assert all(len(body) > 100 for body in fetched(service).values())


def test_the_policy_allows_nothing_inline_and_no_other_host() -> None:
    assert "unsafe" not in POLICY
    assert "http" not in POLICY
    directives = dict(part.strip().split(" ", 1) for part in POLICY.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["connect-src"] == "'self'"


def test_other_answers_keep_the_stricter_policy(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        assert "script-src" not in service.get("/v1/version")["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("swagger-ui.css", "text/css"),
        ("swagger-ui-bundle.js", "text/javascript"),
        ("start.js", "text/javascript"),
        ("favicon.png", "image/png"),
    ],
)
def test_files_have_their_type_and_may_be_kept(tmp_path: Path, name: str, kind: str) -> None:
    with running(tmp_path) as service:
        answer = service.anonymous().get(f"/docs/{name}")
        assert answer.status == 200
        assert answer["Content-Type"].partition(";")[0] == kind
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert "max-age=31536000" in answer["Cache-Control"]
        again = service.get(f"/docs/{name}", If_None_Match=answer["ETag"])
        assert (again.status, again.body) == (304, b"")
        assert service.get(f"/docs/{name}", If_None_Match='"of-yesterday"').status == 200


def test_the_page_itself_is_asked_for_anew(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        answer = service.get("/docs")
        assert answer["Cache-Control"] == "no-cache"
        assert service.get("/docs", If_None_Match=answer["ETag"]).status == 304


@pytest.mark.parametrize(
    "name", ["redoc.standalone.js", "..%2fcore.py", "__init__.py", "swagger-ui.css%00", "x"]
)
def test_no_other_file_of_the_package_is_served(tmp_path: Path, name: str) -> None:
    with running(tmp_path) as service:
        answer = service.get(f"/docs/{name}")
        assert (answer.status, answer.json()["error"]) == (404, "not_found")
    with pytest.raises(NotFoundError):
        asset(name)


def test_the_files_are_the_packages_own(tmp_path: Path) -> None:
    package = {path.name: path for path in files(PACKAGE) or () if "static" in path.parts}
    with running(tmp_path) as service:
        for link, body in fetched(service).items():
            name = Path(link.partition("?")[0]).name
            if name in package:
                assert body == package[name].read_binary()
            else:
                assert name == "start.js"
