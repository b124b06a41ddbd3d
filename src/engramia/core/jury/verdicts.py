"""What one judge says about one item."""

from dataclasses import dataclass
from enum import StrEnum


class Choice(StrEnum):
    """Which of two things is better."""

    A = "A"
    B = "B"
    TIE = "tie"

    @property
    def sign(self) -> int:
        """+1 for A, -1 for B, 0 for a tie."""
        return {Choice.A: 1, Choice.B: -1, Choice.TIE: 0}[self]


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """A judge's choices about one pair, both in terms of the items A and B, whichever was shown first."""

    forward: Choice
    """Asked with A shown first."""
    swapped: Choice | None = None
    """Asked with B shown first; None if that was not asked."""

    @property
    def vote(self) -> float:
        """From -1 (B) to 1 (A), the mean over the orders asked: a judge that follows the position says 0."""
        if self.swapped is None:
            return float(self.forward.sign)
        return (self.forward.sign + self.swapped.sign) / 2

    @property
    def steady(self) -> bool | None:
        """Whether swapping the order changed nothing; None if unknown, or if both answers are ties."""
        if self.swapped is None or self.forward is self.swapped is Choice.TIE:
            return None
        return self.forward is self.swapped
