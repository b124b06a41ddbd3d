"""Identifiers: in order, and never made twice."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from engramia.core.ulids import new_ulid

NOW = datetime(2026, 11, 22, 12, 0, 0, 500, tzinfo=UTC)

FORKED = """
import os, sys
from datetime import UTC, datetime
from engramia.core.ulids import new_ulid

now = datetime(2026, 11, 22, tzinfo=UTC)
print(new_ulid(now), flush=True)
for _ in range(3):
    child = os.fork()
    if not child:
        os.write(1, (new_ulid(now) + "\\n").encode())
        os._exit(0)
    os.waitpid(child, 0)
print(new_ulid(now))
"""


def test_they_have_the_form_of_the_specification() -> None:
    found = new_ulid(NOW)
    assert re.fullmatch(r"[0-7][0-9a-hjkmnp-tv-z]{25}", found)
    digits = "0123456789abcdefghjkmnpqrstvwxyz"
    moment = 0
    for character in found[:10]:
        moment = moment * 32 + digits.index(character)
    assert moment == int(NOW.timestamp() * 1000)


def test_they_sort_by_time_and_within_a_millisecond_by_their_order() -> None:
    made = [new_ulid(NOW + timedelta(microseconds=step)) for step in range(5_000)]
    assert made == sorted(set(made))


def test_an_earlier_moment_sorts_earlier_whatever_was_made_before() -> None:
    later, earlier = new_ulid(NOW), new_ulid(NOW - timedelta(days=365))
    assert earlier < later


def test_threads_get_different_ones() -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: new_ulid(NOW), range(2_000)))
    assert len(set(made)) == len(made)


def test_forked_processes_get_different_ones_of_one_moment() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, check=True, timeout=60
    )
    made = done.stdout.split()
    assert len(set(made)) == len(made) == 5
