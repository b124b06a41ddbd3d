"""Portable records: whatever can be stored comes back the same, whatever cannot is refused by name."""

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from engramia.core import record_format
from engramia.core.model import Classification, Observation, Pattern, PatternRecord, Source, Version
from engramia.errors import ValidationError

NOW = datetime(2026, 3, 2, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(
    str.strip
)
MAYBE = st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50)
SCORES = st.floats(0, 10)
TIMES = st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive by contract
KEYS = st.text("0123456789abcdefghjkmnpqrstvwxyz", min_size=26, max_size=26).map("patterns/{}".format)
PATTERNS = st.builds(
    Pattern,
    key=KEYS,
    task=TEXT,
    code=TEXT,
    output=MAYBE,
    success_score=SCORES,
    created_at=TIMES,
    decayed_at=TIMES,
    reuse_count=st.integers(0, 2**53),
    classification=st.sampled_from(Classification),
    source=st.sampled_from(Source),
    run_id=MAYBE,
    author=MAYBE,
    skills=st.lists(st.text("abc def", min_size=1).map(str.strip).filter(bool), max_size=4, unique=True).map(
        tuple
    ),
    embedding_model=st.none(),
)
RECORDS = st.builds(
    PatternRecord,
    PATTERNS,
    st.lists(st.builds(Version, TEXT, MAYBE, SCORES, TIMES), max_size=3).map(tuple),
    st.lists(st.builds(Observation, SCORES, TIMES, MAYBE), max_size=3).map(tuple),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = [
    "key",
    "version",
    "data",
    "task",
    "code",
    "success_score",
    "skills",
    "versions",
    "observations",
    "created_at",
]


@given(RECORDS)
def test_a_record_comes_back_the_same_through_json(record: PatternRecord) -> None:
    wire = json.loads(json.dumps(record_format.encode(record)))
    assert record_format.decode(wire, now=NOW) == record


def taken(wire: object) -> PatternRecord | None:
    """Return the record if `wire` is taken for one; a refusal must name a field and say something."""
    try:
        return record_format.decode(wire, now=NOW)
    except ValidationError as error:
        if not (error.field and str(error)):
            raise AssertionError("refused without a reason") from error
        return None


@given(RECORDS, st.sampled_from(NAMES), JSON)
def test_any_damage_is_refused_by_name_or_harmless(record: PatternRecord, name: str, junk: object) -> None:
    wire = record_format.encode(record)
    (wire if name in wire else wire["data"])[name] = junk
    again = taken(wire)
    assert again is None or taken(record_format.encode(again)) == again


@given(JSON)
def test_junk_is_refused(junk: object) -> None:
    assert taken(junk) is None


@given(TIMES, st.integers(-840, 840))
def test_times_are_read_in_any_offset(moment: datetime, minutes: int) -> None:
    sign, hours, rest = "-" if minutes < 0 else "+", abs(minutes) // 60, abs(minutes) % 60
    local = (moment + timedelta(minutes=minutes)).replace(tzinfo=None).isoformat()
    text = f"{local}{sign}{hours:02d}:{rest:02d}"
    assert record_format.parse_time(text, field="t") == moment
    assert record_format.parse_time(record_format.format_time(moment), field="t") == moment
