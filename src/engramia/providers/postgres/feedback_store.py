"""The feedback port over one transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Double, Integer, Row, Text, bindparam, cast, delete, extract, func, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert

from engramia.core.failures import FailureText
from engramia.core.model import FeedbackItem, FeedbackVariant
from engramia.core.query import DecayPolicy, Page
from engramia.core.words import jaccard, words
from engramia.providers.postgres import rows
from engramia.providers.postgres.tables import feedback_items as items
from engramia.providers.postgres.transaction import ScopeTransaction, ours

_SECONDS_PER_WEEK = 7 * 86_400
_FIXED = frozenset({"tenant_id", "project_id", "id", "place"})

_SHARING = select(items).where(ours(items), items.c.words.op("&&")(bindparam("of_words", type_=ARRAY(Text))))
_WORDLESS = select(items).where(ours(items), func.cardinality(items.c.words) == 0)
_said = bindparam("asked", type_=Text)
_weighed = items.c.count * items.c.weight
_TOP = (
    select(items)
    .where(
        ours(items),
        items.c.count >= bindparam("min_count"),
        or_(func.strpos(items.c.text_folded, _said) > 0, func.strpos(items.c.task_folded, _said) > 0),
    )
    .order_by(_weighed.desc(), items.c.last_seen.desc(), items.c.id.desc())
    .limit(bindparam("at_most", type_=Integer))
    .offset(bindparam("from_place", type_=Integer))
)
_ALL = select(items).where(ours(items)).order_by(items.c.place)
_new = insert(items)
_PUT = _new.on_conflict_do_update(
    index_elements=["tenant_id", "project_id", "id"],
    set_={column.name: _new.excluded[column.name] for column in items.c if column.name not in _FIXED},
)
_weeks = cast(extract("epoch", bindparam("now") - items.c.decayed_at), Double) / _SECONDS_PER_WEEK
_DECAY = (
    update(items)
    .where(ours(items), items.c.decayed_at < bindparam("now"))
    .values(
        weight=items.c.weight * func.power(bindparam("factor", type_=Double), _weeks),
        decayed_at=bindparam("now"),
    )
)
_PRUNE = delete(items).where(ours(items), items.c.weight < bindparam("prune_below"))


class PostgresFeedbackStore:
    """Implements `FeedbackStore`."""

    def __init__(self, transaction: ScopeTransaction) -> None:
        self._transaction = transaction

    def overlapping(self, text: str, min_jaccard: float) -> Sequence[FeedbackItem]:
        """Return items whose normalised text is `text`'s or overlaps by more than that, best first."""
        order = words(text)
        asked = frozenset(order)
        if asked:
            candidates = self._transaction.execute(_SHARING, of_words=sorted(asked))
        else:
            candidates = self._transaction.execute(_WORDLESS)
        found = []
        for row in candidates:
            overlap = jaccard(asked, frozenset(row.words))
            equal = overlap >= 1.0 and words(row.text) == order
            if equal or overlap > min_jaccard:
                found.append(((equal, overlap, _count(row) * row.weight, row.id), _item(row)))
        return [item for _, item in sorted(found, key=lambda pair: pair[0], reverse=True)]

    def put(self, item: FeedbackItem) -> None:
        """Store an item under its id, in place of one that has the id."""
        values = _values(item)
        place = self._transaction.row.next_feedback
        scope = self._transaction.scope
        self._transaction.write(
            _PUT,
            tenant_id=scope.tenant_id,
            project_id=scope.project_id,
            place=place,
            **values,
        )
        self._transaction.row.next_feedback += 1

    def top(self, task_type: str | None, *, min_count: int, limit: int, offset: int) -> Page[FeedbackItem]:
        """Return items said at least `min_count` times, by count x weight, ties by last seen."""
        found = self._transaction.execute(
            _TOP,
            asked=rows.text((task_type or "").casefold(), "task_type"),
            min_count=min_count,
            at_most=limit + 1,
            from_place=offset,
        ).all()
        return Page(tuple(map(_item, found[:limit])), offset, len(found) > limit)

    def texts(self) -> Sequence[FailureText]:
        """Return every wording with its count and mean score, for clustering."""
        return [text for row in self._transaction.execute(_ALL) for text in _texts(_item(row))]

    def decay(self, policy: DecayPolicy, now: datetime) -> int:
        """Decay every weight since it was last decayed, delete what fell low, return how many."""
        self._transaction.write(_DECAY, now=now, factor=policy.factor_per_week)
        return self._transaction.write(_PRUNE, prune_below=policy.prune_below)


def _values(item: FeedbackItem) -> dict[str, Any]:
    variants = [
        [rows.text(said.text, "variants"), said.count, rows.finite(said.score_sum, "score_sum"), said.scored]
        for said in item.variants
    ]
    return {
        "id": rows.text(item.id, "id"),
        "text": rows.text(item.text, "text"),
        "text_folded": item.text.casefold(),
        "words": sorted(set(words(item.text))),
        "task": rows.text(item.task, "task"),
        "task_folded": item.task.casefold(),
        "count": item.count,
        "weight": rows.finite(item.weight, "weight"),
        "first_seen": item.first_seen,
        "last_seen": item.last_seen,
        "decayed_at": item.decayed_at,
        "variants": orjson.dumps(variants).decode(),
    }


def _item(row: Row[Any]) -> FeedbackItem:
    return FeedbackItem(
        id=row.id,
        text=row.text,
        count=_count(row),
        weight=row.weight,
        first_seen=rows.utc(row.first_seen),
        last_seen=rows.utc(row.last_seen),
        decayed_at=rows.utc(row.decayed_at),
        task=row.task,
        variants=tuple(FeedbackVariant(*said) for said in orjson.loads(row.variants)),
    )


def _count(row: Row[Any]) -> int:
    # As an attribute it would be a method of every row.
    count: int = row._mapping["count"]  # noqa: SLF001 - public, in spite of its name
    return count


def _texts(item: FeedbackItem) -> Sequence[FailureText]:
    if not item.variants:
        return [FailureText(item.text, item.count, None)]
    return [
        FailureText(said.text, said.count, said.score_sum / said.scored if said.scored else None)
        for said in item.variants
    ]
