"""RE2 patterns over UTF-8 bytes, one byte a character, so that offsets cost nothing and time stays linear."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import re2

from engramia.core.redaction.candidate import Candidate, Span

Check = Callable[[Candidate], bool]
_MEMORY = 32 << 20  # bytes of automaton cache a pattern may fill before RE2 falls back to its slower machine


def options(*, ignore_case: bool = False) -> Any:
    """Return RE2 options for patterns over bytes."""
    chosen = re2.Options()
    chosen.encoding = re2.Options.Encoding.LATIN1
    chosen.case_sensitive = not ignore_case
    chosen.max_mem = _MEMORY
    chosen.log_errors = False
    return chosen


def compiled(pattern: str, *, ignore_case: bool = False) -> Any:
    """Compile a pattern of ASCII and Latin-1 characters for use on bytes."""
    return re2.compile(pattern.encode("latin-1"), options(ignore_case=ignore_case))


@dataclass(frozen=True, slots=True)
class PatternDetector:
    """Finds what one pattern matches and a check confirms; group 1, if there is one, is the secret."""

    kind: str
    triggers: tuple[str, ...]
    pattern: str
    check: Check
    _regex: Any = field(init=False, repr=False, compare=False)
    _group: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        regex = compiled(self.pattern)
        object.__setattr__(self, "_regex", regex)
        object.__setattr__(self, "_group", min(regex.groups, 1))

    def find(self, data: bytes) -> Iterator[Span]:
        """Yield the confirmed matches of the pattern, in order, none overlapping another."""
        for match in self._regex.finditer(data):
            start, end = match.span(self._group)
            if start < 0:  # the secret stands in the alternative without a group
                start, end = match.span()
            if self.check(Candidate(data, start, end)):
                yield Span(self.kind, start, end)
