"""The tools, each an operation's row and what an agent has to know to use it well."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engramia.mcp.json_schema import Schema, schema_of
from engramia.mcp.operations import FEEDBACK, METRICS, RefineArguments
from engramia.server.kit.operations import Asked, Operation
from engramia.server.kit.schemas import Request
from engramia.server.memory.operations import (
    AGING,
    ANALYZE_FAILURES,
    COMPOSE,
    EVALUATE,
    EVOLVE,
    LEARN,
    RECALL,
    REFINE,
)

PREFIX = "engramia_"


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: the schemas, the permission and the behaviour are the operation's."""

    operation: Operation[Any]
    title: str
    description: str
    """For an agent: what it does, when to call it, what the answer means."""
    reads_only: bool = False
    destroys: bool = False
    repeatable: bool = False
    """Whether a second call with the same arguments changes nothing more."""
    takes: type[Request] | None = None
    """The arguments, where they are more than the operation's body: the pattern that its address names."""
    withheld: frozenset[str] = frozenset()
    """Fields of the body that an agent has no say in."""

    @property
    def name(self) -> str:
        """What agents call it."""
        return PREFIX + self.operation.name

    @property
    def input_schema(self) -> Schema:
        """What it takes."""
        return schema_of(self._model, without=self.withheld)

    @property
    def output_schema(self) -> Schema:
        """What it answers when nothing went wrong."""
        return schema_of(self.operation.response)

    def asked(self, arguments: Mapping[str, Any], author: str | None) -> Asked[Any]:
        """Return a call as the operation takes it; raises pydantic's `ValidationError`."""
        given = {name: value for name, value in arguments.items() if name not in self.withheld}
        body = self._model.model_validate(given)
        return Asked(body, author, body.pattern_key if isinstance(body, RefineArguments) else "")

    @property
    def _model(self) -> type[Request]:
        return self.takes or self.operation.request


_TIERS = (
    "Each match has a `reuse_tier`. `duplicate`: the same task was solved before; use its code as it is. "
    "`adapt`: a related task; start from its code and change what differs. `fresh`: only loosely related; "
    "read it as background and write your own solution."
)

_ALL = (
    Tool(
        RECALL,
        "Recall earlier solutions",
        "Search the memory for earlier runs that solved a similar task. Call this FIRST, before you write "
        f"code or plan any non-trivial task, with the task in one or two plain sentences. {_TIERS} "
        "Matches are ordered best first; `score` weighs similarity by proven quality. An empty list means "
        "that nothing related is stored: work from scratch, then call engramia_learn.",
        # It counts a reuse, as an access log does; no answer of any tool depends on it.
        reads_only=True,
    ),
    Tool(
        LEARN,
        "Remember a solution",
        "Store a finished run so that later runs can reuse it. Call this once at the end of a task that "
        "worked, with the task as it was asked, the solution (`code`: source, commands, or the text that "
        "solved it) and an honest `eval_score` from 0 to 10 (8 and more: tested and works; 5: works with "
        "flaws; below 5: failed). Say in `output` what it printed, in `skills` a few tags. Secrets and "
        "personal data are redacted. A near-identical task is stored once: a strictly better score replaces "
        "it, otherwise `stored` is false and `duplicate_of` names what was kept.",
        withheld=frozenset({"source"}),
    ),
    Tool(
        REFINE,
        "Rate a recalled solution",
        "Say how well a recalled pattern worked, 0 to 10, after you used it. Call this whenever a match of "
        "engramia_recall helped or misled you: it moves the pattern up or down in later recalls. `feedback` "
        "says in a sentence what was wrong or missing; what recurs is shown by engramia_feedback.",
        takes=RefineArguments,
    ),
    Tool(
        EVALUATE,
        "Have code judged",
        "Ask several independent judges (a language model) how good code is for a task, 0 to 10. Call this "
        "when you cannot judge a result yourself and want the score for engramia_learn. `high_variance` "
        "means that the judges disagree; `adversarial_detected` that the shown output is hard-coded. Takes "
        "seconds and costs model calls.",
    ),
    Tool(
        COMPOSE,
        "Plan a pipeline",
        "Split a larger task into 2 to 4 stages (a language model plans them) with the best stored pattern "
        "for each, its tier, and who reads what from whom. Call this for a task of several distinct steps. "
        "`valid` false and `contract_errors` tell what does not fit; mend that before you follow it.",
        reads_only=True,
        repeatable=True,
    ),
    Tool(
        FEEDBACK,
        "Show recurring issues",
        "List the mistakes that were pointed out at least twice in this project, most pressing first. Call "
        "this before you start on a kind of task that went wrong before, and avoid what it lists. "
        "`task_type` narrows it to a word of the task.",
        reads_only=True,
        repeatable=True,
    ),
    Tool(
        EVOLVE,
        "Improve a prompt",
        "Improve an agent's prompt by the issues that recur in its feedback (a language model writes the "
        "candidate). Nothing is changed by this: it returns `improved_prompt`, and `accepted` says whether "
        "the candidate passed its checks; if not, the prompt comes back as it was, with the `reason`.",
        reads_only=True,
    ),
    Tool(
        ANALYZE_FAILURES,
        "Group failures",
        "Group everything that was criticised into clusters of one cause each, the most frequent first, with "
        "the mean score of the runs they came from. Call this to find what to fix first.",
        reads_only=True,
        repeatable=True,
    ),
    Tool(
        METRICS,
        "Show statistics",
        "Statistics of this memory: runs learned, share of successes, mean score of the last 30 days, "
        "patterns stored, and how often a recall found something to reuse.",
        reads_only=True,
        repeatable=True,
    ),
    Tool(
        AGING,
        "Let old patterns fade",
        "Upkeep: fades every pattern's score by 2 % a week since it last faded and DELETES those under 0.1. "
        "Only when the user asks for it: an operator's schedule does this otherwise.",
        destroys=True,
        repeatable=True,
    ),
)

TOOLS: Mapping[str, Tool] = {tool.name: tool for tool in _ALL}
"""By name, the most useful first."""
