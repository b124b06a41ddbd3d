"""From similarity and wording to the tier of reuse, by thresholds measured per embedding model."""

from dataclasses import dataclass
from types import MappingProxyType

from engramia.core.model import ReuseTier
from engramia.core.similarity.alignment import Alignment, Wording, align
from engramia.core.similarity.differences import any_difference
from engramia.core.similarity.features import Features, features
from engramia.core.words import jaccard, normalise

CROWD_RANK = 4
"""A task's crowd is the similarity of the stored task that is this near to it, counted from 1."""

_NEAR_IDENTICAL = 0.92


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Least similarities (0 to 1) for a tier. The defaults are the documented ones, on similarity alone."""

    duplicate: float = 0.92
    """Where both tasks have telling words of their own."""
    duplicate_extended: float = 0.92
    """Where one task has one or two telling words more."""
    duplicate_same: float = 0.92
    """Where each telling word has its twin."""
    duplicate_exchanged: float = 0.92
    """Where a word is exchanged for another in the same place."""
    adapt: float = 0.70
    """What similarity + `common` x ln(1 + shared telling words) must reach."""
    common: float = 0.0
    crowd: float = 2.0
    """With a crowd this near, nearness tells the topic only: adapt needs `lead` or `template`."""
    lead: float = 0.12
    """A best match whose relevance is this far above the next one's stands out of any crowd."""
    certain: float = 0.85
    """So near that it can be adapted in any crowd."""
    template: float = 0.0
    """Least share of common words, grammar included, that two fillings of one template have."""

    @property
    def least(self) -> float:
        """The least similarity of any duplicate."""
        return min(map(self.least_duplicate, Wording))

    def least_duplicate(self, wording: Wording) -> float:
        """Return the least similarity of a duplicate whose words differ in this way."""
        match wording:
            case Wording.SAME:
                return self.duplicate_same
            case Wording.EXTENDED:
                return self.duplicate_extended
            case Wording.CHANGED:
                return self.duplicate
            case Wording.EXCHANGED:
                return self.duplicate_exchanged


DOCUMENTED = Thresholds()
"""For OpenAI's models and every model that was not measured."""

MINILM = Thresholds(
    duplicate=0.84,
    duplicate_extended=0.73,
    duplicate_same=0.60,
    duplicate_exchanged=0.90,
    adapt=0.43,
    common=0.13,
    crowd=0.35,
    template=0.60,
)
"""For all-MiniLM-L6-v2, measured by `benchmarks/tier_study.py`; see docs/decisions/0006-tiers.md."""

WORDS = Thresholds(
    duplicate=0.90,
    duplicate_extended=0.80,
    duplicate_same=0.60,
    duplicate_exchanged=0.95,
    adapt=0.20,
    crowd=0.20,
    template=0.60,
)
"""For `agreement`, which stands in for the cosine where there is no embedding."""

_MEASURED = MappingProxyType({"all-minilm-l6-v2": MINILM})


def thresholds_for(model: str | None) -> Thresholds:
    """Return the thresholds of an embedding model by its name, the documented ones for one never measured."""
    name = (model or "").casefold()
    return next((found for known, found in _MEASURED.items() if known in name), DOCUMENTED)


def reuse_tier(
    similarity: float,
    left: str,
    right: str,
    thresholds: Thresholds = DOCUMENTED,
    *,
    crowd: float = 0.0,
    lead: float = 0.0,
) -> ReuseTier:
    """Return how far the solution of one task serves the other.

    `similarity` is the cosine of their embeddings clamped to 0..1 (or `agreement`, with `WORDS`). `crowd` is
    the similarity between the query and its `CROWD_RANK`-th nearest stored task, 0 where there are fewer, and
    `lead` how far this match's relevance lies above the next one's, for the best match only.
    A duplicate has the similarity that its wording asks for and nothing that matters differing.
    """
    ours, theirs = features(left), features(right)
    alignment = align(ours, theirs)
    if (
        similarity >= thresholds.least
        and similarity >= thresholds.least_duplicate(alignment.wording)
        and not _differ(left, right, ours, theirs)
    ):
        return ReuseTier.DUPLICATE
    stands_out = crowd < thresholds.crowd or lead >= thresholds.lead or similarity >= thresholds.certain
    adaptable = _adaptable(similarity, alignment, thresholds, stands_out=stands_out)
    return ReuseTier.ADAPT if adaptable else ReuseTier.FRESH


def _differ(left: str, right: str, ours: Features, theirs: Features) -> bool:
    return left != right and any_difference(ours, theirs)


def _adaptable(similarity: float, alignment: Alignment, thresholds: Thresholds, *, stands_out: bool) -> bool:
    if similarity + thresholds.common * alignment.common < thresholds.adapt:
        return False
    return stands_out or alignment.overlap >= thresholds.template


def agreement(left: str, right: str) -> float:
    """Return how far two tasks agree in what they say, 0 to 1: Dice's coefficient of their telling tokens."""
    ours, theirs = features(left), features(right)
    exact = len(_exact(ours) & _exact(theirs))
    total = len(_exact(ours)) + len(_exact(theirs)) + len(ours.content) + len(theirs.content)
    return (
        2 * (exact + align(ours, theirs).shared) / total
        if total
        else float(normalise(left) == normalise(right))
    )


def _exact(task: Features) -> frozenset[str]:
    return task.numbers | task.codes | task.literals


def near_identical(left: str, right: str) -> bool:
    """Whether two tasks are one task for learning: near the same words, nothing that matters differing."""
    if left == right:
        return True
    ours, theirs = features(left), features(right)
    return _near_the_same_words(left, right, ours, theirs) and not any_difference(ours, theirs)


def _near_the_same_words(left: str, right: str, ours: Features, theirs: Features) -> bool:
    folded, other = normalise(left), normalise(right)
    if folded == other:
        return True
    if jaccard(frozenset(folded.split()), frozenset(other.split())) < _NEAR_IDENTICAL:
        return False
    return align(ours, theirs).wording in (Wording.SAME, Wording.EXTENDED)
