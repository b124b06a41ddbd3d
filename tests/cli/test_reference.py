"""The reference page says what the commands' help says."""

from pathlib import Path

from engramia.cli.app import app
from engramia.cli.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_page_is_in_step_with_the_help() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), "python -m engramia.cli.reference > docs/cli.md"


def test_every_command_teaches_by_examples() -> None:
    page = reference()
    sections = page.split("## engramia ")[1:]
    assert len(sections) >= len(app.registered_commands)
    for section in sections:
        assert "Examples:" in section or section.startswith(("skills\n", "jury\n")), section.partition("\n")[
            0
        ]
