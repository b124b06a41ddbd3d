"""Feedback: recurring quality issues, counted as they are said again."""

from dataclasses import replace
from datetime import datetime

from engramia.core import limits
from engramia.core.failures import FailureCluster, cluster, joins
from engramia.core.model import FeedbackItem, FeedbackVariant
from engramia.core.ports import FeedbackStore
from engramia.core.query import DecayPolicy, Page
from engramia.memory.engine import Engine

FADING = DecayPolicy(limits.FEEDBACK_DECAY_PER_WEEK, limits.FEEDBACK_PRUNE_BELOW)


def record(
    engine: Engine, feedback: FeedbackStore, text: str, *, task: str, score: float | None
) -> FeedbackItem:
    """Count `text`, said of a run of `task` that scored `score`, as a known issue or a new one."""
    now = engine.clock.now()
    known = next(
        (item for item in feedback.overlapping(text, limits.FEEDBACK_JACCARD) if joins(item.text, text)), None
    )
    item = _said_again(known, text, task, score, now) if known else _new(engine, text, task, score, now)
    feedback.put(item)
    return item


def top(engine: Engine, *, task_type: str | None, limit: int, offset: int) -> Page[FeedbackItem]:
    """Return the issues said at least twice, by count x weight."""
    with engine.storage.reading() as stores:
        return stores.feedback.top(
            task_type, min_count=limits.FEEDBACK_SURFACED_COUNT, limit=limit, offset=offset
        )


def run_decay(engine: Engine) -> int:
    """Let every issue fade by its age, prune what faded out, and return how many went."""
    with engine.storage.writing() as stores:
        return stores.feedback.decay(FADING, engine.clock.now())


def analyze_failures(engine: Engine, *, min_count: int) -> list[FailureCluster]:
    """Return clusters of failure texts that were said at least `min_count` times together."""
    with engine.storage.reading() as stores:
        texts = stores.feedback.texts()
    return cluster(texts, min_count=min_count)


def _new(engine: Engine, text: str, task: str, score: float | None, now: datetime) -> FeedbackItem:
    return FeedbackItem(
        id=engine.new_key(now).rpartition("/")[2],
        text=text,
        count=1,
        weight=1.0,
        first_seen=now,
        last_seen=now,
        decayed_at=now,
        task=task,
        variants=(_variant(text, score),),
    )


def _said_again(item: FeedbackItem, text: str, task: str, score: float | None, now: datetime) -> FeedbackItem:
    return replace(
        item,
        count=item.count + 1,
        weight=1.0,
        last_seen=now,
        decayed_at=now,
        task=task,
        variants=_counted(item.variants, text, score),
    )


def _variant(text: str, score: float | None) -> FeedbackVariant:
    return FeedbackVariant(text, 1, score_sum=score or 0.0, scored=0 if score is None else 1)


def _counted(
    variants: tuple[FeedbackVariant, ...], text: str, score: float | None
) -> tuple[FeedbackVariant, ...]:
    """Return `variants` with `text` counted last, the least recent wordings dropped beyond the limit."""
    said = _variant(text, score)
    for known in variants:
        if known.text == text:
            said = FeedbackVariant(
                text, known.count + 1, known.score_sum + said.score_sum, known.scored + said.scored
            )
    rest = tuple(known for known in variants if known.text != text)
    return (*rest, said)[-limits.FEEDBACK_VARIANTS_KEPT :]
