"""Every exit code, and what an error looks like for people and for programs."""

import pytest

from engramia import errors
from engramia.bootstrap import Memory
from engramia.cli.exit_codes import MEANINGS, ExitCode, verdict
from engramia.cli.session import Session
from engramia.core.model import Metrics
from engramia.settings import Settings
from tests.cli.conftest import Cli


class Failing(Memory):
    """A memory whose metrics raise."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def metrics(self) -> Metrics:
        raise self._error

    def close(self) -> None:
        pass


def failing(error: BaseException, *, json: bool = False) -> Session:
    def opened(_settings: Settings) -> Memory:
        return Failing(error)

    return Session(open_memory=opened, json=json)


CASES = [
    (errors.ValidationError("task must not be blank.", field="task"), ExitCode.USAGE, "validation_error"),
    (errors.NotFoundError("There is no such pattern."), ExitCode.NOT_FOUND, "not_found"),
    (errors.AuthorizationError("You may not."), ExitCode.NOT_ALLOWED, "forbidden"),
    (errors.QuotaExceededError("Too many."), ExitCode.NOT_ALLOWED, "quota_exceeded"),
    (errors.StorageError("Cannot."), ExitCode.STORAGE, "storage_error"),
    (errors.StorageFullError("No space."), ExitCode.STORAGE, "storage_full"),
    (errors.StorageCorruptError("Line 3 is damaged."), ExitCode.STORAGE, "storage_corrupt"),
    (errors.StorageUnavailableError("Locked."), ExitCode.STORAGE, "unavailable"),
    (errors.EmbeddingModelMismatchError("Another model."), ExitCode.STORAGE, "embedding_model_mismatch"),
    (errors.ProviderError("Down."), ExitCode.PROVIDER, "provider_unavailable"),
    (errors.ProviderUnreachableError("Down."), ExitCode.PROVIDER, "provider_unavailable"),
    (errors.ProviderNotConfiguredError("None."), ExitCode.PROVIDER, "provider_not_configured"),
    (errors.ProviderRefusedError("Bad key."), ExitCode.PROVIDER, "provider_refused"),
    (errors.ProviderLimitedError("Slow down."), ExitCode.PROVIDER, "rate_limited"),
    (errors.ProviderBusyError("Full."), ExitCode.PROVIDER, "provider_busy"),
    (errors.ProviderTimeoutError("Too late."), ExitCode.PROVIDER, "upstream_timeout"),
    (errors.ProviderOutputError("Nonsense."), ExitCode.PROVIDER, "bad_provider_output"),
    (RuntimeError("boom"), ExitCode.UNEXPECTED, "internal_error"),
    (KeyboardInterrupt(), ExitCode.INTERRUPTED, "interrupted"),
]


@pytest.mark.parametrize(("error", "code", "name"), CASES, ids=[type(case[0]).__name__ for case in CASES])
def test_every_error_is_a_sentence_and_an_exit_code(
    cli: Cli, error: BaseException, code: ExitCode, name: str
) -> None:
    people = cli("metrics", session=failing(error))
    assert people.code == code
    assert people.out == ""
    assert people.err.startswith("Error: ")
    assert "Traceback" not in people.err
    programs = cli("metrics", session=failing(error, json=True))
    assert programs.code == code
    assert programs.err == ""
    assert programs.document["error"] == name
    assert programs.document["detail"]


def all_errors(kind: type[errors.EngramiaError]) -> list[type[errors.EngramiaError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in all_errors(child))]


def test_no_error_of_the_tree_is_taken_for_a_bug() -> None:
    tree = [kind for kind in all_errors(errors.EngramiaError) if kind.__module__ == "engramia.errors"]
    for kind in tree:
        instance = kind.__new__(kind)
        assert verdict(instance).error != "internal_error", kind


def test_a_validation_error_names_its_field(cli: Cli) -> None:
    ended = cli("recall", "a task", "--limit", "0", "--json")
    assert ended.code == ExitCode.USAGE
    assert ended.document["field"] == "limit"
    assert "1 to 50" in ended.document["detail"]


def test_traceback_is_shown_only_when_asked(cli: Cli) -> None:
    ended = cli("metrics", "--traceback", session=failing(RuntimeError("boom")))
    assert ended.code == ExitCode.UNEXPECTED
    assert "Traceback (most recent call last)" in ended.err
    assert "RuntimeError: boom" in ended.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("recal",), "Did you mean 'recall'"),
        (("recall",), "Missing argument 'TASK'"),
        (("recall", "x", "--limit", "many"), "--limit"),
        (("learn", "-t", "x", "--code", "y", "-s", "5", "--classification", "secret"), "--classification"),
        (("status", "--nonsense"), "--nonsense"),
        (("skills",), "Missing command"),
    ],
)
def test_wrong_usage_says_what_and_where_to_look(cli: Cli, arguments: tuple[str, ...], says: str) -> None:
    ended = cli(*arguments)
    assert ended.code == ExitCode.USAGE
    assert says in ended.err
    assert "--help" in ended.err
    document = cli("--json", *arguments).document
    assert document["error"] == "validation_error"
    assert says in document["detail"]


def test_a_wrong_setting_is_named_by_its_variable(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAMIA_STORAGE", "paper")
    ended = cli("status", "--json")
    assert ended.code == ExitCode.USAGE
    assert ended.document["field"] == "ENGRAMIA_STORAGE"
    assert "json" in ended.document["detail"]


def test_a_wrong_log_level_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAMIA_LOG_LEVEL", "loud")
    ended = cli("status", "--json")
    assert ended.code == ExitCode.USAGE
    assert ended.document["field"] == "ENGRAMIA_LOG_LEVEL"


def test_an_unknown_key_is_not_found(cli: Cli) -> None:
    key = "patterns/01k3zzzzzzzzzzzzzzzzzzzzzz"
    for command in (
        ("show", key),
        ("refine", key, "5"),
        ("delete", key, "--yes"),
        ("skills", "register", key, "a"),
    ):
        assert cli(*command).code == ExitCode.NOT_FOUND, command


def test_a_key_that_is_none_is_wrong_usage(cli: Cli) -> None:
    assert cli("show", "patterns/../../etc/passwd").code == ExitCode.USAGE


def test_help_documents_every_exit_code(cli: Cli) -> None:
    ended = cli("--help")
    assert ended.code == ExitCode.OK
    for code in ExitCode:
        assert f"{code.value}  {MEANINGS[code]}" in ended.out


def test_no_command_shows_the_help(cli: Cli) -> None:
    ended = cli()
    assert ended.code == ExitCode.USAGE
    assert "Usage: engramia" in ended.out


def test_version(cli: Cli) -> None:
    ended = cli("--version")
    assert ended.code == ExitCode.OK
    assert ended.out.startswith("engramia ")


def test_a_wrong_choice_names_the_right_ones_and_nothing_of_the_library(cli: Cli) -> None:
    answer = cli("mcp", "config", "nosuch")
    assert answer.code == ExitCode.USAGE
    assert "'nosuch' is not one of" in answer.err
    assert "Value error" not in answer.err


def test_a_secret_that_is_too_short_is_told_in_characters(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAMIA_SECRET_KEY", "short")
    answer = cli("status")
    assert answer.code == ExitCode.USAGE
    assert "ENGRAMIA_SECRET_KEY: Value should have at least 32 characters, not 5" in answer.err
