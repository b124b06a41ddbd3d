"""Which language model the settings choose, and how its calls are bounded."""

from dataclasses import dataclass

from engramia.bootstrap.secret import secret_of
from engramia.bootstrap.watch import Unwatched, Watch
from engramia.core.llm import LLM, Panel, UnconfiguredLLM
from engramia.errors import ProviderNotConfiguredError
from engramia.providers.wrappers import Pooled
from engramia.settings import LLMProvider, Settings


@dataclass(frozen=True, slots=True)
class LLMChoice:
    """Whose language model the settings ask for, and the sentence that says why."""

    kind: LLMProvider
    why: str


def choose_llm(settings: Settings) -> LLMChoice:
    """Decide between OpenAI's language models, Anthropic's and none."""
    if settings.llm_provider is not None:
        return LLMChoice(settings.llm_provider, f"ENGRAMIA_LLM_PROVIDER={settings.llm_provider.value}")
    if settings.openai_api_key:
        return LLMChoice(LLMProvider.OPENAI, "OPENAI_API_KEY is set")
    if settings.anthropic_api_key:
        return LLMChoice(LLMProvider.ANTHROPIC, "ANTHROPIC_API_KEY is set")
    if settings.llm_base_url:
        return LLMChoice(LLMProvider.OPENAI, "ENGRAMIA_LLM_BASE_URL is set")
    return LLMChoice(LLMProvider.NONE, "neither OPENAI_API_KEY nor ANTHROPIC_API_KEY is set")


def llm_from(settings: Settings, watch: Watch | None = None) -> LLM | None:
    """Return the language model that the settings name, with its calls bounded; None for none.

    One that is named and cannot be made (no key, its extra not installed) says so when it is asked: learning
    and recall need none.
    """
    try:
        match choose_llm(settings).kind:
            case LLMProvider.NONE:
                return None
            case LLMProvider.OPENAI:
                return pooled(_openai_llm(settings), settings, watch)
            case LLMProvider.ANTHROPIC:
                return pooled(_anthropic_llm(settings), settings, watch)
    except ProviderNotConfiguredError as error:
        return UnconfiguredLLM(str(error))


def bounded(llm: LLM | None, settings: Settings, watch: Watch | None = None) -> LLM | None:
    """Return `llm`, its calls bounded unless it takes several at once by itself; None for None."""
    return llm if llm is None or isinstance(llm, Panel) else pooled(llm, settings, watch)


def pooled(llm: LLM, settings: Settings, watch: Watch | None = None) -> Pooled:
    """Return `llm` with its calls bounded as the settings say."""
    # Twice as many may wait as run: the last in the line has two rounds before it, and then its own.
    watched = (watch or Unwatched()).model(llm)
    return Pooled(watched, settings.llm_concurrency, seconds=3 * settings.llm_timeout)


def _openai_llm(settings: Settings) -> LLM:
    from engramia.providers.openai import DEFAULT_MODEL, OpenAIProvider

    return OpenAIProvider(
        settings.llm_model or DEFAULT_MODEL,
        api_key=secret_of(settings.openai_api_key),
        base_url=settings.llm_base_url or settings.openai_base_url,
        timeout=settings.llm_timeout,
    )


def _anthropic_llm(settings: Settings) -> LLM:
    from engramia.providers.anthropic import DEFAULT_MODEL, AnthropicProvider

    return AnthropicProvider(
        settings.llm_model or DEFAULT_MODEL,
        api_key=secret_of(settings.anthropic_api_key),
        base_url=settings.llm_base_url or settings.anthropic_base_url,
        timeout=settings.llm_timeout,
    )
