import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate

import numpy as np
import pytest

from engramia.core.embedding import Embeddings
from engramia.errors import (
    ProviderError,
    ProviderLimitedError,
    ProviderNotConfiguredError,
    ProviderOutputError,
    ProviderRefusedError,
    ProviderTimeoutError,
    ProviderUnreachableError,
)
from engramia.providers.openai import MAX_INPUTS, MAX_REQUEST_BYTES, MAX_TEXT_BYTES, OpenAIEmbeddings
from engramia.providers.patience import Patience
from tests.providers.openai_server import (
    OpenAIServer,
    Reply,
    cut_off,
    dripping,
    embeddings,
    failure,
    openai_server,
    raw,
    slow,
    vector_of,
)

pytestmark = pytest.mark.slow  # real sockets and deadlines

KEY = "sk-of-a-test"
QUICK = Patience(seconds=10, attempts=3, backoff=0.01)
ONCE = Patience(seconds=10, attempts=1)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with openai_server() as state:
        yield state


@pytest.fixture
def model(server: OpenAIServer) -> Iterator[OpenAIEmbeddings]:
    made = OpenAIEmbeddings(api_key=KEY, base_url=server.url, patience=QUICK)
    yield made
    made.close()


def unit(text: str, dimension: int = 1536) -> np.ndarray:
    vector = vector_of(text, dimension)
    return vector / np.linalg.norm(vector)


def test_vectors_are_unit_rows_in_the_order_of_the_texts(server: OpenAIServer, model: Embeddings) -> None:
    vectors = model.embed(["one", "two", "three"])

    assert vectors.shape == (3, 1536)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, [unit("one"), unit("two"), unit("three")], atol=1e-6)
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert server.requests[0].body["model"] == "text-embedding-3-small"
    assert "dimensions" not in server.requests[0].body


def test_the_order_is_restored_by_index(server: OpenAIServer, model: OpenAIEmbeddings) -> None:
    server.then(embeddings(edit=lambda rows: rows.reverse()))

    np.testing.assert_allclose(model.embed(["one", "two", "three"])[0], unit("one"), atol=1e-6)


def test_no_texts_ask_nothing(server: OpenAIServer, model: OpenAIEmbeddings) -> None:
    assert model.embed([]).shape == (0, 1536)
    assert server.requests == []


def test_many_texts_go_in_several_requests(server: OpenAIServer) -> None:
    model = OpenAIEmbeddings("tiny", KEY, server.url, 4)
    server.usual["/v1/embeddings"] = embeddings(4)
    texts = [f"text {number}" for number in range(MAX_INPUTS + 3)]

    vectors = model.embed(texts)
    model.close()

    assert [len(request.body["input"]) for request in server.requests] == [MAX_INPUTS, 3]
    np.testing.assert_allclose(vectors[-1], unit(texts[-1], 4), atol=1e-6)


def test_a_request_stays_below_the_token_limit(server: OpenAIServer, model: OpenAIEmbeddings) -> None:
    model.embed(["ж" * 5000] * 50)

    sizes = [sum(len(text.encode()) for text in request.body["input"]) for request in server.requests]
    assert len(sizes) == 2
    assert max(sizes) <= MAX_REQUEST_BYTES
    longest = max(len(text.encode()) for text in server.requests[0].body["input"])
    assert MAX_TEXT_BYTES - 4 < longest <= MAX_TEXT_BYTES


@pytest.mark.parametrize("text", ["", "  \n", "nul \0 inside", "half \ud83d a pair"])
def test_odd_texts_are_made_acceptable(server: OpenAIServer, model: OpenAIEmbeddings, text: str) -> None:
    assert model.embed([text]).shape == (1, 1536)
    sent = server.requests[0].body["input"][0]
    assert sent.strip()
    assert "\0" not in sent


def test_identity_and_dimensions(server: OpenAIServer) -> None:
    plain = OpenAIEmbeddings(api_key=KEY)
    short = OpenAIEmbeddings(api_key=KEY, base_url=server.url, dimensions=256)
    other = OpenAIEmbeddings("nomic", KEY, server.url, 8)
    server.then(embeddings(), embeddings(8))

    assert (plain.model, plain.dimension) == ("openai/text-embedding-3-small", 1536)
    assert (short.model, short.dimension) == ("openai/text-embedding-3-small@256", 256)
    assert (other.model, other.dimension) == ("openai/nomic", 8)
    assert short.embed(["x"]).shape == (1, 256)
    assert other.embed(["x"]).shape == (1, 8)
    short.close()
    other.close()
    assert server.requests[0].body["dimensions"] == 256
    assert "dimensions" not in server.requests[1].body  # other servers refuse the parameter


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ProviderNotConfiguredError, match="key"):
        OpenAIEmbeddings()
    with pytest.raises(ProviderNotConfiguredError, match="nomic"):
        OpenAIEmbeddings("nomic", KEY)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (failure(400, "too long"), ProviderRefusedError),
        (failure(401), ProviderRefusedError),
        (failure(403), ProviderRefusedError),
        (failure(404), ProviderRefusedError),
        (failure(408), ProviderTimeoutError),
        (failure(429), ProviderLimitedError),
        (failure(500), ProviderUnreachableError),
        (failure(503), ProviderUnreachableError),
        (cut_off, ProviderUnreachableError),
        (raw(b'{"object": "list", "data": [{"ind'), ProviderOutputError),
        (raw(b"<html>Bad gateway</html>", kind="text/html"), ProviderOutputError),
        (raw(b"[]"), ProviderOutputError),
        (raw(b"null"), ProviderOutputError),
        (raw(b'{"data": []}'), ProviderOutputError),
        (raw(b'{"data": [{"embedding": "not base64!", "index": 0}]}'), ProviderOutputError),
        (raw(b'{"data": [{"embedding": [1, "a"], "index": 0}]}'), ProviderOutputError),
        (raw(b'{"data": [{"embedding": [1, 2]}]}'), ProviderOutputError),
        (embeddings(edit=lambda rows: rows.append(rows[0])), ProviderOutputError),
        (embeddings(edit=lambda rows: rows[0].update(index=1)), ProviderOutputError),
        (embeddings(7), ProviderOutputError),
        (embeddings(edit=lambda rows: rows[0].update(embedding=[0.0] * 1536)), ProviderOutputError),
        (embeddings(edit=lambda rows: rows[0].update(embedding=[float("nan")] * 1536)), ProviderOutputError),
    ],
)
def test_failures_are_translated(server: OpenAIServer, reply: Reply, expected: type[ProviderError]) -> None:
    model = OpenAIEmbeddings(api_key=KEY, base_url=server.url, patience=ONCE)
    server.then(reply)

    with pytest.raises(expected) as raised:
        model.embed(["one"])
    model.close()

    assert type(raised.value) is expected
    assert len(server.requests) == 1


def test_the_vendors_error_is_the_cause(server: OpenAIServer, model: OpenAIEmbeddings) -> None:
    server.then(failure(400, "This model's maximum context length", "context_length"))

    with pytest.raises(ProviderRefusedError, match=r"400 context_length: .*maximum context length") as raised:
        model.embed(["one"])

    assert type(raised.value.__cause__).__module__.startswith("openai")


def test_a_refused_key_is_not_quoted(server: OpenAIServer, model: OpenAIEmbeddings) -> None:
    server.then(failure(401, f"Incorrect API key provided: {KEY}"))

    with pytest.raises(ProviderRefusedError) as raised:
        model.embed(["one"])

    assert KEY not in str(raised.value)
    assert len(server.requests) == 1


def test_nobody_listens(server: OpenAIServer) -> None:
    port = server.url.split(":")[2].split("/")[0]
    model = OpenAIEmbeddings(api_key=KEY, base_url=f"http://127.0.0.2:{port}/v1", patience=ONCE)

    with pytest.raises(ProviderUnreachableError):
        model.embed(["one"])
    model.close()


@pytest.mark.parametrize("reply", [failure(500), cut_off, failure(429, retry_after="0")])
def test_it_tries_again(server: OpenAIServer, model: OpenAIEmbeddings, reply: Reply) -> None:
    server.then(reply, reply)

    np.testing.assert_allclose(model.embed(["one"])[0], unit("one"), atol=1e-6)
    assert len(server.requests) == 3


def test_it_gives_up_after_its_attempts(server: OpenAIServer, model: OpenAIEmbeddings) -> None:
    server.then(*[failure(500)] * 5)

    with pytest.raises(ProviderUnreachableError):
        model.embed(["one"])
    assert len(server.requests) == 3


@pytest.mark.parametrize("wish", ["0.3", "date"])
def test_retry_after_is_honoured(server: OpenAIServer, model: OpenAIEmbeddings, wish: str) -> None:
    begin = time.monotonic()
    # A date counts whole seconds; two ahead is more than one second from now.
    server.then(
        failure(429, retry_after=formatdate(time.time() + 2, usegmt=True) if wish == "date" else wish)
    )

    model.embed(["one"])

    assert time.monotonic() - begin >= (0.9 if wish == "date" else 0.3)


def test_a_wish_beyond_the_deadline_is_told_at_once(server: OpenAIServer, model: OpenAIEmbeddings) -> None:
    begin = time.monotonic()
    server.then(failure(429, retry_after="3600"))

    with pytest.raises(ProviderLimitedError) as raised:
        model.embed(["one"])

    assert raised.value.retry_after == 3600
    assert time.monotonic() - begin < 5
    assert len(server.requests) == 1


@pytest.mark.parametrize("reply", [slow(4, embeddings()), dripping])
def test_the_deadline_holds(server: OpenAIServer, reply: Reply) -> None:
    model = OpenAIEmbeddings(api_key=KEY, base_url=server.url, timeout=0.5)
    server.then(reply)
    model_import_is_not_counted()
    begin = time.monotonic()

    with pytest.raises(ProviderTimeoutError):
        model.embed(["one"])

    assert time.monotonic() - begin < 3
    model.close()


def test_the_deadline_spans_all_requests_of_a_call(server: OpenAIServer) -> None:
    model = OpenAIEmbeddings("tiny", KEY, server.url, 4, timeout=1.0)
    server.usual["/v1/embeddings"] = slow(0.4, embeddings(4))
    model_import_is_not_counted()

    with pytest.raises(ProviderTimeoutError):
        model.embed(["x"] * (4 * MAX_INPUTS))
    model.close()


def test_several_threads_share_one_model(model: OpenAIEmbeddings) -> None:
    found: dict[str, np.ndarray] = {}
    names = [f"text {number}" for number in range(8)]
    threads = [
        threading.Thread(target=lambda name=name: found.update({name: model.embed([name])[0]}))
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for name in names:
        np.testing.assert_allclose(found[name], unit(name), atol=1e-6)


def test_without_the_sdk_it_says_what_to_install() -> None:
    program = (
        "import sys; from engramia.providers.openai import OpenAIEmbeddings\n"
        "assert 'openai' not in sys.modules\n"
        "sys.modules['openai'] = None\n"
        "OpenAIEmbeddings(api_key='k').embed(['x'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert "ProviderNotConfiguredError" in done.stderr
    assert 'pip install "engramia[openai]"' in done.stderr


def model_import_is_not_counted() -> None:
    """Import the SDK now: it takes a good part of a second the first time."""
    import openai

    assert openai.__version__
