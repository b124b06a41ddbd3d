"""Aging, reindexing and statistics."""

from datetime import timedelta

import pytest

from engramia import Memory
from engramia.errors import ProviderNotConfiguredError
from engramia.testing import FrozenClock, HashEmbeddings
from tests.conftest import MakeMemory


def test_aging_takes_two_percent_a_week(memory: Memory, clock: FrozenClock) -> None:
    key = memory.learn(task="Resize an image", code="a", eval_score=8).pattern_key
    clock.advance(timedelta(weeks=3))
    assert memory.run_aging() == 0
    assert memory.get_pattern(key).pattern.success_score == pytest.approx(8 * 0.98**3)


def test_aging_every_hour_equals_aging_once(
    memory: Memory, make_memory: MakeMemory, clock: FrozenClock
) -> None:
    once = make_memory(folder="once")
    keys = [each.learn(task="Resize an image", code="a", eval_score=8).pattern_key for each in (memory, once)]
    for _ in range(24 * 14):
        clock.advance(timedelta(hours=1))
        memory.run_aging()
    once.run_aging()
    hourly, rare = (each.get_pattern(key).pattern for each, key in zip((memory, once), keys, strict=True))
    assert hourly.success_score == pytest.approx(8 * 0.98**2)
    assert rare.success_score == pytest.approx(hourly.success_score)


def test_aging_prunes_what_fell_under_a_tenth(memory: Memory, clock: FrozenClock) -> None:
    memory.learn(task="Resize an image", code="a", eval_score=0.2)
    keep = memory.learn(task="Parse a CSV file", code="a", eval_score=9).pattern_key
    clock.advance(timedelta(weeks=34))
    assert memory.run_aging() == 0
    clock.advance(timedelta(weeks=1))
    assert memory.run_aging() == 1
    assert [pattern.key for pattern in memory.list_patterns()] == [keep]


def test_aging_survives_reopening(make_memory: MakeMemory, clock: FrozenClock) -> None:
    memory = make_memory()
    key = memory.learn(task="Resize an image", code="a", eval_score=8).pattern_key
    clock.advance(timedelta(weeks=1))
    memory.run_aging()
    again = make_memory()
    again.run_aging()
    assert again.get_pattern(key).pattern.success_score == pytest.approx(8 * 0.98)


def test_reindexing_needs_a_model(make_memory: MakeMemory) -> None:
    with pytest.raises(ProviderNotConfiguredError, match="engramia doctor"):
        make_memory(embeddings=None).reindex()


def test_reindexing_fills_what_was_learned_without_a_model(make_memory: MakeMemory) -> None:
    bare = make_memory(embeddings=None)
    keys = [
        bare.learn(task=f"Count to {n} in Roman numerals", code="x", eval_score=9).pattern_key
        for n in range(600)
    ]
    seen: list[tuple[int, int]] = []
    memory = make_memory()
    assert memory.reindex(progress=lambda done, total: seen.append((done, total))) == 600
    assert seen[0] == (0, 600)
    assert seen[-1] == (600, 600)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert memory.get_pattern(keys[-1]).pattern.embedding_model == HashEmbeddings().model
    assert memory.reindex() == 0


def test_metrics_of_an_empty_scope(memory: Memory) -> None:
    metrics = memory.metrics()
    assert (metrics.runs, metrics.success_rate, metrics.avg_eval_score) == (0, 0.0, None)
    assert (metrics.pattern_count, metrics.reuse_rate) == (0, 0.0)


def test_metrics_count_runs_quality_and_reuse(memory: Memory, clock: FrozenClock) -> None:
    key = memory.learn(task="Resize an image", code="a", eval_score=9).pattern_key
    memory.learn(task="Resize an image", code="b", eval_score=5)  # not better, a run all the same
    memory.learn(task="Water the office plants", code="c", eval_score=4.9)
    memory.refine_pattern(key, 1)
    memory.recall("Resize an image")
    memory.recall("Resize an image", offset=1)  # a later page is not another recall
    memory.recall("zzz qqq")
    metrics = memory.metrics()
    assert (metrics.runs, metrics.pattern_count) == (3, 2)
    assert metrics.success_rate == pytest.approx(2 / 3)
    assert metrics.avg_eval_score == pytest.approx((9 + 4.9 + 1) / 3)
    assert metrics.reuse_rate == pytest.approx(1 / 2)
    clock.advance(timedelta(days=31))
    assert memory.metrics().avg_eval_score is None
    assert memory.metrics().runs == 3
