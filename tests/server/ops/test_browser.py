"""The page /docs in a real browser: it works under its policy, and asks no other host for anything."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.api import Api, service
from tests.server.ops.browser import Page, page

pytestmark = pytest.mark.slow  # a real browser

KEY = "key-of-the-browser-test"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder: Path = tmp_path_factory.mktemp("browser")
    with service(folder, api_keys=(KEY,)) as running:
        yield running


@pytest.fixture
def tab(api: Api) -> Iterator[Page]:
    """The page, opened, with its operations drawn."""
    with page(os.environ["BROWSER"]) as tab:  # noqa: TID251 - a switch of the tests'
        tab.open(url_of(api, "/docs"))
        tab.until("document.querySelectorAll('.opblock').length > 30")
        yield tab


def url_of(api: Api, path: str) -> str:
    host, port = api.address
    return f"http://{host}:{port}{path}"


def test_it_shows_every_operation_and_breaks_no_rule(api: Api, tab: Page) -> None:
    document = api.get("/openapi.json").json()
    operations = sum(len(methods) for methods in document["paths"].values())
    assert tab.value("document.querySelectorAll('.opblock').length") == operations
    assert tab.value("document.querySelector('.title').textContent").startswith("Engramia")
    # One that has a body, a job, schemas and errors, unfolded.
    tab.click("#operations-quality-evaluate .opblock-summary-control")
    tab.until("document.querySelectorAll('.opblock.is-open .responses-table').length > 0")
    tab.value("document.querySelectorAll('.opblock.is-open .tablinks').forEach((each) => each.click())")
    assert tab.value("window.violations") == []
    assert tab.complaints == []
    own = url_of(api, "/")
    assert tab.requested
    assert [url for url in tab.requested if not url.startswith((own, "data:"))] == []


def test_authorize_sends_the_key_along(tab: Page) -> None:
    health = "#operations-ops-health"
    tab.click(f"{health} .opblock-summary-control")
    tab.click(f"{health} .try-out__btn")
    tab.click(f"{health} .execute")
    answer = f"document.querySelector('{health} .live-responses-table tbody')"
    status = f"{answer}?.querySelector('.response-col_status')?.textContent.trim()"
    assert tab.until(status).startswith("401")
    tab.click(".btn.authorize")
    tab.type(".modal-ux input", KEY)
    tab.click(".modal-ux .btn.authorize")
    tab.click(".modal-ux .btn-done")
    tab.click(f"{health} .execute")
    tab.until(f"{status}.startsWith('200')")
    assert "pattern_count" in tab.value(f"{answer}.textContent")
    assert tab.value("window.violations") == []


def test_its_policy_is_really_in_force(tab: Page) -> None:
    tab.value(
        """(() => {
          const script = document.createElement("script");
          script.textContent = "window.injected = true";
          document.body.append(script);
          const style = document.createElement("style");
          style.textContent = "body { display: none }";
          document.head.append(style);
        })()"""
    )
    refused = tab.until("window.violations.length > 1 && window.violations.map((each) => each[0])")
    assert {"script-src-elem", "style-src-elem"} <= set(refused)
    assert tab.value("window.injected") is None
    assert tab.value("fetch('https://example.invalid/').then(() => 'sent', () => 'refused')") == "refused"
    assert any(each[0] == "connect-src" for each in tab.value("window.violations"))
