"""The page of settings says what settings.py says, and says it of every one."""

import re
from pathlib import Path

import pytest

from engramia.cli.session import variable
from engramia.cli.settings_page import settings_page
from engramia.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def row(name: str) -> str:
    return next(line for line in settings_page().splitlines() if line.startswith(f"| `{name}` |"))


def test_the_page_is_in_step_with_the_settings() -> None:
    committed = PAGE.read_text(encoding="utf-8")
    assert committed == settings_page(), "python -m engramia.cli.settings_page > docs/settings.md"


def test_every_variable_is_there_once_and_means_something() -> None:
    page = settings_page()
    for name, field in Settings.model_fields.items():
        assert page.count(f"| `{variable(name)}` |") == 1, name
        assert field.description, name
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) == len(Settings.model_fields)
    assert all(re.fullmatch(r"\| `\w+` \| (?:unset|`[^`]+`) \| .+\. \|", line) for line in rows)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("ENGRAMIA_DATA_PATH", "`./engramia_data`"),
        ("ENGRAMIA_REDACTION", "`true`"),
        ("ENGRAMIA_STORAGE", "One of `json`, `postgres`."),
        ("ENGRAMIA_ENV_AUTH_ROLE", "One of `owner`, `admin`, `editor`, `reader`."),
        ("ENGRAMIA_LLM_PROVIDER", "unset"),
        ("ENGRAMIA_LLM_TIMEOUT", "Over 0 and at most 600."),
        ("ENGRAMIA_API_KEYS", "unset"),
        ("OPENAI_API_KEY", "unset"),
    ],
)
def test_defaults_choices_and_bounds_are_told(name: str, told: str) -> None:
    assert told in row(name)


def test_each_group_has_its_heading() -> None:
    headings = re.findall(r"^## (.+)$", settings_page(), re.MULTILINE)
    assert headings[0] == "Storage"
    assert len(headings) == len(Settings.__bases__)
