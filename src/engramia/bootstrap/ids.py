"""Fresh identifiers, in the order of time."""

import os
from datetime import datetime

from engramia.core.ulids import RANDOM_BYTES, ulid


def new_pattern_key(now: datetime) -> str:
    """Return a fresh pattern key: keys made later sort later, to the millisecond."""
    return f"patterns/{ulid(now, os.urandom(RANDOM_BYTES))}"


def new_job_id(now: datetime) -> str:
    """Return a fresh job id; ids made later sort later, to the millisecond."""
    return f"job_{ulid(now, os.urandom(RANDOM_BYTES))}"
