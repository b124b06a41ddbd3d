"""Evolve: turn recurring feedback into a better prompt, if the candidate passes every gate."""

from collections.abc import Sequence
from dataclasses import dataclass

from engramia.core import limits, validation
from engramia.core.evolution import (
    NO_ISSUES,
    Candidate,
    Evolution,
    Issue,
    addressed,
    parse_candidate,
    refusals,
)
from engramia.core.model import FeedbackItem
from engramia.memory import feedback, prompts
from engramia.memory.asking import configured, new_fence
from engramia.memory.engine import Engine


@dataclass(frozen=True, slots=True)
class Commission:
    """A prompt to improve, checked, as it came; what is sent of it is redacted."""

    role: str
    prompt: str
    num_issues: int


def check_commission(*, role: object, current_prompt: object, num_issues: object) -> Commission:
    """Return the commission that these values describe."""
    return Commission(
        validation.text(role, field="role", max_chars=limits.ID_MAX_CHARS),
        validation.text(current_prompt, field="current_prompt", max_chars=limits.PROMPT_MAX_CHARS),
        validation.whole(num_issues, field="num_issues", low=1, high=limits.ISSUES_MAX),
    )


def evolve(engine: Engine, commission: Commission) -> Evolution:
    """Ask for a candidate and judge it; raises `ProviderOutputError` if the answer holds none."""
    llm = configured(engine.llm, "evolve")
    issues = [
        _issue(item)
        for item in feedback.top(engine, task_type=None, limit=commission.num_issues, offset=0).items
    ]
    if not issues:
        return _unchanged(commission, NO_ISSUES)
    prompt = engine.clean(commission.prompt)
    question = prompts.candidate(
        new_fence(),
        role=engine.clean(commission.role),
        prompt=prompt,
        issues=[issue.text for issue in issues],
    )
    candidate = parse_candidate(llm.ask(question))
    problems = refusals(prompt, candidate, issues, engine.clean)
    if problems:
        return _unchanged(commission, f"The candidate was refused. {' '.join(problems)}")
    return _accepted(engine, candidate, issues)


def _accepted(engine: Engine, candidate: Candidate, issues: Sequence[Issue]) -> Evolution:
    met = addressed(candidate.issues_addressed, issues)
    return Evolution(
        improved_prompt=candidate.improved_prompt,
        changes=tuple(engine.clean(change)[: limits.CHANGE_MAX_CHARS] for change in candidate.changes),
        issues_addressed=met,
        accepted=True,
        reason=f"It addresses {len(met)} of {len(issues)} recurring issues and keeps every instruction.",
    )


def _unchanged(commission: Commission, reason: str) -> Evolution:
    return Evolution(commission.prompt, changes=(), issues_addressed=(), accepted=False, reason=reason)


def _issue(item: FeedbackItem) -> Issue:
    wordings = dict.fromkeys((item.text, *(variant.text for variant in item.variants)))
    return Issue(item.text, tuple(wordings), item.task)
