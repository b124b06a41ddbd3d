"""Without its framework an adapter says what to install, and the shared piece needs none of them."""

import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3] / "src"
EXTRAS = {
    "langchain": "langchain",
    "langgraph": "langgraph",
    "crewai": "crewai",
    "openai_agents": "openai-agents",
    "pydantic_ai": "pydantic-ai",
    "agent_framework": "agent-framework",
    "google_adk": "google-adk",
    "claude_agent": "claude-agent",
    "smolagents": "smolagents",
    "llama_index": "llama-index",
    "dspy": "dspy",
}
PACKAGES = (
    "langchain langchain_core langgraph crewai agents pydantic_ai agent_framework google claude_agent_sdk "
    "smolagents llama_index dspy"
)
PROGRAM = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in "{PACKAGES}".split():
            raise ModuleNotFoundError(f"No module named {{name!r}}")

sys.meta_path.insert(0, Missing())
import importlib
import engramia.sdk.session
for name in {list(EXTRAS)}:
    try:
        importlib.import_module("engramia.sdk." + name)
    except ImportError as error:
        print(error)
"""


@pytest.fixture(scope="module")
def said() -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=SOURCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(("place", "extra"), list(enumerate(EXTRAS.values())))
def test_an_adapter_names_its_extra(said: list[str], place: int, extra: str) -> None:
    assert said[place].endswith(f'pip install "engramia[{extra}]"')
    assert "is not installed" in said[place]


def test_every_adapter_is_tried() -> None:
    adapters = {
        path.stem
        for path in (SOURCE / "engramia" / "sdk").glob("*.py")
        if "extra_installed(" in path.read_text(encoding="utf-8")
    }
    assert adapters - {"extra"} == EXTRAS.keys()
