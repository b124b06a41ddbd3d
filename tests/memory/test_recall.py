"""Recall: order, tiers, filters, paging, grouping, accounting, and what happens without a model."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from engramia import Memory, ReuseTier, ValidationError
from engramia.core.model import Scope
from engramia.core.ports import ScopedStorage, Storage, Stores
from engramia.errors import EmbeddingModelMismatchError, ProviderUnreachableError, StorageFullError
from engramia.providers import JSONStorage
from engramia.testing import FrozenClock, HashEmbeddings
from tests.conftest import MakeMemory

WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class Flaky:
    """An embedding provider that can be switched off."""

    def __init__(self) -> None:
        self._inner = HashEmbeddings()
        self.model = self._inner.model
        self.dimension = self._inner.dimension
        self.down = False
        self.calls = 0

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.calls += 1
        if self.down:
            raise ProviderUnreachableError("connection refused")
        return self._inner.embed(texts)


def test_the_same_task_comes_back_first_as_a_duplicate(memory: Memory) -> None:
    memory.learn(task="Send an e-mail with an attachment", code="b", eval_score=9)
    key = memory.learn(task="Parse a CSV file and sum a column", code="a", eval_score=9).pattern_key
    best = memory.recall("parse a csv file and sum a column")[0]
    assert best.pattern_key == best.pattern.key == key
    assert best.similarity == pytest.approx(1.0, abs=1e-5)
    assert best.reuse_tier is ReuseTier.DUPLICATE
    assert best.pattern.code == "a"


def test_an_empty_memory_answers_nothing(memory: Memory) -> None:
    answer = memory.recall("anything")
    assert (list(answer), answer.has_more, answer.next_offset) == ([], False, None)


def test_a_task_that_differs_in_what_matters_is_never_a_duplicate(memory: Memory) -> None:
    memory.learn(task="Convert CSV to JSON", code="a", eval_score=9)
    (match,) = memory.recall("Convert JSON to CSV", explain=True)
    assert match.similarity > 0.99  # a bag of words cannot tell them apart
    assert match.reuse_tier is ReuseTier.ADAPT
    assert match.explanation is not None
    assert match.explanation.differences


def test_unrelated_patterns_are_not_returned(memory: Memory) -> None:
    memory.learn(task="Bake sourdough bread", code="a", eval_score=9)
    assert list(memory.recall("Invert a binary tree", min_similarity=0.5)) == []
    assert len(memory.recall("Invert a binary tree", min_similarity=0.0)) == 1


def test_quality_orders_what_is_equally_relevant(memory: Memory) -> None:
    worse = memory.learn(task="Resize an image", code="a", eval_score=2).pattern_key
    better = memory.learn(
        task="Resize an image", code="b", eval_score=9, on_duplicate="keep_both"
    ).pattern_key
    answer = memory.recall("Resize an image", deduplicate=False, explain=True)
    assert [match.pattern_key for match in answer] == [better, worse]
    assert [match.explanation.quality for match in answer if match.explanation] == pytest.approx([0.95, 0.6])
    unweighted = memory.recall("Resize an image", deduplicate=False, eval_weighted=False)
    assert unweighted[0].score == pytest.approx(unweighted[1].score)


def test_quality_is_the_median_of_the_last_five_observations(memory: Memory) -> None:
    key = memory.learn(task="Resize an image", code="a", eval_score=10).pattern_key
    for score in (0, 1, 2, 3, 4):
        memory.refine_pattern(key, score)
    (match,) = memory.recall("Resize an image", explain=True)
    assert match.explanation is not None
    assert match.explanation.quality == pytest.approx(0.5 + 0.5 * 2 / 10)
    assert match.score == pytest.approx(match.explanation.relevance * match.explanation.quality)


def test_recency_counts_when_asked(memory: Memory, clock: FrozenClock) -> None:
    old = memory.learn(task="Resize an image", code="a", eval_score=9).pattern_key
    clock.advance(timedelta(days=60))
    new = memory.learn(task="Resize an image", code="b", eval_score=9, on_duplicate="keep_both").pattern_key
    answer = memory.recall(
        "Resize an image", deduplicate=False, recency_weight=0.5, recency_half_life_days=30, explain=True
    )
    assert [match.pattern_key for match in answer] == [new, old]
    assert [match.explanation.recency for match in answer if match.explanation] == pytest.approx([1.0, 0.625])


def test_equal_scores_come_newest_first(memory: Memory, clock: FrozenClock) -> None:
    keys = []
    for code in "abc":
        keys.append(
            memory.learn(
                task="Resize an image", code=code, eval_score=9, on_duplicate="keep_both"
            ).pattern_key
        )
        clock.advance(timedelta(seconds=1))
    answer = memory.recall("Resize an image", deduplicate=False)
    assert [match.pattern_key for match in answer] == keys[::-1]


def test_grouping_keeps_the_best_of_overlapping_tasks(memory: Memory) -> None:
    memory.learn(task="Plot a red sine wave with labelled axes", code="a", eval_score=3)
    best = memory.learn(task="Plot a blue sine wave with labelled axes", code="b", eval_score=9).pattern_key
    memory.learn(task="Play a sine wave through the speaker", code="c", eval_score=9)
    grouped = memory.recall("Plot a green sine wave with labelled axes", min_similarity=0.1)
    assert grouped[0].pattern_key == best
    assert len(grouped) == 2
    assert (
        len(memory.recall("Plot a green sine wave with labelled axes", min_similarity=0.1, deduplicate=False))
        == 3
    )


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"classification": "public"}, {"public-api-9", "public-cli-3"}),
        ({"source": "cli"}, {"public-cli-3", "internal-cli-9"}),
        ({"min_score": 9}, {"public-api-9", "internal-cli-9"}),
        ({"min_score": 9.1}, set()),
        ({"classification": "public", "source": "cli", "min_score": 3}, {"public-cli-3"}),
    ],
)
def test_filters(memory: Memory, filter: dict[str, object], expected: set[str]) -> None:
    for classification, source, score in [("public", "api", 9), ("public", "cli", 3), ("internal", "cli", 9)]:
        memory.learn(
            task="Resize an image",
            code=f"{classification}-{source}-{score}",
            eval_score=score,
            classification=classification,
            source=source,
            on_duplicate="keep_both",
        )
    answer = memory.recall("Resize an image", deduplicate=False, **filter)  # type: ignore[arg-type]  # by name
    assert {match.pattern.code for match in answer} == expected


def test_filtered_pages_are_full_while_matches_remain(memory: Memory) -> None:
    for number in range(60):
        memory.learn(
            task=f"Resize image number {number}",
            code=str(number),
            eval_score=9,
            classification="public" if number % 10 == 0 else "internal",
        )
    answer = memory.recall(
        "Resize image", classification="public", limit=5, deduplicate=False, min_similarity=0
    )
    assert len(answer) == 5
    assert answer.has_more
    rest = memory.recall(
        "Resize image", classification="public", limit=5, offset=5, deduplicate=False, min_similarity=0
    )
    assert (len(rest), rest.has_more, rest.next_offset) == (1, False, None)


@pytest.mark.parametrize("deduplicate", [True, False])
def test_pages_follow_each_other_without_gap_or_repeat(memory: Memory, *, deduplicate: bool) -> None:
    for number, day in enumerate(WEEKDAYS):
        memory.learn(task=f"Report the {day} sales of shop {number} {day * 2}", code=day, eval_score=number)
    question = "Report the sales of a shop"
    options = {"deduplicate": deduplicate, "min_similarity": 0.0, "readonly": True}
    everything = [match.pattern_key for match in memory.recall(question, limit=50, **options)]  # type: ignore[arg-type]
    assert len(everything) == len(WEEKDAYS)
    paged: list[str] = []
    offset: int | None = 0
    while offset is not None:
        page = memory.recall(question, limit=3, offset=offset, **options)  # type: ignore[arg-type]
        assert page.has_more == (page.next_offset is not None)
        paged += [match.pattern_key for match in page]
        offset = page.next_offset
    assert paged == everything


def test_reuse_is_counted_for_what_can_be_reused_on_the_page(memory: Memory) -> None:
    same = memory.learn(task="Resize an image to a thumbnail", code="a", eval_score=9).pattern_key
    other = memory.learn(task="Water the office plants", code="b", eval_score=9).pattern_key
    before = [
        match.pattern.reuse_count
        for match in memory.recall("Resize an image to a thumbnail", min_similarity=0)
    ]
    memory.recall("Resize an image to a thumbnail", min_similarity=0)
    assert before == [0, 0]
    assert memory.get_pattern(same).pattern.reuse_count == 2
    assert memory.get_pattern(other).pattern.reuse_count == 0


def test_readonly_changes_nothing(memory: Memory) -> None:
    key = memory.learn(task="Resize an image", code="a", eval_score=9).pattern_key
    memory.recall("Resize an image", readonly=True)
    assert memory.get_pattern(key).pattern.reuse_count == 0
    assert memory.metrics().reuse_rate == 0.0


def test_recall_changes_no_ranking(memory: Memory) -> None:
    for number, day in enumerate(WEEKDAYS):
        memory.learn(task=f"Report the {day} sales", code=day, eval_score=number)
    first = memory.recall("Report the sales", min_similarity=0)
    answers = [memory.recall("Report the sales", min_similarity=0) for _ in range(5)]
    assert [(match.pattern_key, match.score) for match in answers[-1]] == [
        (match.pattern_key, match.score) for match in first
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("task", " "),
        ("task", "x\0"),
        ("limit", 0),
        ("limit", 51),
        ("limit", 2.5),
        ("offset", -1),
        ("min_score", 11),
        ("min_score", math.nan),
        ("classification", "top"),
        ("source", "fax"),
        ("min_similarity", 1.5),
        ("recency_weight", 2),
        ("recency_half_life_days", 0),
    ],
)
def test_bad_questions_are_refused_by_name(memory: Memory, field: str, value: object) -> None:
    options: dict[str, object] = {"task": "a task"} | {field: value}
    with pytest.raises(ValidationError, match=field) as caught:
        memory.recall(**options)  # type: ignore[arg-type]  # wrong types are the point
    assert caught.value.field == field


def test_without_a_model_words_answer_and_say_so(make_memory: MakeMemory) -> None:
    memory = make_memory(embeddings=None)
    memory.learn(task="Water the office plants", code="print(total)", eval_score=9)
    key = memory.learn(
        task="Parse a CSV file and sum a column", code="print(total)", eval_score=9
    ).pattern_key
    answer = memory.recall("Parse a CSV file and sum a column")
    assert answer.degraded
    assert answer.reason is not None
    assert "no embedding model" in answer.reason
    assert answer[0].pattern_key == key
    assert answer[0].reuse_tier is ReuseTier.DUPLICATE
    assert answer[0].similarity == pytest.approx(1.0)
    assert list(memory.recall("Invert a binary tree")) == []


def test_a_provider_that_fails_degrades_recall_and_is_left_alone_for_a_while(
    make_memory: MakeMemory, clock: FrozenClock
) -> None:
    provider = Flaky()
    memory = make_memory(embeddings=provider)
    memory.learn(task="Resize an image", code="a", eval_score=9)
    provider.down = True
    answer = memory.recall("Resize an image")
    assert answer.degraded
    assert "connection refused" in str(answer.reason)
    assert answer[0].pattern.code == "a"
    calls = provider.calls
    memory.recall("Resize an image")
    assert provider.calls == calls
    provider.down = False
    clock.advance(timedelta(minutes=1))
    assert not memory.recall("Resize an image").degraded


def test_what_was_learned_while_the_provider_was_down_gets_its_vector_later(
    make_memory: MakeMemory, clock: FrozenClock
) -> None:
    provider = Flaky()
    memory = make_memory(embeddings=provider)
    provider.down = True
    key = memory.learn(task="Resize an image", code="a", eval_score=9).pattern_key
    assert memory.get_pattern(key).pattern.embedding_model is None
    provider.down = False
    clock.advance(timedelta(minutes=1))
    first = memory.recall("Resize an image")
    assert first.degraded  # its only match was found by words
    assert memory.get_pattern(key).pattern.embedding_model == provider.model
    assert not memory.recall("Resize an image").degraded


def test_another_model_is_refused_until_reindexed(make_memory: MakeMemory) -> None:
    make_memory().learn(task="Resize an image", code="a", eval_score=9)
    other = make_memory(embeddings=HashEmbeddings(dimension=64))
    with pytest.raises(EmbeddingModelMismatchError, match="engramia reindex"):
        other.recall("Resize an image")
    with pytest.raises(EmbeddingModelMismatchError, match="engramia reindex"):
        other.learn(task="Another task", code="b", eval_score=9)
    assert other.reindex() == 1
    assert other.recall("Resize an image")[0].similarity == pytest.approx(1.0, abs=1e-5)


class FullDisk:
    """A storage whose disk takes no more writes."""

    def __init__(self, inner: JSONStorage) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def scoped(self, scope: Scope) -> "FullScope":
        return FullScope(self._inner.scoped(scope))


class FullScope:
    def __init__(self, inner: ScopedStorage) -> None:
        self.reading = inner.reading
        self.erase = inner.erase

    def writing(self, *, durable: bool = True) -> AbstractContextManager[Stores]:
        raise StorageFullError(f"no space left (durable={durable})")


def test_recall_answers_when_its_counts_cannot_be_written(
    make_memory: MakeMemory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = make_memory().learn(task="Resize an image", code="a", eval_score=9).pattern_key
    full = cast("Storage", FullDisk(JSONStorage(tmp_path / "data")))
    with Memory(embeddings=HashEmbeddings(), storage=full) as memory:
        assert memory.recall("Resize an image")[0].pattern_key == key
        assert "no space left" in caplog.text
        with pytest.raises(StorageFullError):
            memory.learn(task="Another task", code="b", eval_score=9)


def test_no_text_goes_to_a_model_that_the_store_was_not_filled_by(make_memory: MakeMemory) -> None:
    make_memory(embeddings=HashEmbeddings(dimension=64)).learn(task="Resize an image", code="a", eval_score=9)
    provider = Flaky()
    other = make_memory(embeddings=provider)
    for call in (
        lambda: other.recall("Resize an image"),
        lambda: other.learn(task="Another task", code="b", eval_score=9),
        lambda: other.import_data(
            [{"key": "patterns/" + "0" * 26, "data": {"task": "t", "code": "c", "success_score": 5}}]
        ),
    ):
        with pytest.raises(EmbeddingModelMismatchError):
            call()
    assert provider.calls == 0
