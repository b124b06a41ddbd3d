"""Every page of the guides is a program that runs, and whose second run is told of the first."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sdk.adapters.conftest import installed

ROOT = Path(__file__).parents[3]
PAGES = {
    "langchain": "langchain",
    "langgraph": "langgraph",
    "crewai": "crewai",
    "openai-agents": "agents",
    "pydantic-ai": "pydantic_ai",
    "agent-framework": "agent_framework",
    "google-adk": "google.adk",
    "claude-agent": "claude_agent_sdk",
    "smolagents": "smolagents",
    "llama-index": "llama_index.core",
    "dspy": "dspy",
    "README": "engramia",
}
TOLD = ("solution can be used as it is.", "Known before:")


def programs(page: str) -> list[str]:
    """Return the programs on a page."""
    text = (ROOT / "docs" / "adapters" / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def run(program: str, folder: Path, *arguments: str) -> str:
    """Run a program in a process of its own, with its data in `folder`, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        cwd=folder,
        env={**os.environ, "ENGRAMIA_EMBEDDING_MODEL": "none", "PYTHONPATH": str(ROOT / "src")},  # noqa: TID251 - handed on to a program
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def claude_code(folder: Path) -> tuple[str, ...]:
    """Put the player of Claude Code into `folder`, with its script, and return its path."""
    player = Path(__file__).with_name("claude_code.py").read_text(encoding="utf-8")
    program = folder / "claude"
    program.write_text(f"#!{sys.executable}\n{player}", encoding="utf-8")
    program.chmod(0o755)
    script = {"answer": "import statistics", "heard": str(folder / "heard")}
    program.with_suffix(".json").write_text(json.dumps(script), encoding="utf-8")
    return (str(program),)


def test_every_page_is_run() -> None:
    assert {page.stem for page in (ROOT / "docs" / "adapters").glob("*.md")} == PAGES.keys()
    assert all(programs(page) for page in PAGES)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_program_of_a_page_remembers(page: str, tmp_path: Path) -> None:
    if not installed(PAGES[page]):
        pytest.skip(f"{PAGES[page]} is not installed here; `make test-adapters` has an environment for it")
    arguments = claude_code(tmp_path) if page == "claude-agent" else ()
    for number, program in enumerate(programs(page)):
        folder = tmp_path / str(number)
        folder.mkdir()
        first, second = (run(program, folder, *arguments) for _ in range(2))
        if page == "claude-agent":  # what is said to Claude is seen at its end
            first, second = (tmp_path / "heard").read_text(encoding="utf-8").splitlines()
        assert not any(told in first for told in TOLD)
        assert any(told in second for told in TOLD), second[-3000:]
