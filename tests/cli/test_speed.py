"""The speed self-test measures what it names."""

import pytest

from engramia.cli.stopwatch import SHORT_TEXT, Runs, Timing, TopicVectors
from tests.cli.conftest import Cli

pytestmark = pytest.mark.slow


def test_it_measures_every_operation_at_the_size_asked_for(cli: Cli) -> None:
    document = cli("bench", "--size", "60", "--json").document
    timed = {(timing["operation"].strip(), timing["patterns"]) for timing in document["timings"]}
    assert timed == {
        ("open and recall once", 60),
        ("recall, top 5", 60),
        ("one pass over the vectors", 60),
        ("learn", 60),
        ("the disk's append + fdatasync", 60),
    }
    for timing in document["timings"]:
        assert 0 < timing["p50_ms"] <= timing["p95_ms"], timing


def test_people_see_a_table(cli: Cli) -> None:
    shown = cli("bench", "--size", "20").out
    assert "recall, top 5" in shown
    assert "p95 ms" in shown


def test_percentiles_are_values_that_were_measured() -> None:
    timing = Timing("x", 0, tuple(float(number) for number in range(1, 101)))
    assert timing.percentile(0.5) == pytest.approx(51)
    assert timing.percentile(0.95) == pytest.approx(96)
    assert Timing("x", 0, (3.0,)).percentile(0.95) == pytest.approx(3)


def test_made_up_runs_and_vectors_are_the_same_for_the_same_seed() -> None:
    assert [Runs(1).task() for _ in range(3)] == [Runs(1).task() for _ in range(3)]
    first, second = (TopicVectors(1).embed([SHORT_TEXT]) for _ in range(2))
    assert (first == second).all()
