"""Asking a vendor for JSON of a given shape, and reading what comes back as if it were hostile."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import orjson

from engramia.core.llm import Question
from engramia.errors import ProviderOutputError, ProviderRefusedError, ProviderTimeoutError
from engramia.providers.patience import Patience
from engramia.providers.sdk import CONNECT_SECONDS, SDK, translated

MAX_BODY_BYTES = 4 * 1024 * 1024
"""No answer is longer: 128,000 tokens of output are about half a megabyte."""
MAX_DEPTH = 64
"""Objects and lists within one another."""
PROBE_SECONDS = 4.0
"""Within which a vendor tells whether it knows a model; under what waits for a probe waits itself."""


class StructuredLLM(ABC):
    """A vendor's language model, asked through its SDK; safe to call from several threads.

    Requests, waits and retries of one question share one deadline, whatever the server does.
    """

    vendor: str
    model: str

    def __init__(self, model: str, sdk: SDK, patience: Patience) -> None:
        self.model = model
        self.vendor = sdk.vendor.lower()
        self._sdk = sdk
        self._patience = patience
        self._wishes = Wishes()

    def ask(self, question: Question) -> object:
        """Return the decoded JSON of the answer, not checked against the schema.

        Raises `ProviderRefusedError`, `ProviderLimitedError`, `ProviderUnreachableError`,
        `ProviderTimeoutError`, `ProviderOutputError`, and `ProviderNotConfiguredError` without the SDK.
        """
        # Importing an SDK takes up to a second, which is not the vendor's to answer for.
        self._sdk.get()
        return self._patience.start().ask(lambda seconds: self._attempt(question, time.monotonic() + seconds))

    def probe(self) -> bool:
        """Ask the vendor for the model, which costs no tokens; False if its server knows no such question.

        Raises what `ask` does; a model that the vendor does not know is a `ProviderRefusedError`.
        """
        self._sdk.get()
        deadline = Patience(seconds=min(PROBE_SECONDS, self._patience.seconds), attempts=1).start()
        return deadline.ask(lambda seconds: self._known(time.monotonic() + seconds))

    def close(self) -> None:
        """Close the connections that are kept open between calls."""
        self._sdk.close()

    def _known(self, moment: float) -> bool:
        sdk, client = self._sdk.get()
        left = max(0.001, moment - time.monotonic())
        timeout = sdk.Timeout(left, connect=min(left, CONNECT_SECONDS))
        with translated(sdk, self._sdk.vendor):
            try:
                with client.models.with_streaming_response.retrieve(self.model, timeout=timeout) as response:
                    decoded(_capped(response.iter_bytes(), moment))
            except sdk.NotFoundError as error:
                # A compatible server may not list its models at all: then the words are not about this one.
                if isinstance(error.body, dict) and self.model in str(error.body):
                    raise
                return False
        return True

    def _attempt(self, question: Question, moment: float) -> object:
        while True:
            wishes = self._wishes.still_possible(self._wished(question))
            try:
                body = self._send(question, wishes, moment)
            except ProviderRefusedError as error:
                if not self._wishes.drop(wishes, error):
                    raise
            else:
                return decoded(self._text(decoded(body)))

    def _send(self, question: Question, wishes: Mapping[str, Any], moment: float) -> bytes:
        sdk, client = self._sdk.get()
        left = max(0.001, moment - time.monotonic())
        timeout = sdk.Timeout(left, connect=min(left, CONNECT_SECONDS))
        with (
            translated(sdk, self._sdk.vendor),
            self._request(client, question, wishes, timeout) as response,
        ):
            return _capped(response.iter_bytes(), moment)

    @abstractmethod
    def _wished(self, question: Question) -> dict[str, Any]:
        """Return what a model may refuse to take, by the name in the vendor's error; None is not sent."""

    @abstractmethod
    def _request(
        self, client: Any, question: Question, wishes: Mapping[str, Any], timeout: Any
    ) -> AbstractContextManager[Any]:
        """Return the streamed response, which is closed at the end of the block."""

    @abstractmethod
    def _text(self, body: Any) -> str:
        """Return the model's own words in a decoded body; raises `ProviderOutputError`."""


class Wishes:
    """Parameters that some models take and others refuse, as temperature; a refused one is not sent again.

    Which model takes what changes with every release of the vendors', and compatible servers have their own
    lists: the refusal is the only reliable source.
    """

    def __init__(self) -> None:
        self._refused: frozenset[str] = frozenset()

    def still_possible(self, wished: Mapping[str, Any]) -> dict[str, Any]:
        """Return the wishes that have a value and were not refused before."""
        return {
            name: value for name, value in wished.items() if value is not None and name not in self._refused
        }

    def drop(self, sent: Iterable[str], error: ProviderRefusedError) -> bool:
        """Tell whether the vendor's words name something that was sent, and leave it out from now on."""
        named = {name for name in sent if name in str(error)}
        self._refused |= named
        return bool(named)


def clean(text: str) -> str:
    """Return what every vendor takes: valid UTF-8 without NUL."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode()


def decoded(text: str | bytes) -> object:
    """Return the one JSON value that the text is.

    Raises `ProviderOutputError` for anything else: prose, several values, NaN and Infinity (also 1e400), lone
    surrogates, more than `MAX_DEPTH` levels or `MAX_BODY_BYTES`. It says where, never what.
    """
    if len(text) > MAX_BODY_BYTES:
        raise ProviderOutputError(f"The answer is longer than {MAX_BODY_BYTES} bytes.")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ProviderOutputError(f"The answer is no JSON: {error}.") from error
    if _deeper(value, MAX_DEPTH):
        raise ProviderOutputError(f"The answer is nested deeper than {MAX_DEPTH} levels.")
    return value


def _capped(chunks: Iterator[bytes], moment: float) -> bytes:
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise ProviderOutputError(f"The answer is longer than {MAX_BODY_BYTES} bytes.")
        # The client's timeout counts from chunk to chunk; this ends the thread that the caller left behind.
        if time.monotonic() > moment:
            raise ProviderTimeoutError("The answer took too long.")
    return bytes(body)


def _deeper(value: object, levels: int) -> bool:
    """Tell whether objects and lists are nested more than `levels` deep, without recursion."""
    level = _containers([value])
    for _ in range(levels):
        if not level:
            return False
        level = _containers(
            inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)
        )
    return bool(level)


def _containers(values: Iterable[object]) -> list[dict[str, object] | list[object]]:
    return [value for value in values if isinstance(value, dict | list)]
