"""Plays Claude Code for the SDK: its control protocol over the standard streams, and a model from a script.

The script stands in a JSON file beside this one, and what the model would be asked is appended to the file
that the script names.
"""

import json
import sys
import uuid
from pathlib import Path
from typing import Any

SESSION = uuid.uuid4().hex


def say(message: dict[str, Any]) -> None:
    """Send one message to the SDK."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def hear() -> dict[str, Any]:
    """Return the next message of the SDK."""
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    message: dict[str, Any] = json.loads(line)
    return message


def call_hooks(hooks: dict[str, Any], event: str, **given: Any) -> list[str]:
    """Call the hooks of an event and return the context that they add."""
    added = []
    for matcher in hooks.get(event) or []:
        for callback in matcher["hookCallbackIds"]:
            known = {"session_id": SESSION, "transcript_path": "", "cwd": "/", "hook_event_name": event}
            asked = {"subtype": "hook_callback", "callback_id": callback, "input": {**known, **given}}
            say({"type": "control_request", "request_id": uuid.uuid4().hex, "request": asked})
            said = hear()["response"]["response"]
            added.append(said.get("hookSpecificOutput", {}).get("additionalContext", ""))
    return [text for text in added if text]


def take_turn(hooks: dict[str, Any], prompt: str, script: dict[str, Any]) -> None:
    """Answer one prompt of the user as the script says."""
    context = call_hooks(hooks, "UserPromptSubmit", prompt=prompt)
    asked = [f"user: {prompt}", *(f"context: {text}" for text in context)]
    with Path(script["heard"]).open("a", encoding="utf-8") as heard:
        heard.write(json.dumps(asked) + "\n")
    failed = script["answer"] is None
    if not failed:
        content = [{"type": "text", "text": script["answer"]}]
        message = {"role": "assistant", "model": "scripted", "content": content}
        say({"type": "assistant", "message": message, "session_id": SESSION})
        call_hooks(hooks, "Stop", stop_hook_active=False, last_assistant_message=script["answer"])
    times = {"duration_ms": 1, "duration_api_ms": 1, "num_turns": 1, "session_id": SESSION}
    say({"type": "result", "subtype": "success", "is_error": failed, **times, "result": script["answer"]})


def main() -> None:
    """Serve one session."""
    if "-v" in sys.argv or "--version" in sys.argv:
        sys.stdout.write("99.0.0 (Claude Code)\n")
        return
    script = json.loads(Path(sys.argv[0]).with_suffix(".json").read_text(encoding="utf-8"))
    hooks: dict[str, Any] = {}
    while True:
        message = hear()
        if message["type"] == "control_request":
            hooks = message["request"].get("hooks") or hooks
            done = {"subtype": "success", "request_id": message["request_id"], "response": {}}
            say({"type": "control_response", "response": done})
        elif message["type"] == "user":
            take_turn(hooks, message["message"]["content"], script)


main()
