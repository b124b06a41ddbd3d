"""Anthropic's language models, through its SDK, which is imported at the first request."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from engramia.core.llm import Question
from engramia.errors import ProviderNotConfiguredError, ProviderOutputError
from engramia.providers.patience import Patience
from engramia.providers.sdk import SDK
from engramia.providers.structured import StructuredLLM, clean

DEFAULT_MODEL = "claude-sonnet-5-5"
ANTHROPIC_URL = "https://api.anthropic.com"
MAX_TOKENS = 16_000
"""What the model may write and think in one answer; the API wants a bound."""

_WHOLE = ("end_turn", "stop_sequence")
_CUT = ("max_tokens", "model_context_window_exceeded")


class AnthropicProvider(StructuredLLM):
    """Anthropic's language models, asked for an output of a JSON Schema.

    Not by a forced tool, the older way: models from Claude Sonnet 5.5 on refuse it.
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = 30.0,
        *,
        effort: str | None = "low",
        patience: Patience | None = None,
    ) -> None:
        """Choose the model and where it answers; a server of one's own may do without a key.

        `timeout`: seconds for a whole call of `ask`, requests, waits and retries together; `patience` says
        it more exactly. `effort`: `low` to `max`; current models think before they answer, and at their own
        effort (`high` for the default model) may not be done within `timeout`. None leaves it to the model.

        Raises `ProviderNotConfiguredError` without a key and a `base_url`.
        """
        if not api_key and not base_url:
            raise ProviderNotConfiguredError("Anthropic's models need an API key (ANTHROPIC_API_KEY).")
        # Without a key the SDK looks for credentials of its own; servers that need none ignore it.
        sdk = SDK("Anthropic", lambda: _made(api_key or "none", base_url or ANTHROPIC_URL))
        super().__init__(model, sdk, patience or Patience(seconds=timeout))
        self._effort = effort

    def _wished(self, question: Question) -> dict[str, Any]:
        return {"temperature": question.temperature, "effort": self._effort}

    def _request(
        self, client: Any, question: Question, wishes: Mapping[str, Any], timeout: Any
    ) -> AbstractContextManager[Any]:
        shape = {"type": "json_schema", "schema": dict(question.schema)}
        effort = {"effort": wishes["effort"]} if "effort" in wishes else {}
        # The SDK has no argument for it any more, while older models still take it.
        extra = {"temperature": wishes["temperature"]} if "temperature" in wishes else None
        answer: AbstractContextManager[Any] = client.messages.with_streaming_response.create(
            model=self.model,
            max_tokens=MAX_TOKENS,
            system=clean(question.instructions),
            messages=[{"role": "user", "content": clean(question.material)}],
            output_config={"format": shape, **effort},
            extra_body=extra,
            timeout=timeout,
        )
        return answer

    def _text(self, body: Any) -> str:
        try:
            end = body["stop_reason"]
            # Models that think put their thoughts before the answer, as blocks of another type.
            text = "".join(block["text"] for block in body["content"] if block["type"] == "text")
        except (KeyError, TypeError) as error:
            raise ProviderOutputError("Anthropic's answer does not hold a message.") from error
        if end == "refusal":
            raise ProviderOutputError("The model declined to answer.")
        if end in _CUT:
            raise ProviderOutputError("The answer was cut off: it reached the limit of tokens.")
        if end not in _WHOLE:
            raise ProviderOutputError("Anthropic's answer ended before it was whole.")
        return text


def _made(api_key: str, base_url: str) -> tuple[Any, Any]:
    import anthropic

    # Retries are ours: the SDK's own know no deadline over all of them.
    return anthropic, anthropic.Anthropic(api_key=api_key, base_url=base_url, max_retries=0)
