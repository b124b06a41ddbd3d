"""Bodies that no server should stumble over: ten thousand of them, the same ones every time."""

import gzip
import random
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import Any, NamedTuple

import orjson

from tests.server.serving import Answer, Wire

COUNT = 10_000
JSON = {"Content-Type": "application/json"}
CHUNKED = {"Transfer-Encoding": "chunked"}
MEGABYTE = 1 << 20

FIELDS: Mapping[str, Any] = {
    "task": "Sort the rows by date",
    "code": "rows.sort(key=date)",
    "output": "ok",
    "eval_score": 7.5,
    "run_id": "r-1",
    "classification": "internal",
    "source": "api",
    "on_duplicate": "skip",
    "limit": 5,
    "offset": 0,
    "min_similarity": 0.5,
    "deduplicate": True,
    "eval_weighted": True,
    "num_evals": 3,
    "role": "coder",
    "current_prompt": "You write code.",
    "num_issues": 5,
    "min_count": 2,
    "pattern_key": "patterns/01k9zq3v5t8w2xn4bq6rjd7mhc",
    "skills": ["csv", "dates"],
    "required": ["csv"],
    "match_all": True,
    "overwrite": False,
    "records": [
        {"version": 1, "key": "patterns/01k9zq3v5t8w2xn4bq6rjd7mhc", "data": {"task": "t", "code": "c"}}
    ],
}
"""Every field that some route takes, with a sound value."""


class Malformed(NamedTuple):
    """One request's body: whole, or as an iterator of chunks to be sent with `Transfer-Encoding: chunked`."""

    headers: dict[str, str]
    body: bytes | Iterator[bytes]
    what: str


type Family = Callable[[random.Random], Malformed]


def malformed(seed: int = 20_261_121, count: int = COUNT) -> Iterator[Malformed]:
    """Yield `count` malformed bodies: each costly one once in 400, the others in equal parts."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    for number in range(count):
        family = _COSTLY[number // 400 % len(_COSTLY)] if number % 400 == 0 else _CHEAP[number % len(_CHEAP)]
        one = family(rng)
        yield _chunked(rng, one) if isinstance(one.body, bytes) and rng.random() < 0.1 else one


def fire(
    address: tuple[str, int], path: str, one: Malformed, *, method: str = "POST", headers: dict[str, str]
) -> Answer:
    """Send one of them over a connection of its own and return the answer."""
    with Wire(address) as wire:
        if isinstance(one.body, bytes):
            wire.request(method, path, headers | one.headers, one.body)
            return wire.answer()
        wire.request(method, path, headers | one.headers | CHUNKED, b"")
        try:
            for chunk in one.body:
                wire.send(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            wire.send(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server had enough, and its answer is there to be read
        return wire.answer()


def _chunked(rng: random.Random, one: Malformed) -> Malformed:
    body = bytes(one.body) if isinstance(one.body, bytes) else b""
    size = max(1, len(body) // rng.randint(1, 20))
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    return Malformed(one.headers, iter(chunks), f"{one.what}, chunked")


def _with(name: str, raw: bytes) -> bytes:
    """Return the sound document with the raw value `raw` in the field `name`."""
    others = orjson.dumps({field: value for field, value in FIELDS.items() if field != name})
    return b"%s,%s:%s}" % (others[:-1], orjson.dumps(name), raw)


def _in_some_field(what: str, raws: Callable[[random.Random], bytes], rng: random.Random) -> Malformed:
    name = rng.choice([*FIELDS, "unknown"])
    return Malformed(JSON, _with(name, raws(rng)), f"{what} in {name}")


def _not_a_number(rng: random.Random) -> bytes:
    return rng.choice([b"NaN", b"Infinity", b"-Infinity", b"nan", b"-NaN", b"[NaN]", b'{"a":Infinity}'])


def _overflow(rng: random.Random) -> bytes:
    return rng.choice([b"1e999", b"-1e999", b"[1e400]", b"1E+309", b"1e-99999", b"1e" + b"9" * 1_000])


def _surrogate(rng: random.Random) -> bytes:
    return rng.choice(
        [
            b'"\\ud800"',
            b'"a\\udfff"',
            b'"\\ude00\\ud83d"',
            b'["\\ud83d"]',
            b'{"\\ud800":1}',
            b'"\xed\xa0\x80"',
        ]
    )


def _nul(rng: random.Random) -> bytes:
    return rng.choice(
        [b'"\\u0000"', b'"a\\u0000b"', b'["\\u0000"]', b'{"\\u0000":1}', b'"a\x00b"', b'"\\\\\\u0000"']
    )


def _deep(rng: random.Random) -> bytes:
    depth = rng.choice([65, 66, 100, 500, 1_000, 1_024, 1_025, 10_000, 100_000])
    opening, closing = rng.choice([(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
    tail = rng.choice([b"1" + closing * depth, b"", closing * (depth // 2)])
    return opening * depth + tail


def _digits(rng: random.Random) -> bytes:
    count = rng.choice([20, 25, 100, 309, 310, 4_300, 4_301, 10_000, 100_000])
    digits = bytes(rng.choices(b"123456789", k=20)) * (count // 20 + 1)
    return (
        rng.choice([b"", b"-", b"0.", b"1."]) + digits[:count] + rng.choice([b"", b"", b".5", b"e5", b"e-5"])
    )


def _wrong_type(rng: random.Random) -> bytes:
    values: list[Any] = [
        None,
        True,
        0,
        -1,
        2**63,
        -(2**63),
        1.5,
        "",
        "x",
        "5",
        [],
        [None],
        [[]],
        {},
        {"a": 1},
        ["a", 1],
    ]
    return orjson.dumps(rng.choice(values))


def _out_of_range(rng: random.Random) -> bytes:
    texts = [
        " \t\n",
        "x" * 10_001,
        "x" * 500_001,
        "\u202e" * 300,
        "e\u0301" * 9_000,
        "\ufdd0\uffff",
        "\x7f",
        "\x85",
    ]
    values: list[Any] = [-1, 10**9, 2**64 - 1, 1e308, -1e308, 5e-324, 10.000001, -0.000001, *texts]
    many: list[Any] = [["a"] * 1_000, ["x" * 5_000], [{}] * 10_001, ["a", "A", " a "] * 30]
    return orjson.dumps(rng.choice([*values, *many]))


def _damaged_text(rng: random.Random) -> bytes:
    return rng.choice(
        [b'"\t"', b'"\n"', b'"\\x41"', b'"\\u12"', b'"\\"', b"'a'", b'"\xff"', b'"\xc3"', b'"\xf5\x80"']
    )


def _duplicate(rng: random.Random) -> Malformed:
    name = rng.choice([*FIELDS])
    again = rng.choice([name, f"\\u{ord(name[0]):04x}{name[1:]}"])
    value = orjson.dumps(FIELDS[name])
    return Malformed(JSON, b'{"%s":%s,"%s":null}' % (name.encode(), value, again.encode()), f"{name} twice")


def _truncated(rng: random.Random) -> Malformed:
    whole = orjson.dumps(FIELDS)
    return Malformed(JSON, whole[: rng.randrange(1, len(whole))], "truncated")


def _flipped(rng: random.Random) -> Malformed:
    damaged = bytearray(orjson.dumps(FIELDS))
    for _ in range(rng.randint(1, 8)):
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    return Malformed(JSON, bytes(damaged), "bytes changed")


def _other_encoding(rng: random.Random) -> Malformed:
    text = orjson.dumps({**FIELDS, "task": "Größe"}).decode()
    name = rng.choice(
        ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "utf-8-sig", "utf-7", "cp037"]
    )
    header = JSON if rng.random() < 0.5 else {"Content-Type": f"application/json; charset={name}"}
    return Malformed(header, text.encode(name), name)


def _odd_document(rng: random.Random) -> Malformed:
    whole = orjson.dumps(FIELDS)
    bodies = [
        b"",
        b" \r\n\t ",
        b"null",
        b"true",
        b"3",
        b'"text"',
        b"[]",
        b"[%s]" % whole,
        b"[[[{}]]]",
        whole + whole,
        whole + b"\n//",
        b"/* */" + whole,
        whole[:-1] + b",}",
        whole.replace(b'"', b"'"),
        b")]}'\n" + whole,
        b"{,}",
        b'{"a"}',
        b'{"a":}',
        b"{1:2}",
        b"\x00" * 64,
        bytes(range(256)),
        b"\xff\xfe",
        b"---\na: 1\n",
        b"<a/>",
        b"task=x&code=y",
    ]
    return Malformed(JSON, rng.choice(bodies), "odd document")


def _odd_keys(rng: random.Random) -> Malformed:
    keys: list[dict[str, Any]] = [
        {"k" * 100_000: 1},
        {f"key{number}": number for number in range(5_000)},
        {"": 1, " ": 2, "\u2028": 3},
        {"__class__": {"__init__": 1}, "__proto__": {}, "constructor": 1},
        {"task ": "x", "Task": "x", "TASK": "x"},
        {"\\": 1, '"': 2, "${jndi:ldap://a}": 3, "{{7*7}}": 4},
        {"task": {"$ne": None}, "limit": {"$gt": 0}},
    ]
    document = rng.choice(keys) | (dict(FIELDS) if rng.random() < 0.3 else {})
    return Malformed(JSON, orjson.dumps(document), "odd keys")


def _odd_content_type(rng: random.Random) -> Malformed:
    kinds = [
        "text/plain",
        "application/xml",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "application/json, text/html",
        "json",
        ";",
        "application/json; charset=" + "x" * 500,
        "\xff/\xfe",
    ]
    return Malformed({"Content-Type": rng.choice(kinds)}, orjson.dumps(FIELDS), "odd content type")


def _compressed(rng: random.Random) -> Malformed:
    name = rng.choice(["gzip", "deflate", "br", "zstd"])
    whole = orjson.dumps(FIELDS)
    body = {"gzip": gzip.compress(whole, mtime=0), "deflate": zlib.compress(whole)}.get(name, whole)
    headers = JSON | ({"Content-Encoding": name} if rng.random() < 0.8 else {})
    return Malformed(headers, body, f"{name} body")


@cache
def _bomb() -> bytes:
    squeezer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [squeezer.compress(b'{"task":"'), *(squeezer.compress(b"a" * MEGABYTE) for _ in range(200))]
    return b"".join(parts) + squeezer.flush()


def _gzip_bomb(_: random.Random) -> Malformed:
    return Malformed(JSON | {"Content-Encoding": "gzip"}, _bomb(), "gzip bomb of 200 MB")


def _endless(_: random.Random) -> Malformed:
    return Malformed(JSON, (b"x" * MEGABYTE for _ in range(100)), "100 MB in chunks")


def _endless_document(_: random.Random) -> Malformed:
    def chunks() -> Iterator[bytes]:
        yield b'{"task":"'
        for _ in range(100):
            yield b"a" * MEGABYTE
        yield b'"}'

    return Malformed(JSON, chunks(), "100 MB of sound JSON in chunks")


def _wide(rng: random.Random) -> Malformed:
    part = rng.choice([b"[],", b"{},", b"0,", b'"",', b"[[]],"])
    return Malformed(JSON, b"[" + part * (900_000 // len(part)) + b"0]", "a million small values")


def _just_too_large(_: random.Random) -> Malformed:
    return Malformed(JSON, b'"' + b"a" * (MEGABYTE - 1) + b'"', "one byte over a megabyte")


_CHEAP: tuple[Family, ...] = (
    partial(_in_some_field, "NaN", _not_a_number),
    partial(_in_some_field, "overflow", _overflow),
    partial(_in_some_field, "surrogate", _surrogate),
    partial(_in_some_field, "NUL", _nul),
    partial(_in_some_field, "nesting", _deep),
    partial(_in_some_field, "digits", _digits),
    partial(_in_some_field, "wrong type", _wrong_type),
    partial(_in_some_field, "out of range", _out_of_range),
    partial(_in_some_field, "damaged text", _damaged_text),
    _duplicate,
    _truncated,
    _flipped,
    _other_encoding,
    _odd_document,
    _odd_keys,
    _odd_content_type,
    _compressed,
)
_COSTLY: tuple[Family, ...] = (_gzip_bomb, _endless, _wide, _endless_document, _just_too_large)
