"""From similarity and wording to tiers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engramia.core.model import ReuseTier
from engramia.core.similarity import (
    DOCUMENTED,
    MINILM,
    WORDS,
    Thresholds,
    agreement,
    reuse_tier,
    thresholds_for,
)

_TASK = "Sort the invoices by date"
_UNITS = st.floats(0, 1)
_TASKS = st.sampled_from(
    [
        _TASK,
        "Order all invoices by their date",
        "Sort the invoices by amount",
        "Sort the dates by invoice",
        "Convert CSV to JSON",
        "Convert JSON to CSV",
        "How many invoices are there?",
        "",
    ]
)
_THRESHOLDS = st.sampled_from([DOCUMENTED, MINILM, WORDS])
_RANK = {ReuseTier.FRESH: 0, ReuseTier.ADAPT: 1, ReuseTier.DUPLICATE: 2}


@pytest.mark.parametrize(
    ("similarity", "tier"),
    [(0.92, "duplicate"), (0.9199, "adapt"), (0.70, "adapt"), (0.6999, "fresh"), (0.0, "fresh")],
)
def test_the_documented_thresholds_are_inclusive(similarity: float, tier: str) -> None:
    assert reuse_tier(similarity, _TASK, "Sort the invoices by day of issue") == tier


def test_no_similarity_makes_a_duplicate_of_an_opposite() -> None:
    assert reuse_tier(1.0, "Convert CSV to JSON", "Convert JSON to CSV", MINILM) is ReuseTier.ADAPT
    assert reuse_tier(1.0, "Convert CSV to JSON", "Convert JSON to CSV") is ReuseTier.ADAPT


@pytest.mark.parametrize(
    ("other", "least"),
    [
        pytest.param("Order all invoices by their date", MINILM.duplicate_same, id="same"),
        pytest.param(
            "Sort the unpaid customers' invoices by date", MINILM.duplicate, id="changed by a negation"
        ),
        pytest.param("Sort the customer invoices by date", MINILM.duplicate_extended, id="extended"),
        pytest.param("Sort the invoices by amount", MINILM.duplicate_exchanged, id="exchanged"),
        pytest.param("Sort bills, their dates decide", MINILM.duplicate, id="changed"),
    ],
)
def test_the_wording_decides_how_near_a_duplicate_must_be(other: str, least: float) -> None:
    below = reuse_tier(least - 0.001, _TASK, other, MINILM)
    at = reuse_tier(least, _TASK, other, MINILM)

    assert below is ReuseTier.ADAPT
    assert at is (ReuseTier.ADAPT if "unpaid" in other else ReuseTier.DUPLICATE)


def test_a_vague_word_in_the_place_of_another_is_an_exchange() -> None:
    left, right, least = (
        "Remove the items of matches",
        "Remove the labels of matches",
        MINILM.duplicate_exchanged,
    )

    assert reuse_tier(least - 0.001, left, right, MINILM) is ReuseTier.ADAPT
    assert reuse_tier(least, left, right, MINILM) is ReuseTier.DUPLICATE
    assert (
        reuse_tier(MINILM.duplicate_same, left, "Remove items of all matches", MINILM) is ReuseTier.DUPLICATE
    )


def test_shared_words_help_to_adapt() -> None:
    similarity = MINILM.adapt - 0.1

    assert reuse_tier(similarity, _TASK, "Sort the invoices by amount", MINILM) is ReuseTier.ADAPT
    assert reuse_tier(similarity, _TASK, "Draw a circle", MINILM) is ReuseTier.FRESH


def test_in_a_crowd_adapt_asks_for_the_same_template() -> None:
    crowd = MINILM.crowd

    assert reuse_tier(0.8, _TASK, "Which customers paid their invoices late?", MINILM) is ReuseTier.ADAPT
    assert (
        reuse_tier(0.8, _TASK, "Which customers paid their invoices late?", MINILM, crowd=crowd)
        is ReuseTier.FRESH
    )
    assert reuse_tier(0.8, _TASK, "Sort the invoices by amount", MINILM, crowd=crowd) is ReuseTier.ADAPT
    assert reuse_tier(0.8, _TASK, "Order the invoices by date", MINILM, crowd=crowd) is ReuseTier.DUPLICATE


def test_a_crowd_changes_nothing_for_a_model_that_was_not_measured() -> None:
    assert reuse_tier(0.8, _TASK, "Which customers paid late?", DOCUMENTED, crowd=1.0) is ReuseTier.ADAPT


@given(_UNITS, _UNITS, _TASKS, _TASKS, _THRESHOLDS)
def test_more_similarity_never_means_a_lower_tier(
    one: float, other: float, left: str, right: str, thresholds: Thresholds
) -> None:
    low, high = sorted((one, other))

    assert _RANK[reuse_tier(low, left, right, thresholds)] <= _RANK[reuse_tier(high, left, right, thresholds)]


@given(_UNITS, _TASKS, _TASKS, _THRESHOLDS)
def test_tiers_are_symmetric(similarity: float, left: str, right: str, thresholds: Thresholds) -> None:
    assert reuse_tier(similarity, left, right, thresholds) is reuse_tier(similarity, right, left, thresholds)


@given(_TASKS, _TASKS)
def test_agreement_is_symmetric_and_bounded(left: str, right: str) -> None:
    assert agreement(left, right) == agreement(right, left)
    assert 0 <= agreement(left, right) <= 1
    assert agreement(left, left) == 1.0


@pytest.mark.parametrize(
    ("right", "tier"),
    [
        ("Order all invoices by their date", ReuseTier.DUPLICATE),
        ("Sort the invoices by amount", ReuseTier.ADAPT),
        ("Sort the 5 newest invoices by date", ReuseTier.ADAPT),
        ("Draw a circle", ReuseTier.FRESH),
    ],
)
def test_words_alone_give_tiers(right: str, tier: ReuseTier) -> None:
    assert reuse_tier(agreement(_TASK, right), _TASK, right, WORDS) is tier


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("sentence-transformers/all-MiniLM-L6-v2", MINILM),
        ("local:all-minilm-l6-v2", MINILM),
        ("text-embedding-3-small", DOCUMENTED),
        ("openai/text-embedding-3-large", DOCUMENTED),
        (None, DOCUMENTED),
    ],
)
def test_each_model_has_its_thresholds(model: str | None, expected: Thresholds) -> None:
    assert thresholds_for(model) == expected


_CROWDED = Thresholds(adapt=0.5, crowd=0.35, lead=0.12, certain=0.85, template=0.9)


@pytest.mark.parametrize(
    ("similarity", "crowd", "lead", "tier"),
    [
        (0.7, 0.34, 0.0, ReuseTier.ADAPT),
        (0.7, 0.35, 0.0, ReuseTier.FRESH),
        (0.7, 0.35, 0.119, ReuseTier.FRESH),
        (0.7, 0.35, 0.12, ReuseTier.ADAPT),
        (0.85, 0.8, 0.0, ReuseTier.ADAPT),
        (0.49, 0.0, 1.0, ReuseTier.FRESH),
    ],
)
def test_in_a_crowd_only_what_stands_out_can_be_adapted(
    similarity: float, crowd: float, lead: float, tier: ReuseTier
) -> None:
    other = "Draw the outline of a circle"
    assert reuse_tier(similarity, _TASK, other, _CROWDED, crowd=crowd, lead=lead) is tier


def test_models_that_were_not_measured_know_no_crowd() -> None:
    other = "Draw the outline of a circle"
    assert reuse_tier(0.7, _TASK, other, crowd=1.0) is ReuseTier.ADAPT
