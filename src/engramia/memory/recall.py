"""Recall: find the patterns that fit a task, and say how far each can be trusted."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from engramia.core import limits, validation
from engramia.core.model import (
    Classification,
    Event,
    EventKind,
    Explanation,
    Match,
    Recall,
    ReuseTier,
    Source,
)
from engramia.core.query import Filter, Hit, Search, SearchPage
from engramia.core.similarity import agreement, differences, reuse_tier
from engramia.errors import StorageError
from engramia.memory.engine import Engine, check_model, embed_one
from engramia.memory.upkeep import fill_some

_log = logging.getLogger("engramia.memory")

_REUSED = (ReuseTier.DUPLICATE, ReuseTier.ADAPT)
NO_ANSWER = "the embedding model did not answer"
NO_VECTOR_YET = "some of these patterns still wait for their vectors"


@dataclass(frozen=True, slots=True)
class Query:
    """One recall as the caller asks it; `check` validates every field."""

    task: str
    limit: int = limits.RECALL_LIMIT_DEFAULT
    offset: int = 0
    deduplicate: bool = True
    eval_weighted: bool = True
    filter: Filter = field(default_factory=Filter)
    min_similarity: float | None = None
    recency_weight: float = 0.0
    recency_half_life_days: float = 30.0
    readonly: bool = False
    explain: bool = False


def check_filter(*, classification: object, source: object, min_score: object) -> Filter:
    """Return the filter that these values describe; None leaves a field open."""
    return Filter(
        classification=None
        if classification is None
        else validation.choice(classification, Classification, field="classification"),
        source=None if source is None else validation.choice(source, Source, field="source"),
        min_score=None if min_score is None else validation.score(min_score, field="min_score"),
    )


def check_query(query: Query) -> Query:
    """Return `query` if every field is within its limits."""
    validation.text(query.task, field="task", max_chars=limits.TASK_MAX_CHARS)
    validation.whole(query.limit, field="limit", low=1, high=limits.RECALL_LIMIT_MAX)
    validation.whole(query.offset, field="offset", low=0, high=limits.OFFSET_MAX)
    validation.number(query.recency_weight, field="recency_weight", low=0, high=1)
    validation.number(query.recency_half_life_days, field="recency_half_life_days", low=0.001, high=36_500)
    if query.min_similarity is not None:
        validation.number(query.min_similarity, field="min_similarity", low=0, high=1)
    return query


def recall(engine: Engine, query: Query) -> Recall:
    """Answer `query`, best match first, and count what was reused unless it is `readonly`."""
    search = _search(engine, query)
    with engine.storage.reading() as stores:
        check_model(stores.patterns, engine.embedder)
        page = stores.patterns.search(search)
        waiting = stores.patterns.waiting_count() if search.vector is not None else 0
    matches = tuple(
        _match(engine, search, page, place, explain=query.explain) for place in range(len(page.items))
    )
    if not query.readonly:
        _settle(engine, matches, first_page=query.offset == 0, waiting=waiting > 0)
    reason = (engine.embedder.reason or NO_ANSWER) if search.vector is None else _partly(page.items)
    return Recall(matches, page.has_more, page.next_offset, degraded=reason is not None, reason=reason)


def _search(engine: Engine, query: Query) -> Search:
    task = engine.clean(query.task)
    vector = embed_one(engine, task)
    calibration = engine.embedder.calibration
    wanted = query.min_similarity
    return Search(
        task=task,
        vector=vector,
        now=engine.clock.now(),
        fusion=calibration.fusion,
        min_similarity=calibration.min_similarity if wanted is None else wanted,
        limit=query.limit,
        offset=query.offset,
        filter=query.filter,
        deduplicate=query.deduplicate,
        eval_weighted=query.eval_weighted,
        recency_weight=query.recency_weight,
        recency_half_life_days=query.recency_half_life_days,
    )


def _match(engine: Engine, search: Search, page: SearchPage, place: int, *, explain: bool) -> Match:
    hit = page.items[place]
    calibration = engine.embedder.calibration
    thresholds = calibration.thresholds if hit.dense else calibration.words
    similarity = hit.similarity if hit.dense else agreement(search.task, hit.pattern.task)
    return Match(
        similarity=similarity,
        score=hit.score,
        reuse_tier=reuse_tier(
            similarity,
            search.task,
            hit.pattern.task,
            thresholds,
            crowd=page.crowd,
            lead=page.lead if page.offset + place == 0 else 0.0,
        ),
        pattern_key=hit.pattern.key,
        pattern=hit.pattern,
        explanation=_explain(search, hit) if explain else None,
    )


def _explain(search: Search, hit: Hit) -> Explanation:
    return Explanation(
        relevance=hit.relevance,
        lexical=hit.lexical,
        quality=hit.quality,
        recency=hit.recency,
        differences=tuple(str(difference) for difference in differences(search.task, hit.pattern.task)),
    )


def _partly(hits: Sequence[Hit]) -> str | None:
    return None if all(hit.dense for hit in hits) else NO_VECTOR_YET


def _settle(engine: Engine, matches: Sequence[Match], *, first_page: bool, waiting: bool) -> None:
    """Do the writing that a recall brings about; if the store cannot be written, only the counts are lost."""
    try:
        _account(engine, matches, first_page=first_page)
        if waiting:
            fill_some(engine)
    except StorageError as error:
        _log.warning("A recall was answered but not counted: %s", error)


def _account(engine: Engine, matches: Sequence[Match], *, first_page: bool) -> None:
    """Count reuse, and log the recall itself when it is a first page."""
    reused = [match.pattern_key for match in matches if match.reuse_tier in _REUSED]
    if not (reused or first_page):
        return
    best = matches[0] if matches else None
    with engine.storage.writing(durable=False) as stores:
        if reused:
            stores.patterns.count_reuse(reused)
        if first_page:
            stores.activity.record(
                Event(
                    EventKind.RECALL,
                    engine.clock.now(),
                    similarity=best.similarity if best else None,
                    reuse_tier=best.reuse_tier if best else ReuseTier.FRESH,
                    pattern_key=best.pattern_key if best else None,
                )
            )
