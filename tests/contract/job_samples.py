"""Jobs for the contract of the storages."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from engramia.core.jobs import Job, JobError
from tests.contract.samples import NOW, key

ERROR = JobError("upstream_timeout", "No answer within 60 seconds.")


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def name(number: int) -> str:
    return f"job_{key(number).partition('/')[2]}"


def job(number: int, **fields: Any) -> Job:
    """Return a pending job made and due `number` seconds after `NOW`."""
    made = Job(name(number), "compose", {"task": f"task {number}"}, created_at=at(number), run_at=at(number))
    return replace(made, **fields)
