"""Evolved prompts: how a candidate is read from an answer, and the gates it has to pass."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from engramia.core import limits, validation
from engramia.core.copying import copied_code, copied_run
from engramia.core.failures import joins
from engramia.core.fence import GUTTER, MARKER
from engramia.core.similarity.alignment import akin
from engramia.core.similarity.lexicon import FUNCTION_WORDS, NEGATIONS, stem
from engramia.core.words import normalise, words
from engramia.errors import ProviderOutputError, ValidationError

NO_ISSUES: Final = "no_issues"
"""The reason when nothing recurs, so that there is nothing to improve."""

_KEPT: Final = 0.8
"""Share of an instruction's words that a sentence must have, in their order, to be that instruction."""
_ENOUGH: Final = 2
"""So many words of an issue in the added text are enough, of a short issue a third of its words."""
_QUOTED: Final = 120

_BULLET: Final = re.compile(r"^\s*(?:\d{1,3}[.)]|[-*+•])\s+", re.MULTILINE)
# A small letter goes on with the sentence, as after "i.e.".
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+(?![a-z])|(?<=[。\uff01\uff1f])|\n")
_DENIALS: Final = NEGATIONS | set("t cannot unless instead avoid longer".split())
# Words without which an instruction is another one. "t" is what is left of "don't".
_WEIGHTY: Final = _DENIALS | set("must always only exactly least most until before after".split())
_EMPTY: Final = FUNCTION_WORDS | NEGATIONS | set("missing lacks lack lacking absent always often".split())
_WITHDRAWAL: Final = re.compile(
    r"\b(?:ignor|disregard|forget|overrid|overrul|supersed"
    r"|(?:not|t|never|stop|no longer) (?:follow|obey|appl|hold))"
    r".*\b(?:instruction|rule|guideline|guidance|prompt|above|earlier|previous|prior)"
    r"|\b(?:instruction|rule|guideline|guidance|prompt|above)s?\b.*\bno longer\b"
)
_PLACEHOLDER: Final = "[REDACTED:"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A prompt that a model proposes, what it says it changed, and the issues it says it addressed."""

    improved_prompt: str
    changes: tuple[str, ...]
    issues_addressed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Issue:
    """A recurring issue: its text, all its wordings, and the task of the run it was last said of."""

    text: str
    wordings: tuple[str, ...]
    task: str


@dataclass(frozen=True, slots=True)
class Evolution:
    """What became of a prompt. Unless `accepted`, `improved_prompt` is the one that was handed in."""

    improved_prompt: str
    changes: tuple[str, ...]
    issues_addressed: tuple[str, ...]
    accepted: bool
    reason: str
    """`no_issues`, or sentences."""


def parse_candidate(value: object) -> Candidate:
    """Return the candidate in a model's decoded JSON answer; `ProviderOutputError` if there is none in it."""
    if not isinstance(value, Mapping):
        raise ProviderOutputError(f"The answer is {type(value).__name__} instead of an object.")
    longest = int(limits.PROMPT_MAX_CHARS * limits.PROMPT_GROWTH)
    return Candidate(
        _text(value.get("improved_prompt"), "improved_prompt", longest),
        _texts(value.get("changes"), "changes"),
        _texts(value.get("issues_addressed"), "issues_addressed"),
    )


def refusals(
    original: str, candidate: Candidate, issues: Sequence[Issue], clean: Callable[[str], str]
) -> tuple[str, ...]:
    """Return why the candidate is not accepted, a sentence for each gate that it fails; empty if it is.

    It keeps every instruction of the original, is at most twice as long, adds something that has to do with
    each issue that it claims, claims only issues that were given, and copies no code, secret or task text
    out of them. `clean` takes secrets out of a text; `original` must be clean already.
    """
    improved = candidate.improved_prompt
    added = _added(original, improved)
    return (
        *_dropped(original, improved),
        *_withdrawn(added),
        *_too_long(original, improved),
        *_unaddressed(candidate.issues_addressed, issues, added),
        *_leaked(original, improved, added, issues),
        *_secret(improved, clean),
        *_marked(original, improved),
    )


def addressed(claims: Sequence[str], issues: Sequence[Issue]) -> tuple[str, ...]:
    """Return the given issues, as they were given, that the claims name."""
    found = (_named(claim, issues) for claim in claims)
    return tuple(dict.fromkeys(issue.text for issue in found if issue is not None))


def _dropped(original: str, improved: str) -> list[str]:
    sentences = [words(sentence) for sentence in _sentences(improved)]
    exact = {tuple(sentence) for sentence in sentences}
    lost = next(
        (
            instruction
            for instruction in _sentences(original)
            if tuple(wanted := words(instruction)) not in exact
            and not any(_says(sentence, wanted) for sentence in sentences)
        ),
        None,
    )
    return [] if lost is None else [f"It drops or changes the instruction “{_short(lost)}”."]


def _says(sentence: list[str], wanted: list[str]) -> bool:
    """Return whether `sentence` is the instruction `wanted`, give or take words that do not matter."""
    ours, theirs = [stem(word) for word in wanted], [stem(word) for word in sentence]
    if len(set(ours) & set(theirs)) < _KEPT * len(set(ours)):
        return False
    blocks = SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks()
    kept = {block.a + step for block in blocks for step in range(block.size)}
    lost = [word for place, word in enumerate(wanted) if place not in kept]
    # A word that is there, but elsewhere, was exchanged with another.
    weighty = any(word in _WEIGHTY or stem(word) in theirs or not word.isalpha() for word in lost)
    denied = (set(sentence) - set(wanted)) & _DENIALS
    return len(kept) >= _KEPT * len(wanted) and not weighty and not denied


def _withdrawn(added: Sequence[str]) -> list[str]:
    taken = next((line for line in added if _WITHDRAWAL.search(normalise(line))), None)
    return [] if taken is None else [f"It takes instructions back: “{_short(taken)}”."]


def _too_long(original: str, improved: str) -> list[str]:
    most = int(limits.PROMPT_GROWTH * len(original))
    if len(improved) <= most:
        return []
    return [
        f"It has {len(improved):,} characters; {limits.PROMPT_GROWTH:g} times the original's are {most:,}."
    ]


def _unaddressed(claims: Sequence[str], issues: Sequence[Issue], added: Sequence[str]) -> list[str]:
    if not added:
        return ["It adds nothing to the prompt."]
    if not claims:
        return ["It claims to address none of the issues."]
    said = {stem(word) for line in added for word in words(line)}
    problems = []
    for claim in claims:
        issue = _named(claim, issues)
        if issue is None:
            problems.append(f"It claims an issue that was not given: “{_short(claim)}”.")
        elif not _reflected(issue.text, said):
            problems.append(f"Nothing that it adds has to do with the issue “{_short(issue.text)}”.")
    return problems


def _named(claim: str, issues: Sequence[Issue]) -> Issue | None:
    asked = normalise(claim)
    equal = (issue for issue in issues if any(normalise(said) == asked for said in issue.wordings))
    similar = (issue for issue in issues if joins(issue.text, claim))
    return next(equal, None) or next(similar, None)


def _reflected(issue: str, said: set[str]) -> bool:
    told = words(issue)
    wanted = {stem(word) for word in told if word not in _EMPTY} or {stem(word) for word in told}
    found = sum(word in said or any(akin(word, other) for other in said) for word in wanted)
    return found >= min(_ENOUGH, math.ceil(len(wanted) / 3))


def _leaked(original: str, improved: str, added: Sequence[str], issues: Sequence[Issue]) -> list[str]:
    text = "\n".join(added)
    said = [wording for issue in issues for wording in issue.wordings]
    if any(copied_code(text, source, known=original) for source in said):
        return ["It copies code out of the feedback."]
    if any(copied_run(text, issue.task, known=original) for issue in issues):
        return ["It copies the text of a task."]
    if improved.count(_PLACEHOLDER) > original.count(_PLACEHOLDER):
        return ["It copies what was redacted in the feedback."]
    return []


def _secret(improved: str, clean: Callable[[str], str]) -> list[str]:
    return [] if clean(improved) == improved else ["It holds a secret or personal data."]


def _marked(original: str, improved: str) -> list[str]:
    """Return whether marks of the question stand in the answer, as models that copy too much leave them."""
    gutters = [any(line.startswith(GUTTER) for line in text.splitlines()) for text in (original, improved)]
    marked = MARKER in improved and MARKER not in original
    return ["It holds marks of the question it answers."] if marked or gutters == [False, True] else []


def _added(original: str, improved: str) -> list[str]:
    """Return the sentences of `improved` that the original does not have."""
    known = {normalise(sentence) for sentence in _sentences(original)}
    return [sentence for sentence in _sentences(improved) if normalise(sentence) not in known]


def _sentences(text: str) -> list[str]:
    """Return the lines of `text` without bullets, cut into sentences, that hold any word."""
    plain = _BULLET.sub("", text)
    return [sentence.strip() for sentence in _SENTENCE_END.split(plain) if words(sentence)]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _QUOTED else f"{line[: _QUOTED - 1]}…"


def _texts(value: object, field: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ProviderOutputError(f"The answer's {field} is {type(value).__name__} instead of a list.")
    kept = [_text(each, field, limits.FEEDBACK_MAX_CHARS).strip() for each in value[: limits.CHANGES_MAX]]
    return tuple(kept)


def _text(value: object, field: str, max_chars: int) -> str:
    try:
        return validation.text(value, field=field, max_chars=max_chars)
    except ValidationError as error:
        raise ProviderOutputError(f"The answer cannot be used: {error}") from None
