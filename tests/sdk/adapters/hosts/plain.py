"""A loop of its own around a model, without any framework."""

from typing import Any, cast

from engramia.sdk.options import Options
from engramia.sdk.session import session_of
from tests.sdk.adapters.hosts import SYSTEM, Heard, Memories, Play, Run, Script

LEARNS_FAILURES = True


def build(memory: Memories, **options: Any) -> Run:
    script = Script()
    session = None if memory is None else session_of(memory, cast("Options", options))

    def run(play: Play) -> Heard:
        script.begin(play)
        if session is None:
            script.answer([f"system: {SYSTEM}", f"user: {play.task}"])
            return script.heard()
        begun = session.begin(play.task)
        try:
            answer = script.answer([f"system: {begun.context_after(SYSTEM)}", f"user: {play.task}"])
        except Exception as error:
            begun.fail(error)
            raise
        begun.finish(answer, result=answer)
        return script.heard()

    return run
