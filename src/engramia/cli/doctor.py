"""The command `doctor`: what is in force, and what is wrong."""

import platform
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from engramia.cli.command import command
from engramia.cli.exit_codes import ExitCode
from engramia.cli.session import Session, variable

if TYPE_CHECKING:
    from engramia.cli.checks import Check

PACKAGES = (
    "numpy",
    "orjson",
    "google-re2",
    "pydantic-settings",
    "onnxruntime",
    "tokenizers",
    "onnx",
    "openai",
    "anthropic",
    "typer",
    "rich",
)


def doctor(session: Session) -> ExitCode:
    """Say what is in force, and what is wrong.

    Shows storage, models, the service, versions and settings. Changes nothing, and asks nobody over the
    network but the identity provider where the auth mode is oidc. Exit code 0 if nothing fails, 4 for
    storage, 5 for the model.
    """
    from engramia.cli.checks import run_checks
    from engramia.cli.identity_checks import provider_checks
    from engramia.cli.replica_checks import replica_checks
    from engramia.cli.service_checks import service_checks

    service = service_checks(session.settings, needed=False)
    replica = replica_checks(session.settings)
    return report(session, [*run_checks(session), *replica, *service, *provider_checks(session.settings)])


def report(session: Session, checks: "list[Check]") -> ExitCode:
    """Show what is in force and what the checks found; return the exit code that they come to."""
    from engramia.cli.checks import Status

    failed = [check for check in checks if check.status is Status.FAIL]
    document = {
        "ok": not failed,
        "checks": [_check_document(check) for check in checks],
        "embedding": embedding_facts(session),
        "language_model": language_model_facts(session),
        "versions": versions(),
        "settings": settings_in_force(session),
    }
    session.terminal.answer(document)
    if not session.json:
        _show(session, checks, document)
    return failed[0].exit_code if failed else ExitCode.OK


def register(app: typer.Typer) -> None:
    """Add this command to `app`."""
    command(app, "doctor", examples=("engramia doctor", "engramia doctor --json"))(doctor)


def versions() -> dict[str, str | None]:
    """Return the versions of what is at work here; None for a package that is not installed."""
    return {
        "engramia": _installed("engramia"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{package: _installed(package) for package in PACKAGES},
    }


def settings_in_force(session: Session) -> list[dict[str, Any]]:
    """Return every setting with its value and where it comes from; secrets are masked."""
    settings = session.settings
    return [
        {
            "variable": variable(name),
            "value": _shown(getattr(settings, name)),
            "origin": _origin(session, name),
            "description": field.description,
        }
        for name, field in type(settings).model_fields.items()
    ]


def embedding_facts(session: Session) -> dict[str, Any]:
    """Return which embedding model is chosen, why, and the thresholds in force with it."""
    from engramia.bootstrap import choose_embeddings, embeddings_from
    from engramia.core.calibration import calibration_for
    from engramia.errors import ProviderError

    choice = choose_embeddings(session.settings)
    try:
        embeddings = embeddings_from(session.settings)
    except ProviderError:  # The check of the model says what is wrong with it.
        embeddings = None
    model = embeddings.model if embeddings else None
    calibration = calibration_for(model)
    thresholds = calibration.thresholds if model else calibration.words
    return {
        "kind": choice.kind,
        "why": choice.why,
        "model": model,
        "dimension": embeddings.dimension if embeddings else None,
        "files": _files(session) if choice.kind == "local" else None,
        "min_similarity": calibration.min_similarity if model else None,
        "thresholds": asdict(thresholds),
    }


def language_model_facts(session: Session) -> dict[str, Any]:
    """Return which language model is chosen, why, where it answers, and whether there is a key for it."""
    from engramia.bootstrap import choose_llm, llm_from
    from engramia.core.llm import UnconfiguredLLM
    from engramia.settings import LLMProvider

    settings, choice = session.settings, choose_llm(session.settings)
    llm = llm_from(settings)
    if isinstance(llm, UnconfiguredLLM):  # The check of the model says what is wrong with it.
        llm = None
    key, url = {
        LLMProvider.OPENAI: (settings.openai_api_key, settings.openai_base_url),
        LLMProvider.ANTHROPIC: (settings.anthropic_api_key, settings.anthropic_base_url),
        LLMProvider.NONE: (None, None),
    }[choice.kind]
    return {
        "kind": choice.kind.value,
        "why": choice.why,
        "model": llm.model if llm else None,
        "base_url": (settings.llm_base_url or url) if llm else None,
        "key_set": key is not None,
    }


def _files(session: Session) -> str | None:
    """Return the folder of the local model's files, or None if they are not on this machine."""
    from engramia.bootstrap import embeddings_from
    from engramia.errors import ProviderError
    from engramia.providers.local import LocalEmbeddings
    from engramia.providers.local.weights import PACKAGE, find_weights

    embeddings = embeddings_from(session.settings)
    if not isinstance(embeddings, LocalEmbeddings):
        return None
    try:
        downloads = embeddings._downloads  # noqa: SLF001 - it has no public name
        weights = find_weights(session.settings.local_model_path, PACKAGE, downloads)
    except ProviderError:
        return None
    return str(weights.folder) if weights else None


def _installed(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _origin(session: Session, name: str) -> str:
    if name in session.given:
        return "option"
    return "environment" if name in session.settings.model_fields_set else "default"


def _shown(value: object) -> object:
    """Return a setting's value as JSON knows it; secrets are masked by their own type."""
    if isinstance(value, tuple):
        return ", ".join(str(one) for one in value) or None
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _check_document(check: "Check") -> dict[str, Any]:
    return {"name": check.name, "status": check.status.value, "detail": check.detail, "remedy": check.remedy}


def _show(session: Session, checks: "list[Check]", document: dict[str, Any]) -> None:
    from engramia.cli import tables

    out = session.terminal.out
    out.print(_checks_table(checks))
    embedding = dict(document["embedding"])
    thresholds = ", ".join(
        f"{name.replace('_', ' ')} {value:.2f}" for name, value in embedding.pop("thresholds").items()
    )
    rows = [*tables.named(embedding), ("Thresholds", thresholds)]
    out.print(tables.facts(rows, title="Embedding"))
    out.print(tables.facts(tables.named(document["language_model"]), title="\nLanguage model"))
    out.print(
        tables.facts(
            ((name, value or "not installed") for name, value in document["versions"].items()),
            title="\nVersions",
        )
    )
    drawn = tables.table("Setting", "Value", "From", title="\nSettings")
    for setting in document["settings"]:
        value = "-" if setting["value"] is None else str(setting["value"])
        drawn.add_row(
            setting["variable"],
            value,
            setting["origin"],
            style=None if setting["origin"] != "default" else "dim",
        )
    out.print(drawn)
    failed = sum(check.status == "fail" for check in checks)
    session.terminal.say(f"{failed} of {len(checks)} checks failed." if failed else "Nothing is wrong.")


def _checks_table(checks: "list[Check]") -> Any:
    from rich.text import Text

    from engramia.cli.tables import table
    from engramia.cli.terminal import plain

    colours = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    drawn = table("", "Check", "Finding")
    for check in checks:
        finding = Text(plain(check.detail))
        if check.remedy:
            finding.append(f"\n→ {check.remedy}", style="cyan")
        drawn.add_row(Text(check.status.value, style=colours[check.status.value]), check.name, finding)
    return drawn
