"""One program for each framework, and one without any: a model that answers from a script, a memory or none.

Each module has `LEARNS_FAILURES`, whether its adapter sees failed runs, and `build(memory, **options)`, which
makes the agent and returns a function that runs it: it takes a `Play` and returns what the model was asked,
for each call its messages as "role: text".
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from engramia.sdk.recollection import AnyMemory
from engramia.sdk.session import Session

SYSTEM = "You are a careful programmer."


@dataclass(frozen=True, slots=True)
class Play:
    """What the user asks, and what the model answers; None for a model that fails."""

    task: str
    answer: str | None


type Heard = list[list[str]]
type Run = Callable[[Play], Heard]


class Script:
    """What a model is to answer next, and what it was asked."""

    def __init__(self) -> None:
        self._play = Play("", None)
        self._heard: Heard = []

    def begin(self, play: Play) -> None:
        """Begin another run."""
        self._play, self._heard = play, []

    def answer(self, messages: Iterable[str]) -> str:
        """Note what the model was asked and return what it answers; `ModelDownError` if it is to fail."""
        self._heard.append(list(messages))
        if self._play.answer is None:
            raise ModelDownError("The model is down.")
        return self._play.answer

    def heard(self) -> Heard:
        """Return what the model was asked in this run."""
        return self._heard


class Host(Protocol):
    LEARNS_FAILURES: bool
    build: Callable[..., Run]


PACKAGES = {
    "plain": "engramia",
    "langchain_agent": "langchain",
    "langchain_agent_async": "langchain",
    "langchain_chain": "langchain",
    "openai_agents": "agents",
    "pydantic_ai": "pydantic_ai",
    "smolagents": "smolagents",
    "llama_index": "llama_index.core",
    "dspy": "dspy",
    "google_adk": "google.adk",
    "agent_framework": "agent_framework",
    "claude_agent": "claude_agent_sdk",
    "crewai": "crewai",
}
"""The programs, and the package that each needs."""


class ModelDownError(Exception):
    """What a model raises that was told to fail."""


def host(name: str) -> Host:
    """Return the program of this name; ImportError where its framework is missing."""
    return cast("Host", import_module(f"{__name__}.{name}"))


type Memories = AnyMemory | Session | None
