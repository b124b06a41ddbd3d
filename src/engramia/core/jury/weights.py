"""A jury's weights: made from recordings, kept as JSON, applied to the same judges only."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from engramia.core import limits, validation
from engramia.core.jury import pairs, scores
from engramia.core.jury.pairs import Method, PairRuling, PairWeights
from engramia.core.jury.recordings import PairRecord, Recordings, ScoreRecord, choice, decode, judge_names
from engramia.core.jury.scores import ScoreRuling, ScoreWeights
from engramia.core.jury.verdicts import PairVerdict
from engramia.errors import ValidationError

ANCHORS_MIN = 5
"""Labelled items from which on anchors are used; with fewer, consistency or nothing."""

_FORMAT = 1
_ITEMS_MAX = 10**9


@dataclass(frozen=True, slots=True)
class JuryWeights:
    """What the recordings say about these judges, for the kinds of verdict that were recorded."""

    judges: tuple[str, ...]
    pairs: PairWeights | None
    scores: ScoreWeights | None

    def rule_pair(
        self, verdicts: Mapping[str, PairVerdict | None], *, min_confidence: float = 0.5
    ) -> PairRuling:
        """Return which of two items is better; None as the choice below `min_confidence`, 0.5 to 1.

        `verdicts` names every judge, with None for one that did not answer. Ask in both orders whenever the
        weights come from pairs asked in both. Raises `ValidationError` for other judges, or if no pairs were
        recorded.
        """
        least = validation.number(min_confidence, field="min_confidence", low=0.5, high=1)
        if self.pairs is None:
            raise ValidationError("These weights were made without pairs.", field="verdicts")
        answers = self._in_order(verdicts, "verdicts")
        return self.pairs.rule([_vote(answer) for answer in answers], min_confidence=least)

    def rule_score(
        self,
        scores: Mapping[str, float | None],
        *,
        tolerance: float = 1.0,
        min_confidence: float = 0.0,
    ) -> ScoreRuling:
        """Return the item's score; None as the score below `min_confidence`.

        The confidence, 0 to 1, is the chance that the true score is within `tolerance` points. `scores` names
        every judge, 0 to 10, with None for one that did not answer. Raises `ValidationError` for other
        judges, values outside 0 to 10, no answer at all, or if no scores were recorded.
        """
        least = validation.number(min_confidence, field="min_confidence", low=0, high=1)
        off = validation.number(tolerance, field="tolerance", low=0, high=limits.SCORE_MAX)
        if self.scores is None:
            raise ValidationError("These weights were made without scores.", field="scores")
        answers = [
            None if answer is None else validation.score(answer, field="scores")
            for answer in self._in_order(scores, "scores")
        ]
        return self.scores.rule(answers, tolerance=off, min_confidence=least)

    def to_json(self) -> str:
        """Return the weights as one JSON object, for `from_json`."""
        return json.dumps({"version": _FORMAT} | asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "JuryWeights":
        """Return the weights in `text`; `ValidationError` if it is not what `to_json` gives."""
        value = _object(decode(text, field="weights"))
        if value.get("version") != _FORMAT:
            raise ValidationError(f"weights must have version {_FORMAT}.", field="weights")
        judges = judge_names(_list(value.get("judges")))
        pair_part, score_part = value.get("pairs"), value.get("scores")
        return cls(
            judges,
            None if pair_part is None else _pair_weights(_object(pair_part), len(judges)),
            None if score_part is None else _score_weights(_object(score_part), len(judges)),
        )

    def _in_order[Answer](self, answers: Mapping[str, Answer], field: str) -> list[Answer]:
        if set(answers) != set(self.judges):
            odd = ", ".join(sorted(set(answers) ^ set(self.judges))[:5])
            raise ValidationError(
                f"{field} must name the judges that the weights are for; not so: {odd}.", field=field
            )
        return [answers[judge] for judge in self.judges]


def calibrate(recordings: Recordings) -> JuryWeights:
    """Return weights for the recorded judges.

    Pairs: from the labels if at least `ANCHORS_MIN` pairs have one, else from the judges' consistency if any
    pair was asked in both orders. Scores: from at least `ANCHORS_MIN` labelled items. Raises
    `ValidationError` if neither kind has enough.
    """
    found = JuryWeights(recordings.judges, _from_pairs(recordings), _from_scores(recordings))
    if found.pairs is None and found.scores is None:
        raise ValidationError(
            f"A jury needs at least {ANCHORS_MIN} labelled items, or pairs asked in both orders; "
            f"got {len(_labelled(recordings.pairs))} labelled pairs, {len(recordings.scores)} scored items.",
            field="anchors",
        )
    return found


def _from_pairs(recordings: Recordings) -> PairWeights | None:
    labelled = _labelled(recordings.pairs)
    if len(labelled) >= ANCHORS_MIN:
        votes = [[_vote(pair.verdicts[judge]) for judge in recordings.judges] for pair in labelled]
        gold = [float(pair.gold.sign) for pair in labelled if pair.gold is not None]
        return _weights(pairs.from_anchors(np.array(votes), np.array(gold)), Method.ANCHORS, len(labelled))
    told = [_steadiness(recordings.pairs, judge) for judge in recordings.judges]
    items = max((len(each) for each in told), default=0)
    if not items:
        return None
    steady = np.array([sum(each) for each in told])
    swaps = np.array([len(each) for each in told])
    return _weights(pairs.from_consistency(steady, swaps), Method.CONSISTENCY, items)


def _from_scores(recordings: Recordings) -> ScoreWeights | None:
    rows: Sequence[ScoreRecord] = recordings.scores
    if len(rows) < ANCHORS_MIN:
        return None
    given = [[row.scores[judge] for judge in recordings.judges] for row in rows]
    return scores.from_anchors(np.array(given), np.array([row.gold for row in rows]))


def _labelled(records: Iterable[PairRecord]) -> list[PairRecord]:
    return [pair for pair in records if pair.gold is not None]


def _steadiness(records: Iterable[PairRecord], judge: str) -> list[bool]:
    verdicts = (pair.verdicts[judge] for pair in records)
    return [verdict.steady for verdict in verdicts if verdict is not None and verdict.steady is not None]


def _vote(verdict: PairVerdict | None) -> float:
    return 0.0 if verdict is None else verdict.vote


def _weights(values: np.typing.NDArray[np.float64], method: Method, items: int) -> PairWeights:
    return PairWeights(tuple(float(value) for value in values), method, items)


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValidationError("weights must be a JSON object of objects.", field="weights")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise ValidationError("weights must hold lists where `to_json` wrote lists.", field="weights")
    return value


def _numbers(value: object, count: int) -> tuple[float, ...]:
    values = _list(value)
    if len(values) != count:
        raise ValidationError(f"weights must hold {count} numbers for these judges.", field="weights")
    return tuple(validation.number(each, field="weights", low=-1e12, high=1e12) for each in values)


def _items(part: Mapping[str, object]) -> int:
    return validation.whole(part.get("items"), field="items", low=1, high=_ITEMS_MAX)


def _pair_weights(part: Mapping[str, object], judges: int) -> PairWeights:
    method = choice(part.get("method"), Method, field="method")
    return PairWeights(_numbers(part.get("weights"), judges), method, _items(part))


def _score_weights(part: Mapping[str, object], judges: int) -> ScoreWeights:
    size = judges + 2
    rows = _list(part.get("gram"))
    if len(rows) != size:
        raise ValidationError(f"weights must hold {size} rows of sums for these judges.", field="weights")
    gram = tuple(_numbers(row, size) for row in rows)
    matrix, items = np.array(gram), _items(part)
    lowest = float(np.linalg.eigvalsh(matrix).min())
    if (
        not np.array_equal(matrix, matrix.T)
        or matrix[judges, judges] != items
        or lowest < -1e-6 * matrix.max()
    ):
        raise ValidationError("weights hold sums that no anchors can have.", field="weights")
    return ScoreWeights(items, gram)
