"""Claude Agent SDK with the hooks; a program of ours plays Claude Code at the other end of its pipes."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, query

from engramia.sdk.claude_agent import EngramiaHooks
from tests.sdk.adapters.hosts import Heard, Memories, ModelDownError, Play, Run

LEARNS_FAILURES = False
CLAUDE_CODE = Path(__file__).parents[1] / "claude_code.py"


def _installed(folder: Path) -> Path:
    """Put the player into `folder` as a program, and return its path."""
    program = folder / "claude"
    program.write_text(f"#!{sys.executable}\n{CLAUDE_CODE.read_text(encoding='utf-8')}", encoding="utf-8")
    program.chmod(0o755)
    return program


async def _asked(task: str, options: ClaudeAgentOptions) -> None:
    async for message in query(prompt=task, options=options):
        if isinstance(message, ResultMessage) and message.is_error:
            raise ModelDownError("The model is down.")


def build(memory: Memories, **options: Any) -> Run:
    hooks = None if memory is None else EngramiaHooks(memory=memory, **options)

    def run(play: Play) -> Heard:
        with tempfile.TemporaryDirectory() as folder:
            program, heard = _installed(Path(folder)), Path(folder) / "heard"
            script = {"answer": play.answer, "heard": str(heard)}
            program.with_suffix(".json").write_text(json.dumps(script), encoding="utf-8")
            own = ClaudeAgentOptions(cli_path=program, setting_sources=[])
            asyncio.run(_asked(play.task, hooks.added_to(own) if hooks else own))
            return [json.loads(line) for line in heard.read_text(encoding="utf-8").splitlines()]

    return run
