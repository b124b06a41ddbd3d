"""What the language model is asked: instructions of ours, other people's text behind the fence, a schema."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engramia.core import limits
from engramia.core.fence import Fence
from engramia.core.llm import Question

type Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_SCORE: Schema = {"type": "number", "description": "0 (useless) to 10 (nothing to improve)"}


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


JUDGEMENT: Schema = _object(
    {
        "task_alignment": _SCORE,
        "code_quality": _SCORE,
        "workspace_usage": _SCORE,
        "robustness": _SCORE,
        "overall": _SCORE,
        "feedback": _TEXT,
    }
)

PLAN: Schema = _object(
    {
        "initial_inputs": _TEXTS,
        "stages": {
            "type": "array",
            "items": _object({"name": _TEXT, "task": _TEXT, "reads": _TEXTS, "writes": _TEXTS}),
        },
    }
)

CANDIDATE: Schema = _object({"improved_prompt": _TEXT, "changes": _TEXTS, "issues_addressed": _TEXTS})

_JUDGE = """\
You judge one piece of work by a programming agent: the task it was given, the code it wrote and, if \
there is one, the output that this code is said to have shown. Read the code line by line and decide \
what it would do, also on inputs that the author did not think of. An output is a claim until the code \
bears it out.

Give each of these a number from 0 (useless) to 10 (nothing to improve); 5 is work that does about half \
of what was asked. Use the whole scale, and tenths where they say more.
- task_alignment: does it do what the task asks, all of it and nothing else?
- code_quality: is it correct, clear and of a fitting size?
- workspace_usage: does it treat files, data, libraries and the surroundings it runs in as it should, \
and leave them in order?
- robustness: what becomes of empty, wrong, huge or missing inputs, and of failures outside?
- overall: how much you would trust this work as it stands. Code that does not do the task is below 4 \
however well it is written.
- feedback: the one thing most worth improving, in one or two sentences that would help with similar \
tasks too; quote no code. Empty if there is nothing."""

_COMPOSER = f"""\
You plan how a programming task is done in stages that run one behind the other. Split it into \
{limits.STAGES_MIN} to {limits.STAGES_MAX} stages, each a piece of work that makes sense by itself and \
that could be reused for other tasks; no more of them than the task needs.
- name: short, in snake_case.
- task: what the stage does, in one sentence that can be understood without the others.
- reads: names in snake_case of the values it needs. Each is an initial input, or an earlier stage wrote \
it.
- writes: names of the values it makes. No stage writes what it reads, and no two stages write the same \
name.
- initial_inputs: names of the values that whoever runs the pipeline brings; only what the task takes as \
given.
If known tasks are listed, they have stored solutions: word a stage like one of them where it fits, and \
only there."""

_EVOLVER = """\
You improve the system prompt of an agent. You are given its role, the prompt as it is, and issues that \
were found in its work again and again, one a line.
- improved_prompt: the prompt with every instruction of the present one kept word for word and in its \
order, and with guidance added that would have prevented the issues, in the words that the issues use \
for their subject. The guidance is short and general: it names no task, file, value, person or secret \
and copies no code from the issues. The gutter and the marker lines are not part of the prompt.
- changes: what was added, one short sentence each.
- issues_addressed: those issues, as they are worded, that the added guidance prevents. Leave out the \
others."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is judged, redacted; `issues` are what was said about the same task before."""

    task: str
    code: str
    output: str | None
    issues: tuple[str, ...] = ()


def judgement(fence: Fence, work: Work, focus: str = "") -> Question:
    """Return the question to one judge; `focus` is what this one should look at in particular."""
    material = [
        fence.wrap("task", work.task),
        fence.wrap("code", excerpt(work.code, limits.JUDGED_CODE_MAX_CHARS)),
    ]
    if work.output is not None:
        shown = excerpt(work.output, limits.JUDGED_OUTPUT_MAX_CHARS)
        material.append(fence.wrap("output", shown))
    if work.issues:
        material.append(fence.wrap("feedback", _a_line_each(work.issues)))
    asked = [_JUDGE]
    if work.issues:
        asked.append("The text “feedback” was said of earlier work on this task: see whether it holds here.")
    if focus:
        asked.append(f"Look in particular at this: {focus}")
    return _question("judgement", [*asked, fence.rules()], material, JUDGEMENT)


def plan(fence: Fence, task: str, known: Sequence[str]) -> Question:
    """Return the question for the stages of `task`; `known` are tasks with a stored solution."""
    material = [fence.wrap("task", task)]
    if known:
        material.append(fence.wrap("known_tasks", _a_line_each(known)))
    return _question("plan", [_COMPOSER, fence.rules()], material, PLAN)


def candidate(fence: Fence, *, role: str, prompt: str, issues: Sequence[str]) -> Question:
    """Return the question for an improved `prompt` of the agent in `role`."""
    material = [
        fence.wrap("role", role),
        fence.wrap("present_prompt", prompt),
        fence.wrap("issues", _a_line_each(issues)),
    ]
    most = int(limits.PROMPT_GROWTH * len(prompt))
    room = f"The present prompt has {len(prompt):,} characters; the improved one has {most:,} at most."
    return _question("candidate", [_EVOLVER, room, fence.rules()], material, CANDIDATE)


def excerpt(text: str, most: int) -> str:
    """Return `text` if it has at most `most` characters, else its two ends around a line that says so."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n⟨{len(text) - 2 * half:,} characters are left out here⟩\n{text[-half:]}"


def _a_line_each(texts: Sequence[str]) -> str:
    return "\n".join(" ".join(text.split()) for text in texts)


def _question(name: str, asked: Sequence[str], material: Sequence[str], schema: Schema) -> Question:
    return Question(name, "\n\n".join(asked), "\n\n".join(material), schema)
