"""Looking at, judging, tagging and deleting single patterns."""

from collections.abc import Sequence

from engramia.core import limits, validation
from engramia.core.model import Match, Observation, Pattern, PatternRecord, Recall, check_pattern_key
from engramia.core.query import Filter, Page
from engramia.core.similarity import reuse_tier
from engramia.errors import AuthorizationError, NotFoundError, ValidationError
from engramia.memory import feedback
from engramia.memory.engine import Engine


def get(engine: Engine, key: str) -> PatternRecord:
    """Return the pattern with its versions and observations, or raise `NotFoundError`."""
    check_pattern_key(key)
    with engine.storage.reading() as stores:
        return _known(stores.patterns.get(key), key)


def list_patterns(engine: Engine, filter: Filter, *, limit: int, offset: int) -> Page[Pattern]:
    """Return patterns newest first."""
    validation.whole(limit, field="limit", low=1, high=limits.LIST_LIMIT_MAX)
    validation.whole(offset, field="offset", low=0, high=limits.OFFSET_MAX)
    with engine.storage.reading() as stores:
        return stores.patterns.list(filter, limit=limit, offset=offset)


def refine(engine: Engine, key: str, eval_score: float, said: str | None) -> PatternRecord:
    """Add a quality observation to a pattern, count its feedback, and return the pattern as it now is."""
    check_pattern_key(key)
    score = validation.score(eval_score, field="eval_score")
    text = engine.clean_optional(
        validation.optional_text(said, field="feedback", max_chars=limits.FEEDBACK_MAX_CHARS)
    )
    with engine.storage.writing() as stores:
        task = _known(stores.patterns.get(key), key).pattern.task
        stores.patterns.observe(key, Observation(score, engine.clock.now(), text))
        if text and text.strip():
            feedback.record(engine, stores.feedback, text, task=task, score=score)
        return _known(stores.patterns.get(key), key)


def delete(engine: Engine, key: str, author: str | None) -> None:
    """Delete a pattern for good, or raise `NotFoundError`; with `author`, only one that it stored."""
    check_pattern_key(key)
    with engine.storage.writing() as stores:
        pattern = _known(stores.patterns.get(key), key).pattern
        if author is not None and pattern.author != author:
            raise AuthorizationError("This pattern was stored by somebody else; an admin can delete it.")
        stores.patterns.delete([key])


def register_skills(engine: Engine, key: str, skills: Sequence[str]) -> tuple[str, ...]:
    """Put `skills` in place of the pattern's tags and return them as stored."""
    check_pattern_key(key)
    tags = tuple(dict.fromkeys(engine.clean(tag) for tag in validation.skills(skills)))
    with engine.storage.writing() as stores:
        stores.patterns.set_skills(key, tags)
    return tags


def find_by_skills(
    engine: Engine, skills: Sequence[str], *, match_all: bool, limit: int, offset: int
) -> Recall:
    """Return patterns tagged with all (or any) of `skills`, as matches of similarity 1."""
    tags = validation.skills(skills)
    if not tags:
        raise ValidationError("skills must name at least one tag.", field="skills")
    validation.whole(limit, field="limit", low=1, high=limits.RECALL_LIMIT_MAX)
    validation.whole(offset, field="offset", low=0, high=limits.OFFSET_MAX)
    thresholds = engine.embedder.calibration.thresholds
    with engine.storage.reading() as stores:
        page = stores.patterns.with_skills(tags, match_all=match_all, limit=limit, offset=offset)
    matches = tuple(
        Match(
            similarity=1.0,
            score=1.0,
            reuse_tier=reuse_tier(1.0, pattern.task, pattern.task, thresholds),
            pattern_key=pattern.key,
            pattern=pattern,
        )
        for pattern in page.items
    )
    return Recall(matches, page.has_more, page.next_offset)


def _known(record: PatternRecord | None, key: str) -> PatternRecord:
    if record is None:
        raise _missing(key)
    return record


def _missing(key: str) -> NotFoundError:
    return NotFoundError(f"There is no pattern {key} in this scope.")
