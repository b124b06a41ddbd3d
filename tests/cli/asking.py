"""Sessions whose memory asks a scripted language model, and what such a model may say."""

from typing import Any

from engramia.bootstrap import Memory
from engramia.cli.session import Session
from engramia.settings import Settings
from engramia.testing import ScriptedLLM


def scripted(llm: ScriptedLLM | None) -> Session:
    """Return a session over the folder of the settings whose memory asks `llm`."""

    def opened(settings: Settings) -> Memory:
        return Memory(settings=settings, llm=llm)

    return Session(open_memory=opened)


def judgement(overall: float, feedback: str = "Handle empty input", **dimensions: float) -> dict[str, Any]:
    """Return a judge's answer whose scores are all `overall` but for those named."""
    names = ("task_alignment", "code_quality", "workspace_usage", "robustness")
    return {**dict.fromkeys(names, overall), "overall": overall, "feedback": feedback, **dimensions}
