"""Claude Agent SDK: hooks that recall when a prompt is submitted and learn when Claude stops."""

from dataclasses import replace
from typing import Any, Unpack

from engramia.sdk.extra import extra_installed
from engramia.sdk.open_runs import OpenRuns
from engramia.sdk.options import Options
from engramia.sdk.recollection import AnyMemory
from engramia.sdk.session import Session, session_of

with extra_installed("The Claude Agent SDK", "claude-agent"):
    from claude_agent_sdk import ClaudeAgentOptions, HookContext, HookMatcher


class EngramiaHooks:
    """Adds notes on earlier runs to each prompt as context, and learns Claude's last message.

        engramia = EngramiaHooks(memory=Memory())
        async for message in query(prompt="...", options=engramia.added_to(ClaudeAgentOptions())):
            ...

    The task is the prompt. A turn that fails is never learned: Claude Code tells no hook of it.
    """

    def __init__(self, memory: AnyMemory | Session, **options: Unpack[Options]) -> None:
        self.session = session_of(memory, options)
        self._open = OpenRuns()

    def added_to(self, options: ClaudeAgentOptions | None = None) -> ClaudeAgentOptions:
        """Return options of one's own with these hooks beside those that are in them."""
        options = options or ClaudeAgentOptions()
        hooks = dict(options.hooks or {})
        hooks["UserPromptSubmit"] = [
            *hooks.get("UserPromptSubmit", []),
            HookMatcher(hooks=[self._on_prompt]),
        ]
        hooks["Stop"] = [*hooks.get("Stop", []), HookMatcher(hooks=[self._on_stop])]
        return replace(options, hooks=hooks)

    async def _on_prompt(self, given: Any, _tool_use_id: str | None, _context: HookContext) -> Any:
        """Recall for a prompt; a newer one of the same session takes the place of the one before it."""
        key = given["session_id"]
        run = await self.session.abegin(given["prompt"], run_id=given.get("prompt_id"))
        self._open.add(key, run)
        if not run.context:
            return {}
        return {
            "hookSpecificOutput": {
                "hookEventName": "UserPromptSubmit",
                "additionalContext": run.context,
            }
        }

    async def _on_stop(self, given: Any, _tool_use_id: str | None, _context: HookContext) -> Any:
        """Learn from the turn that is over."""
        if (run := self._open.pop(given["session_id"])) is not None:
            await run.afinish(given.get("last_assistant_message"), result=given)
        return {}
