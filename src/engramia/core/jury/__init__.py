"""Several judges as one: weights from recorded verdicts, rulings with a confidence, or none below it."""

from engramia.core.jury.pairs import PairRuling, PairWeights
from engramia.core.jury.profiles import JudgeProfile, profiles
from engramia.core.jury.recordings import LineProblem, Recordings, read_recordings
from engramia.core.jury.scores import ScoreRuling, ScoreWeights
from engramia.core.jury.verdicts import Choice, PairVerdict
from engramia.core.jury.weights import JuryWeights, calibrate

__all__ = [
    "Choice",
    "JudgeProfile",
    "JuryWeights",
    "LineProblem",
    "PairRuling",
    "PairVerdict",
    "PairWeights",
    "Recordings",
    "ScoreRuling",
    "ScoreWeights",
    "calibrate",
    "profiles",
    "read_recordings",
]
