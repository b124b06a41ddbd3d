import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module

import httpx2
import pytest

from engramia.core.llm import LLM, Question
from engramia.errors import (
    ProviderError,
    ProviderLimitedError,
    ProviderNotConfiguredError,
    ProviderOutputError,
    ProviderRefusedError,
    ProviderTimeoutError,
    ProviderUnreachableError,
)
from engramia.providers import AnthropicProvider, OpenAIProvider
from engramia.providers.patience import Patience
from engramia.providers.sdk import translated
from engramia.providers.structured import MAX_BODY_BYTES, MAX_DEPTH, StructuredLLM, decoded
from tests.providers.llm_server import (
    USUAL,
    VENDORS,
    Flood,
    Vendor,
    chat,
    forget,
    llm_server,
    message,
    stalled,
)
from tests.providers.openai_server import OpenAIServer, Reply, cut_off, dripping, raw, slow

pytestmark = pytest.mark.slow  # real sockets and deadlines

SCHEMA = {
    "type": "object",
    "properties": {"score": {"type": "number"}, "why": {"type": "string"}},
    "required": ["score", "why"],
    "additionalProperties": False,
}
QUESTION = Question("verdict", "Judge the code.", "def f(): return 1", SCHEMA)
QUICK = Patience(seconds=10, attempts=3, backoff=0.01)
ONCE = Patience(seconds=10, attempts=1)

type Make = Callable[..., StructuredLLM]


@pytest.fixture(scope="module")
def running() -> Iterator[OpenAIServer]:
    with llm_server() as state:
        yield state


@pytest.fixture
def server(running: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> OpenAIServer:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    forget(running)
    return running


@pytest.fixture(params=VENDORS, ids=lambda vendor: vendor.name)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    chosen = request.param
    assert isinstance(chosen, Vendor)
    return chosen


@pytest.fixture
def make(server: OpenAIServer, vendor: Vendor) -> Iterator[Make]:
    made: list[StructuredLLM] = []

    def one(**options: object) -> StructuredLLM:
        made.append(vendor.make(server, **{"patience": QUICK, **options}))
        return made[-1]

    yield one
    for llm in made:
        llm.close()


def test_the_answer_is_decoded(make: Make, vendor: Vendor) -> None:
    llm: LLM = make(model="some-model")

    assert llm.ask(QUESTION) == json.loads(USUAL)
    assert (llm.vendor, llm.model) == (vendor.name, "some-model")


def test_openai_is_asked_for_the_schema(server: OpenAIServer) -> None:
    llm = VENDORS[0].make(server)
    llm.ask(QUESTION)
    llm.close()

    (request,) = server.requests
    assert request.headers["authorization"] == "Bearer sk-of-a-test"
    assert request.body == {
        "model": "gpt-4.1",
        "messages": [
            {"role": "system", "content": QUESTION.instructions},
            {"role": "user", "content": QUESTION.material},
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "verdict", "schema": SCHEMA, "strict": True},
        },
    }


def test_anthropic_is_asked_for_the_schema(server: OpenAIServer) -> None:
    llm = VENDORS[1].make(server)
    llm.ask(QUESTION)
    llm.close()

    (request,) = server.requests
    assert "sk-of-a-test" in request.headers.get("x-api-key", request.headers.get("authorization", ""))
    assert request.body == {
        "model": "claude-sonnet-5-5",
        "max_tokens": 16_000,
        "system": QUESTION.instructions,
        "messages": [{"role": "user", "content": QUESTION.material}],
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "low"},
    }


def test_text_that_is_no_unicode_is_sent_as_what_is(server: OpenAIServer, make: Make) -> None:
    make().ask(Question("verdict", "a\ud800b", "c\0d", SCHEMA))

    sent = json.dumps(server.requests[0].body, ensure_ascii=False)
    assert "a?b" in sent
    assert "c d" in sent


def test_a_temperature_is_sent(server: OpenAIServer, make: Make) -> None:
    make().ask(Question("verdict", "i", "m", SCHEMA, temperature=0.3))

    assert server.requests[0].body["temperature"] == 0.3


def test_what_a_model_does_not_take_is_left_out_from_then_on(
    server: OpenAIServer, make: Make, vendor: Vendor
) -> None:
    llm = make(effort="medium")
    server.then(
        vendor.fails(400, "`temperature` is deprecated for this model."),
        vendor.fails(400, "This model does not support the effort parameter (reasoning_effort)."),
    )
    warm = Question("verdict", "i", "m", SCHEMA, temperature=0.3)

    assert llm.ask(warm) == llm.ask(warm) == json.loads(USUAL)

    sent = [("temperature" in str(one.body), "effort" in str(one.body)) for one in server.requests]
    assert sent == [(True, True), (False, True), (False, False), (False, False)]


GARBAGE = {
    "prose": "The score is 7.",
    "fenced": f"```json\n{USUAL}\n```",
    "two objects": USUAL + USUAL,
    "NaN": '{"score": NaN}',
    "Infinity": '{"score": -Infinity}',
    "1e400": '{"score": 1e400}',
    "deep": "[" * 100_000 + "]" * 100_000,
    "deeper than agreed": "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
    "surrogate": '"\\ud800"',
    "html": "<html><body>Sorry</body></html>",
    "empty": "",
    "blank": "  \n",
    "cut off": USUAL[:20],
    "byte order mark": "\ufeff{}",
    "NUL": "\0",
}


@pytest.mark.parametrize("text", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_told_and_not_asked_again(
    server: OpenAIServer, make: Make, vendor: Vendor, text: str
) -> None:
    server.then(vendor.says(text))

    with pytest.raises(ProviderOutputError) as raised:
        make().ask(QUESTION)

    assert len(server.requests) == 1
    assert len(str(raised.value)) < 200


BODIES = [
    raw(b"<html>Bad gateway</html>", kind="text/html"),
    raw(b""),
    raw(b"null"),
    raw(b"[]"),
    raw(b'"text"'),
    raw(b"{}"),
    raw(b'{"choices": [], "content": [], "stop_reason": "tool_use"}'),
    raw(b'{"choices": 7, "content": 7, "stop_reason": "end_turn"}'),
    raw(b'{"choices": [{"message": []}], "content": [7], "stop_reason": "end_turn"}'),
    raw(b'{"choices": [{"message": {"content": 7}}], "content": [{}], "stop_reason": "end_turn"}'),
    raw(b'{"choices": [{"message": {}}], "content": [{"type": "text"}], "stop_reason": "end_turn"}'),
    raw(b'{"choices": [{}], "content": [{"type": "text", "text": 7}], "stop_reason": "end_turn"}'),
    raw(b"\xff\xfe{}"),
    raw(b"[" * 200_000),
    raw(b'{"a":' * 100_000),
    raw(b" " * 10_000_000),
]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_bodies_of_another_shape_are_told(server: OpenAIServer, make: Make, body: Reply) -> None:
    server.then(body)

    with pytest.raises(ProviderOutputError):
        make().ask(QUESTION)

    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("vendor", "reply", "words"),
    [
        (VENDORS[0], chat(None, refusal="I cannot help with that."), "declined"),
        (VENDORS[0], chat("", end="content_filter"), "declined"),
        (VENDORS[0], chat(USUAL, end="length"), "cut off"),
        (VENDORS[0], chat(None), "text"),
        (VENDORS[1], message("", end="refusal"), "declined"),
        (VENDORS[1], message(USUAL, end="max_tokens"), "cut off"),
        (VENDORS[1], message(USUAL, end="model_context_window_exceeded"), "cut off"),
        (VENDORS[1], message(USUAL, end="pause_turn"), "whole"),
    ],
    indirect=["vendor"],
)
def test_refusals_and_cut_off_answers_are_told(
    server: OpenAIServer, make: Make, reply: Reply, words: str
) -> None:
    server.then(reply)

    with pytest.raises(ProviderOutputError, match=words):
        make().ask(QUESTION)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, ProviderRefusedError),
        (401, ProviderRefusedError),
        (402, ProviderRefusedError),
        (403, ProviderRefusedError),
        (404, ProviderRefusedError),
        (413, ProviderRefusedError),
        (422, ProviderRefusedError),
        (408, ProviderTimeoutError),
        (409, ProviderUnreachableError),
        (429, ProviderLimitedError),
        (500, ProviderUnreachableError),
        (502, ProviderUnreachableError),
        (503, ProviderUnreachableError),
        (529, ProviderUnreachableError),
    ],
)
def test_statuses_are_translated(
    server: OpenAIServer, make: Make, vendor: Vendor, status: int, expected: type[ProviderError]
) -> None:
    server.then(vendor.fails(status))

    with pytest.raises(expected, match=str(status)) as raised:
        make(patience=ONCE).ask(QUESTION)

    assert type(raised.value) is expected
    assert type(raised.value.__cause__).__module__.startswith(vendor.name)


@pytest.mark.parametrize(
    "body", [b"<html>", b"", b"null", b'{"error": "text"}', b'{"error": {"message": 7, "type": {}}}']
)
@pytest.mark.parametrize("status", [400, 500])
def test_errors_of_another_shape_are_translated_by_their_status(
    server: OpenAIServer, make: Make, status: int, body: bytes
) -> None:
    server.then(raw(body, status))

    with pytest.raises(ProviderRefusedError if status == 400 else ProviderUnreachableError):
        make(patience=ONCE).ask(QUESTION)


def test_the_vendors_words_are_told(server: OpenAIServer, make: Make, vendor: Vendor) -> None:
    server.then(vendor.fails(404, "The model `gpt-0` does not exist"))

    with pytest.raises(ProviderRefusedError, match=r"404.*The model `gpt-0` does not exist"):
        make().ask(QUESTION)


def test_a_refused_key_is_not_quoted(server: OpenAIServer, make: Make, vendor: Vendor) -> None:
    server.then(vendor.fails(401, "Incorrect API key provided: sk-of-a-test"))

    with pytest.raises(ProviderRefusedError) as raised:
        make().ask(QUESTION)

    assert "sk-of" not in str(raised.value)


def test_nobody_listens(server: OpenAIServer, make: Make) -> None:
    port = server.url.split(":")[2].split("/")[0]

    with pytest.raises(ProviderUnreachableError):
        make(patience=ONCE, base_url=f"http://127.0.0.2:{port}").ask(QUESTION)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_is_final(server: OpenAIServer, make: Make, vendor: Vendor, status: int) -> None:
    server.then(vendor.fails(status))

    with pytest.raises(ProviderRefusedError):
        make().ask(QUESTION)

    assert len(server.requests) == 1


@pytest.mark.parametrize("kind", ["limited", "failed", "overloaded", "cut off"])
def test_it_tries_again(server: OpenAIServer, make: Make, vendor: Vendor, kind: str) -> None:
    reply = {
        "limited": vendor.fails(429, retry_after="0"),
        "failed": vendor.fails(500),
        "overloaded": vendor.fails(529, retry_after="0"),
        "cut off": cut_off,
    }[kind]
    server.then(reply, reply)

    assert make().ask(QUESTION) == json.loads(USUAL)
    assert len(server.requests) == 3
    # The SDK counts its own retries; ours begin anew.
    assert {one.headers.get("x-stainless-retry-count") for one in server.requests} == {"0"}


def test_it_gives_up_after_its_attempts(server: OpenAIServer, make: Make, vendor: Vendor) -> None:
    server.then(*[vendor.fails(500)] * 5)

    with pytest.raises(ProviderUnreachableError):
        make().ask(QUESTION)

    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(server: OpenAIServer, make: Make, vendor: Vendor, status: int) -> None:
    llm = make()
    llm.ask(QUESTION)
    server.then(vendor.fails(status, retry_after="0.4"))
    begin = time.monotonic()

    llm.ask(QUESTION)

    assert time.monotonic() - begin >= 0.4


def test_a_wish_beyond_the_deadline_is_told_at_once(server: OpenAIServer, make: Make, vendor: Vendor) -> None:
    server.then(vendor.fails(429, retry_after="3600"))

    with pytest.raises(ProviderLimitedError) as raised:
        make().ask(QUESTION)

    assert raised.value.retry_after == 3600
    assert len(server.requests) == 1


def test_retries_end_with_the_deadline(server: OpenAIServer, make: Make, vendor: Vendor) -> None:
    llm = make(patience=Patience(seconds=1.5, attempts=100))
    llm.ask(QUESTION)
    server.usual[vendor.path] = vendor.fails(429, retry_after="0.4")
    begin = time.monotonic()

    with pytest.raises((ProviderLimitedError, ProviderTimeoutError)):
        llm.ask(QUESTION)

    assert time.monotonic() - begin < 10  # a hundred attempts would take forty
    assert 3 <= len(server.requests) <= 5


@pytest.mark.parametrize("kind", ["slow", "stalled", "dripping"])
def test_the_deadline_holds(server: OpenAIServer, make: Make, vendor: Vendor, kind: str) -> None:
    llm = make(patience=None, timeout=0.4)
    llm.ask(QUESTION)
    server.then({"slow": slow(4, vendor.says(USUAL)), "stalled": stalled(4), "dripping": dripping}[kind])
    before = set(threading.enumerate())
    begin = time.monotonic()

    with pytest.raises(ProviderTimeoutError):
        llm.ask(QUESTION)

    assert time.monotonic() - begin < 2
    # The thread that is left behind is gone within another deadline, though the server still sends.
    wait_until(lambda: not left_behind(before), seconds=1.5)


@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_a_body_that_stalls_is_too_late_and_one_that_breaks_off_unreachable(name: str) -> None:
    sdk = import_module(name)
    vendor = {"openai": "OpenAI", "anthropic": "Anthropic"}[name]

    # These come from the HTTP client while the body is read, where the SDK turns nothing into its own.
    with pytest.raises(ProviderTimeoutError), translated(sdk, vendor):
        raise httpx2.ReadTimeout("stalled")
    with pytest.raises(ProviderUnreachableError), translated(sdk, vendor):
        raise httpx2.RemoteProtocolError("broke off")


def test_an_endless_body_is_not_read_to_its_end(server: OpenAIServer, make: Make) -> None:
    flood = Flood()
    server.then(flood)

    with pytest.raises(ProviderOutputError, match="longer than"):
        make().ask(QUESTION)

    assert flood.sent < flood.size / 2


def test_several_threads_share_one_model(make: Make) -> None:
    llm = make()
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(llm.ask(QUESTION))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [json.loads(USUAL)] * 8


@pytest.mark.parametrize("provider", [OpenAIProvider, AnthropicProvider])
@pytest.mark.parametrize("key", [None, ""])
def test_without_a_key_it_says_so(provider: type[StructuredLLM], key: str | None) -> None:
    with pytest.raises(ProviderNotConfiguredError, match="_API_KEY"):
        provider(api_key=key)  # type: ignore[call-arg]  # the vendors' constructors, not their base's


def test_a_server_of_ones_own_needs_no_key(server: OpenAIServer, make: Make) -> None:
    make(api_key=None).ask(QUESTION)

    assert len(server.requests) == 1


@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_without_the_sdk_it_says_what_to_install(name: str) -> None:
    provider = {"openai": "OpenAIProvider", "anthropic": "AnthropicProvider"}[name]
    program = (
        f"import sys; from engramia.providers import {provider}\n"
        "from engramia.core.llm import Question\n"
        f"assert '{name}' not in sys.modules\n"
        f"sys.modules['{name}'] = None\n"
        f"{provider}(api_key='k').ask(Question('q', 'i', 'm', {{}}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert "ProviderNotConfiguredError" in done.stderr
    assert f'pip install "engramia[{name}]"' in done.stderr


def test_decoding_takes_what_is_within_the_bounds() -> None:
    deep = "[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH

    assert json.dumps(decoded(deep), separators=(",", ":")) == deep
    assert decoded('"' + "x" * (MAX_BODY_BYTES - 2) + '"') == "x" * (MAX_BODY_BYTES - 2)
    assert decoded(b'{"a": [1, 2.5, null, true, "\\u0000"]}') == {"a": [1, 2.5, None, True, "\0"]}
    with pytest.raises(ProviderOutputError):
        decoded('{"a":' * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1))
    with pytest.raises(ProviderOutputError):
        decoded('"' + "x" * MAX_BODY_BYTES + '"')


def left_behind(before: set[threading.Thread]) -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "engramia-ask" and one not in before]


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
