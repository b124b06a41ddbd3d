"""Asking vendors for a model without an answer to pay for, through their real SDKs."""

import json
from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from engramia.core.llm import Probed, UnconfiguredLLM, probe
from engramia.errors import (
    ProviderLimitedError,
    ProviderNotConfiguredError,
    ProviderOutputError,
    ProviderRefusedError,
    ProviderTimeoutError,
    ProviderUnreachableError,
)
from engramia.providers.patience import Patience
from engramia.providers.wrappers import Measured, Measurement, Pooled
from engramia.telemetry.watched import watched_llm
from engramia.testing import ScriptedLLM
from tests.providers.llm_server import VENDORS, Flood, Vendor, forget, llm_server
from tests.providers.openai_server import OpenAIServer, Reply, dripping, raw

pytestmark = pytest.mark.slow  # real sockets and deadlines

MODEL = "some-model-4"
PATH = f"/v1/models/{MODEL}"
KNOWN = raw(json.dumps({"id": MODEL, "object": "model", "type": "model", "created": 1}).encode())


@pytest.fixture(scope="module")
def running() -> Iterator[OpenAIServer]:
    with llm_server() as state:
        yield state


@pytest.fixture
def server(running: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> OpenAIServer:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    forget(running)
    running.usual[PATH] = KNOWN
    return running


@pytest.fixture(params=VENDORS, ids=lambda vendor: vendor.name)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    chosen = request.param
    assert isinstance(chosen, Vendor)
    return chosen


def probed(vendor: Vendor, server: OpenAIServer, *, seconds: float = 10.0) -> bool:
    llm = vendor.make(server, model=MODEL, patience=Patience(seconds=seconds, attempts=3, backoff=0.01))
    assert isinstance(llm, Probed)
    try:
        return probe(llm)
    finally:
        llm.close()


def test_the_vendor_is_asked_for_the_model_and_for_nothing_else(server: OpenAIServer, vendor: Vendor) -> None:
    assert probed(vendor, server)

    (request,) = server.requests
    assert (request.path, request.body) == (PATH, {})
    assert "sk-of-a-test" in request.headers.get("x-api-key", request.headers.get("authorization", ""))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, ProviderRefusedError),
        (403, ProviderRefusedError),
        (429, ProviderLimitedError),
        (500, ProviderUnreachableError),
    ],
)
def test_a_refusal_is_an_error_at_the_first_try(
    server: OpenAIServer, vendor: Vendor, status: int, error: type[Exception]
) -> None:
    server.then(vendor.fails(status))

    with pytest.raises(error):
        probed(vendor, server)
    assert len(server.requests) == 1


def test_a_model_that_the_vendor_does_not_know_is_refused(server: OpenAIServer, vendor: Vendor) -> None:
    server.then(vendor.fails(404, f"The model `{MODEL}` does not exist."))

    with pytest.raises(ProviderRefusedError):
        probed(vendor, server)


@pytest.mark.parametrize(
    "reply",
    [
        raw(b'{"detail": "Not Found"}', 404),
        raw(f"Cannot GET {PATH}".encode(), 404, "text/html"),
        raw(b"", 404),
    ],
)
def test_a_server_that_lists_no_models_cannot_be_asked(
    server: OpenAIServer, vendor: Vendor, reply: Reply
) -> None:
    server.then(reply)

    assert probed(vendor, server) is False


@pytest.mark.parametrize("reply", [raw(b"<html>Log in</html>", kind="text/html"), raw(b""), Flood()])
def test_what_is_no_answer_of_a_vendor_is_none(server: OpenAIServer, vendor: Vendor, reply: Reply) -> None:
    server.then(reply)

    with pytest.raises(ProviderOutputError):
        probed(vendor, server)


def test_it_has_a_deadline(server: OpenAIServer, vendor: Vendor) -> None:
    server.then(dripping)

    with pytest.raises(ProviderTimeoutError):
        probed(vendor, server, seconds=0.3)


def test_a_server_that_is_gone_cannot_be_reached(vendor: Vendor) -> None:
    with llm_server() as gone:
        pass

    with pytest.raises(ProviderUnreachableError):
        probed(vendor, gone)


def test_wrappers_hand_it_on(server: OpenAIServer, vendor: Vendor) -> None:
    measured: list[Measurement] = []
    llm = vendor.make(server, model=MODEL)
    pooled = Pooled(Measured(llm, measured.append), 1, 0)

    assert probe(pooled)
    assert probe(watched_llm(pooled, lambda _name, _size: nullcontext()))
    pooled.close()
    assert measured == []


def test_what_cannot_be_probed_is_not_asked() -> None:
    llm = ScriptedLLM([])

    assert probe(llm) is False
    assert probe(watched_llm(llm, lambda _name, _size: nullcontext())) is False
    assert probe(Pooled(llm)) is False
    assert llm.questions == []


def test_a_model_that_could_not_be_made_says_why() -> None:
    with pytest.raises(ProviderNotConfiguredError, match="no key"):
        probe(UnconfiguredLLM("no key"))
