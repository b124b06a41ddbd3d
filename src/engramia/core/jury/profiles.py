"""How each judge did on the recordings, for people to read before they trust the weights."""

from collections.abc import Sequence
from dataclasses import dataclass

from engramia.core.jury.recordings import PairRecord, Recordings
from engramia.core.jury.verdicts import Choice, PairVerdict


@dataclass(frozen=True, slots=True)
class JudgeProfile:
    """One judge on the recorded pairs; shares are 0 to 1, None where nothing was recorded that tells."""

    judge: str
    answered: int
    """Pairs with a verdict."""
    accuracy: float | None
    """On labelled pairs, a split or tied vote counting half."""
    consistency: float | None
    """Share of pairs asked in both orders where swapping changed nothing."""
    first_shown: float | None
    """Share of the flips that went to whatever was shown first: 0.5 is noise, 0 or 1 a position bias."""


def profiles(recordings: Recordings) -> tuple[JudgeProfile, ...]:
    """Return each judge's profile, in the recordings' order."""
    return tuple(_profile(judge, recordings.pairs) for judge in recordings.judges)


def _profile(judge: str, pairs: Sequence[PairRecord]) -> JudgeProfile:
    said = [(pair.gold, verdict) for pair in pairs if (verdict := pair.verdicts[judge]) is not None]
    flips = [flip for _, verdict in said if (flip := _followed_place(verdict)) is not None]
    return JudgeProfile(
        judge=judge,
        answered=len(said),
        accuracy=_mean([(verdict.vote * gold.sign + 1) / 2 for gold, verdict in said if gold is not None]),
        consistency=_mean([verdict.steady for _, verdict in said if verdict.steady is not None]),
        first_shown=_mean(flips),
    )


def _followed_place(verdict: PairVerdict) -> bool | None:
    """Return whether a flip went to the first place, or the second; None for anything but a full flip."""
    if verdict.swapped is None or {verdict.forward, verdict.swapped} != {Choice.A, Choice.B}:
        return None
    return verdict.forward is Choice.A


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
