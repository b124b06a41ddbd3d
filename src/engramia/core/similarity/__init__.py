"""How near two tasks are in what matters: their differences, and the tier of reuse."""

from engramia.core.similarity.differences import Difference, DifferenceKind, differ, differences
from engramia.core.similarity.tiers import (
    CROWD_RANK,
    DOCUMENTED,
    MINILM,
    WORDS,
    Thresholds,
    agreement,
    near_identical,
    reuse_tier,
    thresholds_for,
)

__all__ = [
    "CROWD_RANK",
    "DOCUMENTED",
    "MINILM",
    "WORDS",
    "Difference",
    "DifferenceKind",
    "Thresholds",
    "agreement",
    "differ",
    "differences",
    "near_identical",
    "reuse_tier",
    "thresholds_for",
]
