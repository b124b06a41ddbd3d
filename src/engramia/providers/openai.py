"""OpenAI and servers that speak its API, through its SDK; the SDK is imported at the first request."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engramia.core.embedding import unit_rows
from engramia.core.llm import Question
from engramia.errors import ProviderNotConfiguredError, ProviderOutputError
from engramia.providers.patience import Patience
from engramia.providers.sdk import CONNECT_SECONDS, SDK, translated
from engramia.providers.structured import StructuredLLM, clean

DEFAULT_MODEL = "gpt-4.1"
OPENAI_URL = "https://api.openai.com/v1"
MAX_INPUTS = 2048
"""Texts in one request (https://platform.openai.com/docs/api-reference/embeddings/create)."""
MAX_REQUEST_BYTES = 300_000
"""The API takes 300,000 tokens in one request, and no token is shorter than a byte."""
MAX_TEXT_BYTES = 8191
"""The models take a little over 8191 tokens in one text, and no token is shorter than a byte."""

_DIMENSIONS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}


class OpenAIEmbeddings:
    """OpenAI's embedding models, or those of a compatible server; safe to call from several threads.

    Texts are cut at 8191 bytes of UTF-8, which no tokenizer makes more than the models' 8191 tokens of.
    """

    def __init__(
        self,
        model: str = "text-embedding-3-small",
        api_key: str | None = None,
        base_url: str | None = None,
        dimensions: int | None = None,
        *,
        timeout: float = 30.0,
        patience: Patience | None = None,
    ) -> None:
        """Choose the model and where it answers.

        `dimensions` shortens the vectors of text-embedding-3 models and must be named for a model that is
        not OpenAI's. `timeout`: seconds for a whole call of `embed`, requests, waits and retries
        together; `patience` says it more exactly.

        Raises `ProviderNotConfiguredError` without a key or dimensions.
        """
        if not api_key:
            raise ProviderNotConfiguredError("OpenAI's embeddings need an API key.")
        self.dimension = dimensions or _native_dimension(model)
        self.model = _identity(model, self.dimension)
        self._name = model
        self._shortened = dimensions if model.startswith("text-embedding-3") else None
        self._patience = patience or Patience(seconds=timeout)
        self._sdk = SDK("OpenAI", lambda: _made(api_key, base_url or OPENAI_URL))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return shape (len(texts), dimension), rows of length 1.

        Raises `ProviderRefusedError`, `ProviderLimitedError`, `ProviderUnreachableError`,
        `ProviderTimeoutError`, `ProviderOutputError`, and `ProviderNotConfiguredError` without the SDK.
        """
        deadline = self._patience.start()
        parts = [
            deadline.ask(lambda left, batch=batch: self._request(batch, left))  # type: ignore[misc]  # mypy cannot infer the default's type
            for batch in _batches([_clean(text) for text in texts])
        ]
        return np.concatenate(parts) if parts else np.empty((0, self.dimension), dtype=np.float32)

    def close(self) -> None:
        """Close the connections that are kept open between calls."""
        self._sdk.close()

    def _request(self, batch: list[str], seconds: float) -> NDArray[np.float32]:
        sdk, client = self._sdk.get()
        with translated(sdk, self._sdk.vendor):
            answer = client.embeddings.create(
                model=self._name,
                input=batch,
                dimensions=self._shortened or sdk.omit,
                timeout=sdk.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS)),
            )
        return _vectors(answer, len(batch), self.dimension)


class OpenAIProvider(StructuredLLM):
    """OpenAI's language models, or those of a server that speaks its chat completions API.

    The shape is asked for by a strict JSON Schema, which Azure, Ollama, vLLM and OpenRouter know, too.
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = 30.0,
        *,
        effort: str | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Choose the model and where it answers; a server of one's own may do without a key.

        `timeout`: seconds for a whole call of `ask`, requests, waits and retries together; `patience` says
        it more exactly. `effort`: how much a reasoning model thinks, such as `low`; None leaves it to it.

        Raises `ProviderNotConfiguredError` without a key and a `base_url`.
        """
        if not api_key and not base_url:
            raise ProviderNotConfiguredError("OpenAI's models need an API key (OPENAI_API_KEY).")
        # The SDK insists on a key; servers that need none ignore it.
        sdk = SDK("OpenAI", lambda: _made(api_key or "none", base_url or OPENAI_URL))
        super().__init__(model, sdk, patience or Patience(seconds=timeout))
        self._effort = effort

    def _wished(self, question: Question) -> dict[str, Any]:
        return {"temperature": question.temperature, "reasoning_effort": self._effort}

    def _request(
        self, client: Any, question: Question, wishes: Mapping[str, Any], timeout: Any
    ) -> AbstractContextManager[Any]:
        shape = {"name": question.name, "schema": dict(question.schema), "strict": True}
        answer: AbstractContextManager[Any] = client.chat.completions.with_streaming_response.create(
            model=self.model,
            messages=[
                {"role": "system", "content": clean(question.instructions)},
                {"role": "user", "content": clean(question.material)},
            ],
            response_format={"type": "json_schema", "json_schema": shape},
            timeout=timeout,
            **wishes,
        )
        return answer

    def _text(self, body: Any) -> str:
        try:
            choice = body["choices"][0]
            message, end = choice["message"], choice.get("finish_reason")
            text, refusal = message.get("content"), message.get("refusal")
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise ProviderOutputError("OpenAI's answer does not hold a message.") from error
        if refusal or end == "content_filter":
            raise ProviderOutputError("The model declined to answer.")
        if end == "length":
            raise ProviderOutputError("The answer was cut off: it reached the model's limit of tokens.")
        if not isinstance(text, str):
            raise ProviderOutputError("OpenAI's answer does not hold text.")
        return text


def _made(api_key: str, base_url: str) -> tuple[Any, Any]:
    import openai

    # Retries are ours: the SDK's own know no deadline over all of them.
    return openai, openai.OpenAI(api_key=api_key, base_url=base_url, max_retries=0)


def _vectors(answer: Any, count: int, dimension: int) -> NDArray[np.float32]:
    """Return the answer's vectors in the order of the inputs."""
    try:
        places = [item.index for item in answer.data]
        whole = sorted(places) == list(range(count))
        vectors = np.array([item.embedding for item in answer.data], dtype=np.float64)
    except (AttributeError, TypeError, ValueError) as error:
        raise ProviderOutputError("OpenAI's answer does not hold vectors.") from error
    if not whole:
        raise ProviderOutputError(
            f"OpenAI answered {len(places)} vectors for {count} texts, or misnumbered them."
        )
    if vectors.shape != (count, dimension):
        raise ProviderOutputError(
            f"OpenAI answered vectors of shape {vectors.shape}, not of {dimension} numbers."
        )
    if not np.isfinite(vectors).all() or not vectors.any(axis=1).all():
        raise ProviderOutputError("OpenAI answered a vector of zeros or of no finite numbers.")
    return unit_rows(vectors[np.argsort(places)])


def _native_dimension(model: str) -> int:
    if model not in _DIMENSIONS:
        raise ProviderNotConfiguredError(f"The dimensions of the model {model} are not known: name them.")
    return _DIMENSIONS[model]


def _identity(model: str, dimension: int) -> str:
    shortened = model in _DIMENSIONS and dimension != _DIMENSIONS[model]
    return f"openai/{model}@{dimension}" if shortened else f"openai/{model}"


def _clean(text: str) -> str:
    """Return what the API takes: valid UTF-8, not empty, not too long."""
    # NUL is valid JSON, but some compatible servers hand texts to code that ends strings there.
    encoded = text.replace("\0", " ").encode("utf-8", "replace")[:MAX_TEXT_BYTES]
    cleaned = encoded.decode("utf-8", "ignore")
    return cleaned if cleaned.strip() else "."


def _batches(texts: list[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        length = len(text.encode())
        if batch and (len(batch) == MAX_INPUTS or size + length > MAX_REQUEST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += length
    if batch:
        yield batch
