from pathlib import Path

import pytest
from pydantic import SecretStr

from engramia.bootstrap import Memory, choose_llm, llm_from
from engramia.core.llm import Question
from engramia.errors import ProviderNotConfiguredError
from engramia.providers.wrappers import Pooled
from engramia.settings import LLMProvider, Settings
from tests.providers.llm_server import CHAT, MESSAGES, VENDORS, Vendor, llm_server

pytestmark = pytest.mark.slow

KEYS = [
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "OPENAI_BASE_URL",
    "ANTHROPIC_BASE_URL",
    "ENGRAMIA_LLM_PROVIDER",
    "ENGRAMIA_LLM_MODEL",
    "ENGRAMIA_LLM_BASE_URL",
]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in KEYS:
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.mark.parametrize(
    ("environment", "kind", "why"),
    [
        ({}, "none", "neither"),
        ({"OPENAI_API_KEY": "a"}, "openai", "OPENAI_API_KEY is set"),
        ({"ANTHROPIC_API_KEY": "b"}, "anthropic", "ANTHROPIC_API_KEY is set"),
        ({"OPENAI_API_KEY": "a", "ANTHROPIC_API_KEY": "b"}, "openai", "OPENAI_API_KEY is set"),
        (
            {"OPENAI_API_KEY": "a", "ENGRAMIA_LLM_PROVIDER": "anthropic"},
            "anthropic",
            "ENGRAMIA_LLM_PROVIDER=anthropic",
        ),
        ({"OPENAI_API_KEY": "a", "ENGRAMIA_LLM_PROVIDER": "none"}, "none", "ENGRAMIA_LLM_PROVIDER=none"),
        ({"ENGRAMIA_LLM_BASE_URL": "http://127.0.0.1:1/v1"}, "openai", "ENGRAMIA_LLM_BASE_URL is set"),
    ],
)
def test_the_vendor_follows_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], kind: str, why: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    choice = choose_llm(Settings())

    assert choice.kind == kind
    assert why in choice.why


def test_each_vendor_has_its_model() -> None:
    openai = llm_from(Settings(openai_api_key=SecretStr("a")))
    anthropic = llm_from(Settings(anthropic_api_key=SecretStr("b")))
    named = llm_from(Settings(anthropic_api_key=SecretStr("b"), llm_model="claude-haiku-5-5"))

    assert openai is not None
    assert anthropic is not None
    assert named is not None
    assert (openai.vendor, openai.model) == ("openai", "gpt-4.1")
    assert (anthropic.vendor, anthropic.model) == ("anthropic", "claude-sonnet-5-5")
    assert named.model == "claude-haiku-5-5"
    assert llm_from(Settings()) is None


@pytest.mark.parametrize("provider", [LLMProvider.OPENAI, LLMProvider.ANTHROPIC])
def test_a_vendor_without_its_key_is_told_when_it_is_asked(provider: LLMProvider, tmp_path: Path) -> None:
    settings = Settings(llm_provider=provider, embedding_model="none", data_path=tmp_path)
    with Memory(settings=settings) as memory:
        assert memory.learn(task="Parse a CSV file", code="import csv", eval_score=9).stored
        for ask in (lambda: memory.evaluate("a task", "code"), lambda: memory.compose("a task")):
            with pytest.raises(ProviderNotConfiguredError, match=f"{provider.upper()}_API_KEY"):
                ask()


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
@pytest.mark.parametrize("own", [True, False])
def test_the_address_is_the_language_models_own_or_the_vendors(vendor: Vendor, own: bool) -> None:
    with llm_server() as server:
        right = server.url if vendor.name == "openai" else server.url.removesuffix("/v1")
        wrong = "http://127.0.0.1:9"
        settings = Settings(
            llm_provider=LLMProvider(vendor.name),
            llm_base_url=right if own else None,
            openai_base_url=wrong if own else right,
            anthropic_base_url=wrong if own else right,
        )
        llm = llm_from(settings)
        assert llm is not None

        llm.ask(Question("verdict", "i", "m", {}))
        assert isinstance(llm, Pooled)
        llm.close()

        assert [one.path for one in server.requests] == [{"openai": CHAT, "anthropic": MESSAGES}[vendor.name]]


def test_deadline_and_bounds_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAMIA_LLM_TIMEOUT", "12.5")
    monkeypatch.setenv("ENGRAMIA_LLM_CONCURRENCY", "3")

    settings = Settings()

    assert (settings.llm_timeout, settings.llm_concurrency) == (12.5, 3)
    for variable, value in [("ENGRAMIA_LLM_TIMEOUT", "0"), ("ENGRAMIA_LLM_CONCURRENCY", "0")]:
        monkeypatch.setenv(variable, value)
        with pytest.raises(ValueError, match=variable.removeprefix("ENGRAMIA_").lower()):
            Settings()
        monkeypatch.delenv(variable)
