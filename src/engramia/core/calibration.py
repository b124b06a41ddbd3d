"""What was measured of each embedding model: how its cosines translate into tiers, relevance and silence."""

from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

from engramia.core.ranking import Fusion
from engramia.core.similarity import WORDS, Thresholds, thresholds_for

_UNMEASURED_MIN_SIMILARITY = 0.20
"""Unrelated texts stay under it with every common model; OpenAI's leave them at 0 to 0.2."""

_MIN_SIMILARITY = MappingProxyType({"all-minilm-l6-v2": 0.30})
"""No query of the measured sets lost its best right answer; see docs/decisions/0005-ranking.md."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The numbers that recall uses with one embedding model."""

    thresholds: Thresholds
    min_similarity: float
    """Below it a pattern counts as unrelated and is not returned."""
    fusion: Fusion = field(default_factory=Fusion)
    words: Thresholds = WORDS
    """For patterns and recalls without a vector, on the agreement of the words."""


@lru_cache(maxsize=64)
def calibration_for(model: str | None) -> Calibration:
    """Return the calibration of an embedding model; the documented thresholds for one never measured."""
    name = (model or "").casefold()
    minimum = next(
        (value for known, value in _MIN_SIMILARITY.items() if known in name), _UNMEASURED_MIN_SIMILARITY
    )
    return Calibration(thresholds_for(model), minimum)
