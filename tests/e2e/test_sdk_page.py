"""The page about the Python client: its examples run, and print what it says."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engramia.providers.local import LocalEmbeddings
from engramia.sdk.webhook import EngramiaWebhook
from tests.e2e import served

PAGE = Path(__file__).parents[2] / "docs" / "sdk.md"
BLOCK = re.compile(r"```(python|text)\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    embeddings = LocalEmbeddings(cache_dir=tmp_path_factory.mktemp("model"), download=False)
    wanted = served.keyed(tmp_path_factory.mktemp("data"))
    with served.serving(wanted, embeddings=embeddings) as running:
        yield running


@pytest.mark.slow
def test_the_pages_examples_run_and_print_what_it_says(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert len(blocks) >= 10
    for kind, text in blocks:
        if kind == "text":
            assert capsys.readouterr().out == text
        else:
            source = text.replace("http://localhost:8000", url).replace("my-key", served.KEY)
            exec(source, names)  # noqa: S102 - the page's example is what is tested
    names["client"].close()


@pytest.mark.slow
def test_the_page_names_every_method() -> None:
    page = PAGE.read_text(encoding="utf-8")
    methods = {name for name in vars(EngramiaWebhook) if not name.startswith("_")} - {"get_feedback"}
    assert {name for name in methods if not re.search(rf"\b{name}\(", page)} == set()
