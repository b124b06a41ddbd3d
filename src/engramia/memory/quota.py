"""How many patterns a scope may come to hold, where there is a limit."""

from collections.abc import Iterable

from engramia.core.ports import PatternStore
from engramia.errors import QuotaExceededError


def check_room(limit: int | None, current: int, more: int) -> None:
    """Raise `QuotaExceededError` if `more` new patterns beside the `current` ones would be over `limit`.

    Asked in the transaction that adds them: a scope has one writer at a time, so what is counted there holds
    until it ends.
    """
    if limit is None or more == 0 or current + more <= limit:
        return
    wanted = "one more" if more == 1 else f"{more:,} more"
    raise QuotaExceededError(
        f"The project holds {current:,} patterns and may hold {limit:,}: {wanted} cannot be stored. "
        "Delete some, or ask for a higher limit.",
        facts={"metric": "patterns", "current": current, "limit": limit},
    )


def check_room_for(limit: int | None, patterns: PatternStore, keys: Iterable[str]) -> None:
    """Raise `QuotaExceededError` if the new ones among patterns of these keys would be over `limit`."""
    if limit is None:
        return
    distinct, current = set(keys), patterns.count()
    if current + len(distinct) > limit:
        check_room(limit, current, len(distinct - patterns.present(distinct)))
