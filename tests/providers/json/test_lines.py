import orjson
from hypothesis import given
from hypothesis import strategies as st

from engramia.providers.json.lines import Line, frame, frame_transaction, parse, salvage

events = st.lists(
    st.dictionaries(
        st.text(max_size=8), st.text(max_size=20) | st.integers(-(2**53), 2**53) | st.none(), max_size=4
    ),
    min_size=1,
    max_size=5,
)
numbers = st.integers(1, 10**15)


def framed(seq: int, some: list[dict[str, object]], *, more: bool = False) -> bytes:
    return frame(seq, [orjson.dumps(event) for event in some], more=more)


@given(numbers, events, st.booleans())
def test_a_line_is_one_json_object_and_says_what_was_framed(
    seq: int, some: list[dict[str, object]], more: bool
) -> None:
    line = framed(seq, some, more=more)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert orjson.loads(line)["events"] == some
    assert parse(line[:-1]) == Line(seq, some, more)


@given(numbers, events, st.data())
def test_no_flipped_bit_passes(seq: int, some: list[dict[str, object]], data: st.DataObject) -> None:
    line = bytearray(framed(seq, some)[:-1])
    place = data.draw(st.integers(0, len(line) - 1))
    line[place] ^= 1 << data.draw(st.integers(0, 7))
    assert parse(bytes(line)) is None


@given(numbers, events, st.data())
def test_no_part_of_a_line_passes(seq: int, some: list[dict[str, object]], data: st.DataObject) -> None:
    line = framed(seq, some)[:-1]
    assert parse(line[: data.draw(st.integers(0, len(line) - 1))]) is None


def test_a_long_transaction_takes_several_lines_and_only_the_last_closes_it() -> None:
    some = [orjson.dumps({"kind": "x", "text": "y" * 20_000, "number": number}) for number in range(12)]
    data, last = frame_transaction(7, some)
    lines = [parse(line) for line in data.splitlines()]
    assert all(lines)
    kept = [line for line in lines if line is not None]
    assert [line.seq for line in kept] == list(range(7, last + 1))
    assert [line.more for line in kept] == [True] * (len(kept) - 1) + [False]
    assert [event["number"] for line in kept for event in line.events] == list(range(12))
    assert max(map(len, data.splitlines())) < 100_000


def test_whole_lines_are_saved_from_what_a_flipped_newline_joined() -> None:
    first, second = framed(1, [{"a": 1}])[:-1], framed(2, [{"b": 2}])[:-1]
    assert [piece for _, piece in salvage(first + b"\x0b" + second)] == [
        Line(1, [{"a": 1}], False),
        Line(2, [{"b": 2}], False),
    ]
    broken = first.replace(b'"a"', b'"z"')
    assert list(salvage(broken + b"\x0b" + second)) == [
        (0, broken + b"\x0b"),
        (len(broken) + 1, Line(2, [{"b": 2}], False)),
    ]
