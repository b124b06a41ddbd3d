"""JSON that is refused, and JSON that is not."""

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engramia.errors import BadRequestError
from engramia.server.kit.strict_json import DEPTH_MAX, loads

REFUSED = {
    "NaN": b'{"a": NaN}',
    "Infinity": b"[Infinity]",
    "minus Infinity": b"[-Infinity]",
    "overflow": b"[1e999]",
    "10^5 digits": b"[" + b"9" * 100_000 + b"]",
    "65 bits": b"[18446744073709551616]",
    "64 bits and a sign": b"[-9223372036854775809]",
    "integer after text with digits": b'["18446744073709551616", 18446744073709551616]',
    "lone high surrogate": b'["\\ud800"]',
    "lone low surrogate": b'["\\udc00"]',
    "surrogate key": b'{"\\ud800": 1}',
    "surrogate in UTF-8": b'["\xed\xa0\x80"]',
    "escaped NUL": b'["a\\u0000b"]',
    "escaped NUL behind a backslash": b'["a\\\\\\u0000"]',
    "NUL key": b'{"\\u0000": 1}',
    "raw NUL": b'["a\x00b"]',
    "65 levels of lists": b"[" * 65 + b"]" * 65,
    "65 levels of objects": b'{"a":' * 65 + b"1" + b"}" * 65,
    "10^5 levels": b"[" * 100_000,
    "10^5 closed levels": b"[" * 100_000 + b"]" * 100_000,
    "repeated key": b'{"a": 1, "a": 2}',
    "repeated key below": b'[{"x": {"a": 1, "b": 2, "a": 1}}]',
    "repeated key, one escaped": b'{"a": 1, "\\u0061": 2}',
    "repeated key hidden by escaped colons": b'{"a": 1, "a": "\\u003a"}',
    "repeated key hidden by ESCAPED colons": b'{"a": 1, "a": "\\u003A"}',
    "repeated key with colons": b'{":": ":", ":": ":"}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "latin-1": '{"a": "ü"}'.encode("latin-1"),
    "rest": b"{} {}",
    "trailing comma": b'{"a": 1,}',
    "single quotes": b"{'a': 1}",
    "comment": b"{} // no",
    "leading zero": b"[01]",
    "truncated": b'{"a": "b',
    "bare word": b"nope",
    "raw tab": b'["\t"]',
    "empty": b"",
    "blank": b" \n ",
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_a_short_sentence(body: bytes) -> None:
    with pytest.raises(BadRequestError, match=r"^The body [^\x00]{5,250}\.$") as caught:
        loads(body)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"a": {"b": 1, "b": 2}}', "'b' twice"),
        (b'["\\\\\\u0000"]', "byte 4"),
        (b"[" * 65 + b"]" * 65, "64 levels"),
        (b"[" * 2_000, "64 levels"),
        (b"[123456789012345678901234567890]", "64 bits: 12345678901234567890"),
        (b"", "empty"),
        (b"\xff", "UTF-8"),
        (b'{"a": tru}', "column 7"),
    ],
)
def test_the_sentence_says_what(body: bytes, words: str) -> None:
    with pytest.raises(BadRequestError, match=words):
        loads(body)


@pytest.mark.parametrize(
    "body",
    [
        b"18446744073709551615",
        b"-9223372036854775808",
        b"1e20",
        b"-1.5e300",
        b'"18446744073709551616"',
        b'"\\ud83d\\ude00"',
        b'"\\\\u0000"',
        b'"\\\\\\\\u0000"',
        b"[" * DEPTH_MAX + b"]" * DEPTH_MAX,
        b'{"code": "' + b"[{" * 500 + b'"}',
        b'{"a:b": "::", "\\u003a": {"a": []}, "c": ["\\u003A", "d:"]}',
        b'[{"a": 1}, {"a": 2}]',
        b" null\n",
    ],
)
def test_accepted_as_the_standard_library_reads_it(body: bytes) -> None:
    assert loads(body) == json.loads(body)


DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(st.sampled_from('ab:"\\é'), max_size=3), inner, max_size=5)
    ),
)


@given(DOCUMENTS, st.booleans())
def test_every_document_comes_back(document: object, ascii_only: bool) -> None:
    assert loads(json.dumps(document, ensure_ascii=ascii_only).encode()) == document


@given(st.lists(st.tuples(st.text(st.sampled_from("ab:"), max_size=2), st.text(":", max_size=2)), max_size=4))
def test_a_repeated_key_is_found_and_nothing_else_is(pairs: list[tuple[str, str]]) -> None:
    body = "{" + ", ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in pairs) + "}"
    if len(dict(pairs)) == len(pairs):
        assert loads(body.encode()) == dict(pairs)
    else:
        with pytest.raises(BadRequestError, match="twice"):
            loads(body.encode())


@given(st.binary(max_size=60))
def test_any_bytes_are_a_document_or_refused(body: bytes) -> None:
    try:
        value = loads(body)
    except BadRequestError:
        return
    assert json.dumps(value, allow_nan=False)


def test_a_damaged_document_never_fails_otherwise() -> None:
    generator = random.Random(7)  # noqa: S311 - no secret
    sound = (
        b'{"task": "a: b", "list": [1, -2.5e3, "\\u00e9\\n", {"deep": [[null, true]]}], "n": 1234567890123}'
    )
    for _ in range(3_000):
        damaged = bytearray(sound)
        for _ in range(generator.randint(1, 4)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        try:
            value = loads(bytes(damaged))
        except BadRequestError:
            continue
        assert not isinstance(value, float) or math.isfinite(value)
