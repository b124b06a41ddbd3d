"""Recall: find the patterns that fit a task, and say how far each can be trusted."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from engramia.core import limits, validation
from engramia.core.calibration import Calibration
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
from engramia.errors import EngramiaError, StorageError
from engramia.memory.engine import Engine, check_model, embed
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
    (answer,) = recall_many(engine, [query])
    if isinstance(answer, EngramiaError):
        raise answer
    return answer


def recall_many(engine: Engine, queries: Sequence[Query]) -> list[Recall | EngramiaError]:
    """Answer each query as `recall` does, with one look at the store and one transaction for all.

    Returns the answers in the order of the queries; in the place of one that cannot be answered stands the
    error that `recall` would raise. What concerns the store or the model as a whole concerns every query.
    """
    answers: list[Recall | EngramiaError] = [_checked(query) or _UNANSWERED for query in queries]
    asked = [place for place, answer in enumerate(answers) if answer is _UNANSWERED]
    if asked:
        try:
            found: Sequence[Recall | EngramiaError] = _answers(engine, [queries[place] for place in asked])
        except EngramiaError as error:
            found = [error] * len(asked)
        for place, answer in zip(asked, found, strict=True):
            answers[place] = answer
    return answers


_UNANSWERED = Recall(())


def _checked(query: Query) -> EngramiaError | None:
    """Return what is wrong with a query, if anything."""
    try:
        check_query(query)
    except EngramiaError as error:
        return error
    return None


def _answers(engine: Engine, queries: Sequence[Query]) -> list[Recall]:
    """Answer queries that are within their limits."""
    searches = _searches(engine, queries)
    embedded = searches[0].vector is not None
    with engine.storage.reading() as stores:
        check_model(stores.patterns, engine.embedder)
        pages = stores.patterns.search_many(searches)
        waiting = stores.patterns.waiting_count() if embedded else 0
    calibration = engine.embedder.calibration
    found = [
        tuple(_matches(calibration, search, page, explain=query.explain))
        for query, search, page in zip(queries, searches, pages, strict=True)
    ]
    counted = [(query, matches) for query, matches in zip(queries, found, strict=True) if not query.readonly]
    if counted:
        _settle(engine, counted, waiting=waiting > 0)
    down = None if embedded else engine.embedder.reason or NO_ANSWER
    return [_answer(matches, page, down) for matches, page in zip(found, pages, strict=True)]


def _answer(matches: tuple[Match, ...], page: SearchPage, down: str | None) -> Recall:
    reason = down or _partly(page.items)
    return Recall(matches, page.has_more, page.next_offset, degraded=reason is not None, reason=reason)


def _searches(engine: Engine, queries: Sequence[Query]) -> list[Search]:
    tasks = [engine.clean(query.task) for query in queries]
    vectors = embed(engine, tasks)
    calibration = engine.embedder.calibration
    now = engine.clock.now()
    return [
        Search(
            task=task,
            vector=None if vectors is None else vectors[place],
            now=now,
            fusion=calibration.fusion,
            min_similarity=(
                calibration.min_similarity if query.min_similarity is None else query.min_similarity
            ),
            limit=query.limit,
            offset=query.offset,
            filter=query.filter,
            deduplicate=query.deduplicate,
            eval_weighted=query.eval_weighted,
            recency_weight=query.recency_weight,
            recency_half_life_days=query.recency_half_life_days,
        )
        for place, (query, task) in enumerate(zip(queries, tasks, strict=True))
    ]


def _matches(calibration: Calibration, search: Search, page: SearchPage, *, explain: bool) -> Iterator[Match]:
    for place, hit in enumerate(page.items, page.offset):
        similarity = hit.similarity if hit.dense else agreement(search.task, hit.pattern.task)
        yield Match(
            similarity=similarity,
            score=hit.score,
            reuse_tier=reuse_tier(
                similarity,
                search.task,
                hit.pattern.task,
                calibration.thresholds if hit.dense else calibration.words,
                crowd=page.crowd,
                lead=page.lead if place == 0 else 0.0,
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


def _settle(engine: Engine, answered: Sequence[tuple[Query, Sequence[Match]]], *, waiting: bool) -> None:
    """Do the writing that recalls bring about; if the store cannot be written, only the counts are lost."""
    try:
        _account(engine, answered)
        if waiting:
            fill_some(engine)
    except StorageError as error:
        _log.warning("A recall was answered but not counted: %s", error)


def _account(engine: Engine, answered: Sequence[tuple[Query, Sequence[Match]]]) -> None:
    """Count reuse, and log each recall that is a first page."""
    reused = [
        match.pattern_key for _, matches in answered for match in matches if match.reuse_tier in _REUSED
    ]
    first_pages = [matches for query, matches in answered if query.offset == 0]
    if not (reused or first_pages):
        return
    now = engine.clock.now()
    with engine.storage.writing(durable=False) as stores:
        if reused:
            stores.patterns.count_reuse(reused)
        stores.activity.record(*(_event(matches, now) for matches in first_pages))


def _event(matches: Sequence[Match], now: datetime) -> Event:
    best = matches[0] if matches else None
    return Event(
        EventKind.RECALL,
        now,
        similarity=best.similarity if best else None,
        reuse_tier=best.reuse_tier if best else ReuseTier.FRESH,
        pattern_key=best.pattern_key if best else None,
    )
