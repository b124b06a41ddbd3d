"""A program of DSPy in our module."""

from typing import Any

import dspy

from engramia.sdk.dspy import EngramiaModule
from tests.sdk.adapters.hosts import SYSTEM, Heard, Memories, Play, Run, Script

LEARNS_FAILURES = True


class ScriptedLM(dspy.BaseLM):
    def __init__(self, script: Script) -> None:
        super().__init__(model="scripted", cache=False)
        self.script = script

    def __deepcopy__(self, _memo: Any) -> "ScriptedLM":
        return self

    def __call__(self, prompt: str | None = None, messages: Any = None, **_more: Any) -> list[str]:
        asked = [
            f"{each['role']}: {each['content']}" for each in messages or [{"role": "user", "content": prompt}]
        ]
        return [f"[[ ## code ## ]]\n{self.script.answer(asked)}\n\n[[ ## completed ## ]]"]


def build(memory: Memories, **options: Any) -> Run:
    script = Script()
    own = dspy.Predict(dspy.Signature("task -> code", SYSTEM))
    own.lm = ScriptedLM(script)
    program = own if memory is None else EngramiaModule(own, memory=memory, **options)

    def run(play: Play) -> Heard:
        script.begin(play)
        program(task=play.task)
        return script.heard()

    return run
