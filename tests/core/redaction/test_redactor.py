"""What redaction promises: it finds secrets, leaves code alone, and changes nothing twice."""

import time
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engramia.core.redaction import Finding, Redactor
from engramia.core.redaction.assignment import AssignmentDetector, OptionDetector, SentenceDetector
from engramia.core.redaction.candidate import Detector
from engramia.core.redaction.checksum import base62_crc32, carries_crc32, passes_luhn
from engramia.core.redaction.pattern import compiled
from engramia.core.redaction.personal import PERSONAL
from engramia.core.redaction.vendors import VENDORS
from tests.core.redaction.innocent_corpus import innocent
from tests.core.redaction.secrets_corpus import SECRETS
from tests.core.redaction.values import Values

pytestmark = pytest.mark.slow  # many hundreds of cases

REDACTOR = Redactor()
TOKEN = Values(3).fill("ghp_{github}")


def test_recall_on_own_corpus() -> None:
    missed = [s.text for s in SECRETS if s.value in REDACTOR.redact(s.text)]
    assert len(SECRETS) >= 300
    assert len(missed) <= 0.02 * len(SECRETS), missed


def test_nothing_of_a_found_secret_stays() -> None:
    halves = [
        (s.text, h) for s in SECRETS for h in (s.value[: len(s.value) // 2], s.value[len(s.value) // 2 :])
    ]
    left = [(text, half) for text, half in halves if len(half) > 5 and half in REDACTOR.redact(text)]
    assert len(left) <= 0.02 * len(halves), left


def test_false_alarms_on_own_corpus() -> None:
    snippets = innocent()
    wrong = [(s, REDACTOR.redact(s)) for s in snippets if REDACTOR.redact(s) != s]
    assert len(snippets) >= 500
    assert len(wrong) <= 0.01 * len(snippets), wrong


def test_the_table_holds_sixty_vendors() -> None:
    assert len({vendor.name for vendor in VENDORS}) >= 60


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('token = os.environ["X"]', 'token = os.environ["X"]'),
        ("postgres://app:s3cr3tPw9@db/x", "postgres://app:[REDACTED:url_password]@db/x"),
        (f"a {TOKEN} b", "a [REDACTED:github_token] b"),
        ("mail karel.novak@seznam.cz.", "mail [REDACTED:email]."),
        ("heslo: Zx9kk2pQQ", "heslo: [REDACTED:password]"),
        (f"č {TOKEN} ř", "č [REDACTED:github_token] ř"),
        ("\ud800 password='Zx9kk2pQQ'", "\ud800 password='[REDACTED:password]'"),
    ],
)
def test_only_the_secret_is_replaced(text: str, expected: str) -> None:
    assert REDACTOR.redact(text) == expected


def test_same_value_same_placeholder() -> None:
    first, second = (REDACTOR.redact(f"deploy with {TOKEN} to {place}") for place in ("a", "b"))
    assert first.replace(" to a", "") == second.replace(" to b", "")


def test_scan_gives_offsets_in_characters() -> None:
    text = f"příliš 🐎 {TOKEN} žluťoučký karel.novak@seznam.cz"
    found = REDACTOR.scan(text)
    assert [text[f.start : f.end] for f in found] == [TOKEN, "karel.novak@seznam.cz"]
    assert found[0] == Finding("github_token", text.index(TOKEN), text.index(TOKEN) + len(TOKEN))


@pytest.mark.parametrize("secret", SECRETS[::7], ids=lambda s: s.kind)
def test_redaction_is_idempotent_on_secrets(secret: object) -> None:
    text = " ".join(s.text for s in SECRETS if s is secret)
    once = REDACTOR.redact(text)
    assert once != text
    assert REDACTOR.redact(once) == once


PROSE = ["the", "list", "of", "token", "keys", "and", "passwords", "is", "sorted", "by", "its", "secret"]
PARTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from([s.value for s in SECRETS]),
    st.sampled_from([s.text for s in SECRETS]),
    st.sampled_from(["password", "=", ": ", '"', "\\n", "://", "@", "[REDACTED:x]"]),
    st.just("-----BEGIN PRIVATE KEY-----"),
)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(PARTS, max_size=8))
def test_any_text_is_redacted_once_for_all(parts: list[str]) -> None:
    once = REDACTOR.redact("".join(parts))
    assert REDACTOR.redact(once) == once


# Those whose triggers say nothing but what their patterns say.
IMPLIED: tuple[Detector, ...] = (
    AssignmentDetector(),
    OptionDetector(),
    SentenceDetector(),
    *(vendor.detector() for vendor in VENDORS if vendor.then),
    *(detector for detector in PERSONAL if detector.kind == "phone"),
)
TRIGGERS = tuple(
    compiled("|".join(f"(?:{trigger})" for trigger in detector.triggers), ignore_case=True)
    for detector in IMPLIED
)
NAMED = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "--", "-", "/", "ENV ", "\n", "my_", '"']),
        st.sampled_from(
            ["password", "secret_key", "apiKey", "token-old", "auth", "KEY2", "pass", "mot de passe"]
        ),
        st.sampled_from(
            ["=", " = ", ": ", " is ", "- ", "', '", '"] = "', " value=", "</key><string>", " - ", " "]
        ),
        st.sampled_from(
            ["hunter22xY", "aZ3kP9qLm2Xv8Tn4Rw7Y", "'Zx9kk2pQQ'", "(202) 555-0142", "012345 678"]
        ),
    ),
)


@settings(max_examples=300)
@given(st.lists(PARTS | NAMED, max_size=6))
@example([s.text + "\n" for s in SECRETS])
def test_what_a_detector_finds_holds_its_trigger(parts: list[str]) -> None:
    data = "".join(parts).encode("utf-8", "surrogatepass")
    for detector, trigger in zip(IMPLIED, TRIGGERS, strict=True):
        for span in detector.find(data):
            line = data[max(0, span.start - 300) : span.end]
            assert trigger.search(line), (detector, line)


@settings(max_examples=200)
@given(st.lists(PARTS, max_size=8))
def test_findings_are_ordered_and_apart(parts: list[str]) -> None:
    text = "".join(parts)
    found = REDACTOR.scan(text)
    assert all(0 <= f.start < f.end <= len(text) for f in found)
    assert all(a.end <= b.start for a, b in pairwise(found))


@settings(max_examples=200)
@given(
    st.sampled_from(["", " ", "\n", "\t", '"', "'", "`", "(", "=", ">", "\\n", ","]),
    st.text(" \n\t", max_size=5),
)
def test_a_token_is_found_wherever_it_stands(quote: str, space: str) -> None:
    assert TOKEN not in REDACTOR.redact(f"first{space} {quote}{TOKEN}{quote}{space} last")


@settings(max_examples=200)
@given(st.lists(st.sampled_from(PROSE)))
def test_prose_stays(words: list[str]) -> None:
    text = " ".join(words)
    assert REDACTOR.redact(text) == text


@pytest.mark.parametrize(
    "unit",
    ["password=", "eyJ", "://a:", "-----BEGIN PRIVATE KEY-----\nMIIEvQ9BADAN", "A" * 50, "a@", '"token": "',
     "sk-ant-", "+1 202 555 ", "cookie: a=", "9" * 40, "ž", "mysql -p"],
)  # fmt: skip
def test_time_is_linear_on_hostile_input(unit: str) -> None:
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            REDACTOR.scan(text)
            best = min(best, time.process_time() - start)
        return best

    small, large = seconds(10_000), seconds(80_000)
    assert large < 8 * 3 * max(small, 0.002)


@pytest.mark.parametrize("alphabet", ["b62", "b64", "url", "hex", "pw"])
def test_triggers_survive_a_megabyte_of_noise(alphabet: str) -> None:
    noise = Values(31).chars(alphabet, 1_000_000)
    assert TOKEN not in REDACTOR.redact(f"{noise} {TOKEN}")


def test_checksums() -> None:
    body = Values(5).chars("b62", 30)
    assert carries_crc32(f"ghp_{body}{base62_crc32(body)}")
    assert not carries_crc32(f"ghp_{body}{'0' * 6}")
    assert passes_luhn("4242424242424242")
    assert not passes_luhn("4242424242424241")
