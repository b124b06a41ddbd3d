"""The real service on a real socket, with a model that knows what to say."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import uvicorn
from pydantic import SecretStr

from engramia.api.app import create_app
from engramia.core.embedding import Embeddings
from engramia.core.fence import GUTTER, MARKER
from engramia.core.llm import Question
from engramia.settings import Settings
from engramia.testing import ScriptedLLM
from tests.server.serving import Server

KEY = "a-key-of-the-e2e-tests"
ISSUE = "No handling of missing files"


def model() -> ScriptedLLM:
    """Return a language model that judges, plans and improves prompts, always in the same way."""
    return ScriptedLLM(_said)


def _said(question: Question) -> object:
    match question.name:
        case "judgement":
            names = ("task_alignment", "code_quality", "workspace_usage", "robustness", "overall")
            return {**dict.fromkeys(names, 7.5), "feedback": ISSUE}
        case "plan":
            return {
                "initial_inputs": [],
                "stages": [
                    {
                        "name": "fetch",
                        "task": "Fetch the price of a stock",
                        "reads": [],
                        "writes": ["prices"],
                    },
                    {"name": "report", "task": "Write it down", "reads": ["prices"], "writes": ["report"]},
                ],
            }
        case _:
            prompt = _fenced(question.material, "present_prompt")
            return {
                "improved_prompt": f"{prompt} Handle missing files.",
                "changes": ["Asks for missing files to be handled"],
                "issues_addressed": [ISSUE],
            }


def _fenced(material: str, label: str) -> str:
    """Return the text that stands behind the fence under a label."""
    inside, lines = False, []
    for line in material.splitlines():
        if line.startswith(f"{MARKER} "):
            inside = line.split()[1:3] == ["begin", label]
        elif inside:
            lines.append(line.removeprefix(GUTTER))
    return "\n".join(lines)


def settings(folder: Path, **wanted: Any) -> Settings:
    """Return settings over `folder` that keep no test waiting."""
    unlimited = dict.fromkeys(("rate_limit_default", "rate_limit_expensive", "rate_limit_per_key"), 1_000_000)
    return Settings(**{"data_path": folder, "job_poll_interval": 0.05, **unlimited, **wanted})


def keyed(folder: Path, **wanted: Any) -> Settings:
    """Return settings under which the key `KEY` is asked for."""
    return settings(folder, api_keys=(SecretStr(KEY),), **wanted)


@contextmanager
def serving(
    wanted: Settings,
    *,
    embeddings: Embeddings | None,
    llm: ScriptedLLM | Literal["scripted"] | None = "scripted",
    port: int = 0,
) -> Iterator[str]:
    """Serve on a port of this machine, by default a free one, until the block ends; yields the base URL."""
    app = create_app(wanted, embeddings=embeddings, llm=model() if llm == "scripted" else llm)
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=5)
    server = Server(config)
    with socket.create_server(("127.0.0.1", port)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            # The socket listens already: whoever connects before the app is up waits in its queue.
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.end()
            thread.join(20)
    assert not thread.is_alive()
