"""Events as rows, and the statement that records them without having read the row of their scope."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, TextClause, text

from engramia.core import limits
from engramia.core.model import Event, EventKind, ReuseTier
from engramia.providers.postgres import rows

KEPT = timedelta(days=limits.EVENTS_KEPT_DAYS)
SWEEP_EVERY = 256
"""Events after which those beyond the limits are deleted; until then they are only not shown."""
_REUSED = {ReuseTier.DUPLICATE.value, ReuseTier.ADAPT.value}
_TYPES = {
    "kind": "text",
    "ts": "timestamptz",
    "eval_score": "float8",
    "similarity": "float8",
    "reuse_tier": "text",
    "pattern_key": "text",
}


@lru_cache(maxsize=64)
def recording(events: int) -> TextClause:
    """Return the statement that records so many events, given by `recording_values`.

    It makes the row of the scope if need be, counts there, takes the places from it, and deletes what is
    beyond the limits as often as is due. Whoever runs it holds the lock of the scope's writers.
    """
    rows = ", ".join(
        f"({number}, {', '.join(f'CAST(:{name}_{number} AS {kind})' for name, kind in _TYPES.items())})"
        for number in range(events)
    )
    return text(f"""
        WITH counted AS (
            INSERT INTO scopes AS scope (
                tenant_id, project_id, next_event, newest_event, runs, successes, recalls, reused,
                next_number, words_epoch, revision, patterns, dense, next_feedback
            )
            VALUES (
                :of_tenant, :of_project, {events}, :newest_event, :runs, :successes, :recalls, :reused,
                0, 0, 0, 0, 0, 0
            )
            ON CONFLICT (tenant_id, project_id) DO UPDATE SET
                next_event = scope.next_event + excluded.next_event,
                newest_event = greatest(scope.newest_event, excluded.newest_event),
                runs = scope.runs + excluded.runs,
                successes = scope.successes + excluded.successes,
                recalls = scope.recalls + excluded.recalls,
                reused = scope.reused + excluded.reused
            RETURNING next_event - {events} AS first, next_event, newest_event
        ), swept AS (
            DELETE FROM events
            WHERE tenant_id = :of_tenant AND project_id = :of_project
            AND (SELECT next_event / {SWEEP_EVERY} > first / {SWEEP_EVERY} FROM counted)
            AND (
                ts < (SELECT newest_event - interval '{KEPT.days} days' FROM counted)
                OR place < (SELECT next_event - {limits.EVENTS_KEPT} FROM counted)
            )
        )
        INSERT INTO events (tenant_id, project_id, place, {", ".join(_TYPES)})
        SELECT :of_tenant, :of_project, first + number, {", ".join(_TYPES)}
        FROM counted, (VALUES {rows}) AS happened(number, {", ".join(_TYPES)})
    """)  # noqa: S608 - names and numbers of ours


def recording_values(happened: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the values for `recording` of one event or more, given as rows."""
    return {
        **{f"{name}_{number}": one[name] for number, one in enumerate(happened) for name in _TYPES},
        **totals(happened),
        "newest_event": max(one["ts"] for one in happened),
    }


def totals(happened: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return how much events, given as rows, add to each counter of their scope."""
    learned = [one["eval_score"] for one in happened if one["kind"] == EventKind.LEARN]
    recalled = [one["reuse_tier"] for one in happened if one["kind"] == EventKind.RECALL]
    return {
        "runs": len(learned),
        "successes": sum(score is not None and score >= limits.SUCCESS_SCORE for score in learned),
        "recalls": len(recalled),
        "reused": sum(tier in _REUSED for tier in recalled),
    }


def event_values(event: Event) -> dict[str, Any]:
    """Return the row of an event, but its place."""
    for name, value in (("eval_score", event.eval_score), ("similarity", event.similarity)):
        rows.finite(value or 0.0, name)
    return {
        "kind": event.kind.value,
        "ts": event.ts,
        "eval_score": event.eval_score,
        "similarity": event.similarity,
        "reuse_tier": event.reuse_tier and event.reuse_tier.value,
        "pattern_key": rows.optional_text(event.pattern_key, "pattern_key"),
    }


def event_of(row: Row[Any]) -> Event:
    """Return the event of a row."""
    return Event(
        EventKind(row.kind),
        rows.utc(row.ts),
        row.eval_score,
        row.similarity,
        row.reuse_tier and ReuseTier(row.reuse_tier),
        row.pattern_key,
    )
