"""Doctor: what is in force, and what is wrong."""

from pathlib import Path
from typing import Any

import pytest

from engramia.bootstrap import Memory
from engramia.cli.exit_codes import ExitCode
from engramia.cli.session import Session
from engramia.core.similarity import WORDS
from engramia.errors import StorageCorruptError
from engramia.settings import Settings
from engramia.testing import HashEmbeddings
from tests.cli.conftest import Cli

pytestmark = pytest.mark.slow


def check(document: Any, name: str) -> Any:
    return next(one for one in document["checks"] if one["name"] == name)


def setting(document: Any, variable: str) -> Any:
    return next(one for one in document["settings"] if one["variable"] == variable)


def test_it_needs_no_folder_and_leaves_none(cli: Cli, data_path: Path) -> None:
    ended = cli("doctor", "--json")
    assert ended.code == ExitCode.OK
    assert ended.document["ok"] is True
    assert "not made yet" in check(ended.document, "data folder")["detail"]
    assert not data_path.exists()


@pytest.mark.usefixtures("learned")
def test_it_measures_a_synced_write_and_removes_its_file(cli: Cli, data_path: Path) -> None:
    before = sorted(path.name for path in data_path.rglob("*"))
    document = cli("doctor", "--json").document
    assert "write and sync" in check(document, "disk")["detail"]
    assert "1 pattern in default/default" in check(document, "store")["detail"]
    assert sorted(path.name for path in data_path.rglob("*")) == before


def test_words_alone_is_a_warning_with_a_remedy(cli: Cli) -> None:
    found = check(cli("doctor", "--json").document, "embedding model")
    assert found["status"] == "warn"
    assert "engramia[local]" in found["remedy"]


def test_settings_tell_where_they_come_from_and_hide_secrets(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-never-shown")
    ended = cli("doctor", "--project", "other", "--json")
    assert setting(ended.document, "ENGRAMIA_EMBEDDING_MODEL")["origin"] == "environment"
    assert setting(ended.document, "ENGRAMIA_PROJECT") | {"description": ""} == {
        "variable": "ENGRAMIA_PROJECT",
        "value": "other",
        "origin": "option",
        "description": "",
    }
    assert setting(ended.document, "ENGRAMIA_TENANT")["origin"] == "default"
    assert setting(ended.document, "OPENAI_API_KEY")["value"] == "**********"
    assert "never-shown" not in ended.out + cli("doctor").out


def test_versions_and_thresholds_are_named(cli: Cli) -> None:
    document = cli("doctor", "--json").document
    assert document["versions"]["engramia"]
    assert document["versions"]["numpy"]
    assert document["embedding"]["thresholds"]["duplicate"] == WORDS.duplicate
    assert document["embedding"]["thresholds"]["adapt"] == WORDS.adapt
    shown = cli("doctor").out
    assert "ENGRAMIA_DATA_PATH" in shown
    assert "onnxruntime" in shown
    assert "Nothing is wrong." in shown


def test_a_folder_that_is_a_file_fails(cli: Cli, data_path: Path) -> None:
    data_path.write_text("not a folder")
    ended = cli("doctor", "--json")
    assert ended.code == ExitCode.STORAGE
    assert check(ended.document, "data folder")["status"] == "fail"
    assert cli("status").code == ExitCode.STORAGE


def test_an_openai_model_without_a_key_fails(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAMIA_EMBEDDING_MODEL", "text-embedding-3-small")
    ended = cli("doctor", "--json")
    assert ended.code == ExitCode.PROVIDER
    assert ended.document["ok"] is False
    assert "OPENAI_API_KEY" in check(ended.document, "embedding model")["remedy"]


def test_a_model_folder_that_holds_none_fails(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ENGRAMIA_EMBEDDING_MODEL", "local")
    monkeypatch.setenv("ENGRAMIA_LOCAL_MODEL_PATH", str(tmp_path))
    ended = cli("doctor", "--json")
    assert ended.code == ExitCode.PROVIDER
    assert ended.document["embedding"]["files"] is None
    assert check(ended.document, "embedding model")["status"] == "fail"


def test_redaction_switched_off_is_a_warning(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAMIA_REDACTION", "false")
    assert check(cli("doctor", "--json").document, "redaction")["status"] == "warn"


@pytest.mark.usefixtures("learned")
def test_a_store_of_another_model_fails_and_names_reindex(cli: Cli) -> None:
    def hashed(dimension: int) -> Session:
        def opened(settings: Settings) -> Memory:
            return Memory(settings=settings, embeddings=HashEmbeddings(dimension))

        return Session(open_memory=opened, json=True)

    assert cli("reindex", session=hashed(64)).code == 0
    ended = cli("doctor", session=hashed(32))
    assert ended.code == ExitCode.STORAGE
    assert "engramia reindex" in check(ended.document, "vectors")["remedy"]
    assert cli("doctor", session=hashed(64)).code == ExitCode.OK


@pytest.mark.usefixtures("learned")
def test_a_damaged_store_fails(cli: Cli) -> None:
    def opened(_settings: Settings) -> Memory:
        raise StorageCorruptError("patterns.jsonl line 3 is damaged.")

    ended = cli("doctor", session=Session(open_memory=opened, json=True))
    assert ended.code == ExitCode.STORAGE
    assert "line 3" in check(ended.document, "store")["detail"]


@pytest.mark.usefixtures("learned")
def test_a_damaged_line_is_named_with_its_file(cli: Cli, data_path: Path) -> None:
    [journal] = data_path.rglob("journal.jsonl")
    journal.write_bytes(journal.read_bytes().replace(b"Merge two", b"Merge too", 1))
    ended = cli("doctor", "--json")
    assert ended.code == ExitCode.STORAGE
    assert str(journal) in check(ended.document, "store")["detail"]
    assert "Wrong" in cli("status").out


def test_the_local_model_is_measured(process: Cli) -> None:
    ended = process("doctor", "--json", ENGRAMIA_EMBEDDING_MODEL="local", ENGRAMIA_MODEL_DOWNLOAD="false")
    assert ended.code == ExitCode.OK, ended
    assert "embeds a text in" in check(ended.document, "embedding model")["detail"]
    assert ended.document["embedding"]["model"] == "all-MiniLM-L6-v2"
    assert Path(ended.document["embedding"]["files"]).is_dir()


def test_no_language_model_is_told_and_is_no_failure(cli: Cli) -> None:
    document = cli("doctor", "--json").document
    found = check(document, "language model")
    assert found["status"] == "ok"
    assert "ANTHROPIC_API_KEY" in found["remedy"]
    assert document["language_model"] == {
        "kind": "none",
        "why": "neither OPENAI_API_KEY nor ANTHROPIC_API_KEY is set",
        "model": None,
        "base_url": None,
        "key_set": False,
    }


def test_the_language_model_is_named_with_why_but_without_its_key(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-never-shown")
    monkeypatch.setenv("ENGRAMIA_LLM_MODEL", "claude-of-a-test")
    ended = cli("doctor", "--json")
    assert ended.code == ExitCode.OK
    found = check(ended.document, "language model")
    assert found["status"] == "ok"
    assert "anthropic: ANTHROPIC_API_KEY is set; claude-of-a-test" in found["detail"]
    facts = ended.document["language_model"]
    assert (facts["model"], facts["key_set"]) == ("claude-of-a-test", True)
    shown = cli("doctor").out
    assert "claude-of-a-test" in shown
    assert "never-shown" not in ended.out + shown


def test_a_vendor_without_its_key_fails_and_a_server_of_ones_own_needs_none(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGRAMIA_LLM_PROVIDER", "anthropic")
    ended = cli("doctor", "--json")
    assert ended.code == ExitCode.PROVIDER
    assert "ANTHROPIC_API_KEY" in check(ended.document, "language model")["remedy"]
    monkeypatch.setenv("ENGRAMIA_LLM_BASE_URL", "http://127.0.0.1:1")
    ended = cli("doctor", "--json")
    assert ended.code == ExitCode.OK
    assert ended.document["language_model"]["base_url"] == "http://127.0.0.1:1"
