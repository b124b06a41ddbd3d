"""Replaces secrets and personal data in a text by placeholders that name their kind."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import re2

from engramia.core.redaction.assignment import AssignmentDetector, OptionDetector, SentenceDetector
from engramia.core.redaction.candidate import Detector, Span
from engramia.core.redaction.credentials import CREDENTIALS, CookieDetector
from engramia.core.redaction.pattern import compiled, options
from engramia.core.redaction.personal import PERSONAL
from engramia.core.redaction.vendors import VENDORS

_PLACEHOLDER = compiled(r"\[REDACTED:[a-z0-9_]{1,40}\]")
_COUNTS = re.compile(r"\{(?:[3-9]|\d\d)")
_ROUNDS = 8  # a finding can uncover another that touched it; more than two in a row takes a text made for it
_CONTINUATION = range(0x80, 0xC0)


@dataclass(frozen=True, slots=True)
class Finding:
    """A secret or personal datum at `text[start:end]`, and its kind."""

    kind: str
    start: int
    end: int


@cache  # they hold nothing of a text, and compiling them takes twenty milliseconds
def default_detectors() -> tuple[Detector, ...]:
    """Return every detector, the more telling kinds first."""
    vendors = (vendor.detector() for vendor in VENDORS)
    assigned = (CookieDetector(), AssignmentDetector(), OptionDetector(), SentenceDetector())
    return (*vendors, *CREDENTIALS, *assigned, *PERSONAL)


class Redactor:
    """Finds and replaces secrets; pure, safe to share between threads, linear in the text's length.

    A pass of an automaton over all detectors' triggers says which detectors can find anything; only these
    run. A text without a trigger costs two passes: triggers that count beyond two have one of their own, for
    in one automaton with the others they would multiply its states.
    """

    def __init__(self, detectors: Sequence[Detector] | None = None) -> None:
        self._detectors = default_detectors() if detectors is None else tuple(detectors)
        self._triggers = _triggers(self._detectors)

    def redact(self, text: str) -> str:
        """Return the text with each finding replaced by `[REDACTED:kind]`; a second time changes nothing."""
        data = text.encode("utf-8", "surrogatepass")
        spans = self._spans(data)
        if not spans:
            return text
        pieces: list[bytes] = []
        last = 0
        for span in spans:
            pieces += (data[last : span.start], f"[REDACTED:{span.kind}]".encode())
            last = span.end
        return b"".join((*pieces, data[last:])).decode("utf-8", "surrogatepass")

    def suspects(self, texts: Sequence[str]) -> bool:
        """Return whether `redact` may change any of `texts`: whether there is a trigger in them."""
        return bool(self._woken("\0".join(texts).encode("utf-8", "surrogatepass")))

    def scan(self, text: str) -> list[Finding]:
        """Return the findings in order; they do not overlap."""
        data = text.encode("utf-8", "surrogatepass")
        findings: list[Finding] = []
        done = chars = 0
        for span in self._spans(data):
            start = chars + _length(data[done : span.start])
            done, chars = span.end, start + _length(data[span.start : span.end])
            findings.append(Finding(span.kind, start, chars))
        return findings

    def _spans(self, data: bytes) -> list[Span]:
        found: list[Span] = []
        masked = _mask_placeholders(data)
        for _ in range(_ROUNDS):
            fresh = self._round(masked)
            if not fresh:
                break
            found += fresh
            masked = _masked(masked, fresh)
        return sorted(found, key=lambda span: span.start)

    def _round(self, data: bytes) -> list[Span]:
        ranks = self._woken(data)
        if not ranks:
            return []
        spans = [
            (span.start, rank, span) for rank in sorted(ranks) for span in self._detectors[rank].find(data)
        ]
        return _merged(data, spans)

    def _woken(self, data: bytes) -> set[int]:
        """Return the ranks of the detectors that have a trigger in `data`."""
        ranks: set[int] = set()
        for automaton, owners in self._triggers:
            for hit in automaton.Match(data) or ():
                ranks.update(owners[hit])
        return ranks


@lru_cache(maxsize=1)
def _triggers(detectors: tuple[Detector, ...]) -> tuple[tuple[Any, tuple[list[int], ...]], ...]:
    """Return automata over the triggers of detectors, each with the ranks of those that a trigger wakes."""
    owners: dict[str, list[int]] = {}
    for rank, detector in enumerate(detectors):
        for trigger in detector.triggers:
            owners.setdefault(trigger, []).append(rank)
    plain = {trigger: ranks for trigger, ranks in owners.items() if not _COUNTS.search(trigger)}
    counting = {trigger: ranks for trigger, ranks in owners.items() if _COUNTS.search(trigger)}
    return tuple((_automaton(some), tuple(some.values())) for some in (plain, counting) if some)


def _automaton(triggers: Iterable[str]) -> Any:
    """Return what tells, in one pass, which of `triggers` stand in a text."""
    chosen = re2.Set.SearchSet(options(ignore_case=True))
    for trigger in triggers:
        chosen.Add(trigger.encode("latin-1"))
    chosen.Compile()
    return chosen


def _merged(data: bytes, spans: Iterable[tuple[int, int, Span]]) -> list[Span]:
    """Join overlapping spans; the more telling detector names the union."""
    merged: list[tuple[int, Span]] = []
    for start, rank, span in sorted(spans, key=lambda item: item[:2]):
        if merged and start < merged[-1][1].end:
            last_rank, last = merged[-1]
            kind = last.kind if last_rank <= rank else span.kind
            merged[-1] = (min(last_rank, rank), Span(kind, last.start, max(last.end, span.end)))
        else:
            merged.append((rank, span))
    return [Span(span.kind, span.start, _aligned(data, span.end)) for _, span in merged]


def _aligned(data: bytes, end: int) -> int:
    """Move an end that splits a character behind that character."""
    while end < len(data) and data[end] in _CONTINUATION:
        end += 1
    return end


def _mask_placeholders(data: bytes) -> bytes:
    if b"[REDACTED:" not in data:
        return data
    return _masked(data, [Span("", *match.span()) for match in _PLACEHOLDER.finditer(data)])


def _masked(data: bytes, spans: Iterable[Span]) -> bytes:
    """Blank the spans with NUL, which no detector reads over, so that offsets stay what they are."""
    blank = bytearray(data)
    for span in spans:
        blank[span.start : span.end] = bytes(span.end - span.start)
    return bytes(blank)


def _length(data: bytes) -> int:
    return len(data.decode("utf-8", "surrogatepass"))
