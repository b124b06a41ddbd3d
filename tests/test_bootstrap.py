"""Which adapters the settings choose, and what they say when they cannot."""

from pathlib import Path

import pytest

from engramia.bootstrap import (
    Memory,
    NoRedaction,
    choose_embeddings,
    embeddings_from,
    new_pattern_key,
    redactor_from,
    storage_from,
)
from engramia.core.model import Scope, check_pattern_key
from engramia.errors import ProviderNotConfiguredError, StorageError
from engramia.providers import JSONStorage, LocalEmbeddings, OpenAIEmbeddings, PostgresStorage
from engramia.settings import Settings
from tests.conftest import START

KEY = "OPENAI_API_KEY"


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without any of our variables."""
    for name in (
        KEY,
        "OPENAI_BASE_URL",
        "ENGRAMIA_LOCAL_EMBEDDINGS",
        "ENGRAMIA_EMBEDDING_MODEL",
        "ENGRAMIA_STORAGE",
        "ENGRAMIA_REDACTION",
    ):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        ({}, "local"),
        ({KEY: "sk-x"}, "openai"),
        ({KEY: "sk-x", "ENGRAMIA_LOCAL_EMBEDDINGS": "1"}, "local"),
        ({KEY: "sk-x", "ENGRAMIA_LOCAL_EMBEDDINGS": ""}, "openai"),
        ({KEY: "sk-x", "ENGRAMIA_EMBEDDING_MODEL": "local"}, "local"),
        ({KEY: "sk-x", "ENGRAMIA_EMBEDDING_MODEL": "none"}, "none"),
        ({"ENGRAMIA_LOCAL_EMBEDDINGS": "false"}, "local"),
        ({"ENGRAMIA_EMBEDDING_MODEL": "text-embedding-3-large"}, "openai"),
    ],
)
def test_the_settings_choose_the_embeddings(
    bare: pytest.MonkeyPatch, variables: dict[str, str], kind: str
) -> None:
    for name, value in variables.items():
        bare.setenv(name, value)
    assert choose_embeddings(Settings()).kind == kind


def test_openai_gets_its_key_model_and_address(bare: pytest.MonkeyPatch) -> None:
    bare.setenv(KEY, "sk-x")
    bare.setenv("ENGRAMIA_EMBEDDING_MODEL", "text-embedding-3-large")
    embeddings = embeddings_from(Settings())
    assert isinstance(embeddings, OpenAIEmbeddings)
    assert "text-embedding-3-large" in embeddings.model


def test_an_openai_model_without_a_key_is_told(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("ENGRAMIA_EMBEDDING_MODEL", "text-embedding-3-large")
    with pytest.raises(ProviderNotConfiguredError, match=KEY):
        embeddings_from(Settings())


def test_the_local_model_is_not_loaded_before_it_is_used(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare.setenv("ENGRAMIA_LOCAL_MODEL_PATH", str(tmp_path / "missing"))
    assert isinstance(embeddings_from(Settings()), LocalEmbeddings)


def test_storage_is_json_in_the_data_path(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare.setenv("ENGRAMIA_DATA_PATH", str(tmp_path))
    assert isinstance(storage_from(Settings()), JSONStorage)


def test_postgres_needs_an_address_and_is_not_asked_before_it_is_used(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("ENGRAMIA_STORAGE", "postgres")
    with pytest.raises(StorageError, match="ENGRAMIA_DATABASE_URL"):
        storage_from(Settings())
    bare.setenv("ENGRAMIA_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    assert isinstance(storage_from(Settings()), PostgresStorage)


def test_redaction_can_be_switched_off(bare: pytest.MonkeyPatch) -> None:
    assert "jane.roe" not in redactor_from(Settings()).redact("mail jane.roe@bigcorp-mail.com")
    bare.setenv("ENGRAMIA_REDACTION", "false")
    assert isinstance(redactor_from(Settings()), NoRedaction)
    assert (
        redactor_from(Settings()).redact("mail jane.roe@bigcorp-mail.com") == "mail jane.roe@bigcorp-mail.com"
    )


def test_memory_alone_works_in_the_folder_it_is_in(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare.delenv("ENGRAMIA_DATA_PATH", raising=False)
    bare.chdir(tmp_path)
    with Memory() as memory:
        memory.learn(task="Parse a CSV file", code="import csv", eval_score=9)
        (match,) = memory.recall("Read a CSV file")
    assert (tmp_path / "engramia_data").is_dir()
    assert match.similarity > 0.8
    assert memory.scope == Scope("default", "default")


def test_keys_are_ulids_that_sort_by_time() -> None:
    first = new_pattern_key(START)
    later = new_pattern_key(START.replace(year=2027))
    assert check_pattern_key(first) == first
    assert first < later
    together = [new_pattern_key(START) for _ in range(100)]
    assert together == sorted(set(together)), "those of one millisecond in the order they were made"
