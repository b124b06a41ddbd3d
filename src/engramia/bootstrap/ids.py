"""Fresh identifiers, in the order of time."""

from datetime import datetime

from ulid import ULIDGenerator

_generator = ULIDGenerator()


def new_pattern_key(now: datetime) -> str:
    """Return a fresh pattern key: keys made later by this process sort later."""
    return f"patterns/{str(_generator.generate(now)).lower()}"


def new_job_id(now: datetime) -> str:
    """Return a fresh job id; ids made later by this process sort later."""
    return f"job_{str(_generator.generate(now)).lower()}"
