"""Fresh identifiers, in the order of time."""

from datetime import datetime

from engramia.core.ulids import new_ulid


def new_pattern_key(now: datetime) -> str:
    """Return a fresh pattern key: keys made later by this process sort later."""
    return f"patterns/{new_ulid(now)}"


def new_job_id(now: datetime) -> str:
    """Return a fresh job id; ids made later by this process sort later."""
    return f"job_{new_ulid(now)}"
