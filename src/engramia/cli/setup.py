"""The first commands: init and status."""

import time
from typing import TYPE_CHECKING, Any

import typer

from engramia.cli.command import command
from engramia.cli.session import Session
from engramia.cli.terminal import counted
from engramia.core import documents
from engramia.errors import StorageError

if TYPE_CHECKING:
    from engramia.bootstrap import Memory

NEXT = (
    "Next:",
    "  engramia demo                                          see it at work on recorded runs",
    '  engramia learn --task "…" --code-file FILE --score 8   store a run of your own',
    '  engramia recall "…"                                    find it again',
)


def init(session: Session) -> None:
    """Make the data folder, get the model ready.

    A second run is harmless. The local model is downloaded once if it is not on this machine.
    """
    from engramia.bootstrap import choose_embeddings, embeddings_from

    settings = session.settings
    folder = settings.data_path.absolute()
    made = not folder.is_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"Cannot make the folder {folder}: {error.strerror or error}.") from error
    choice = choose_embeddings(settings)
    session.terminal.say(f"Data folder: {folder} ({'made' if made else 'there already'})")
    started = time.perf_counter()
    embeddings = embeddings_from(settings)
    if embeddings is not None and choice.kind == "local":
        embeddings.embed(["Ready."])
    seconds = time.perf_counter() - started
    model = embeddings.model if embeddings else None
    session.terminal.answer(
        {"data_path": str(folder), "made": made, "embedding": choice.kind, "why": choice.why, "model": model}
    )
    session.terminal.say(f"Embedding: {model or 'none, words alone'} ({choice.why}; {seconds:.1f} s)")
    session.terminal.say("\n".join(("", *NEXT)))


def status(session: Session) -> None:
    """Show what this memory holds and where it is.

    Counts and metrics, the storage, the embedding model, and patterns that wait for their vectors.
    """
    with session.memory() as memory:
        document = _status(session, memory)
    session.terminal.answer(document)
    if not session.json:
        _show(session, document)


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    command(app, "init", examples=("engramia init", "engramia init --data-path ~/agent-memory"))(init)
    command(app, "status", examples=("engramia status", "engramia status --project billing --json"))(status)


def _status(session: Session, memory: "Memory") -> dict[str, Any]:
    from engramia.bootstrap import choose_embeddings

    choice = choose_embeddings(session.settings)
    with memory.storage.scoped(memory.scope).reading() as stores:
        waiting, stored = stores.patterns.waiting_count(), stores.patterns.embedding_model()
    return {
        "tenant": memory.scope.tenant_id,
        "project": memory.scope.project_id,
        "metrics": documents.metrics_document(memory.metrics()),
        "storage": memory.storage.describe(),
        "embedding": {
            "kind": choice.kind,
            "why": choice.why,
            "model": memory.embeddings.model if memory.embeddings else None,
            "store_model": stored,
            "waiting": waiting,
        },
    }


def _show(session: Session, document: dict[str, Any]) -> None:
    from engramia.cli import tables

    embedding, storage = document["embedding"], document["storage"]
    rows: list[tuple[str, object]] = [("Scope", f"{document['tenant']}/{document['project']}")]
    rows += tables.metrics_rows(document["metrics"])
    rows += [
        ("Storage", f"{storage['kind']} in {storage['path']}, {tables.size(storage['bytes'])}"),
        *(("Wrong", sentence) for sentence in storage["wrong"]),
        ("Embedding", f"{embedding['model'] or 'none, words alone'} ({embedding['why']})"),
        ("Vectors by", embedding["store_model"] or "none yet"),
        ("Waiting", f"{counted(embedding['waiting'], 'pattern')} without a vector"),
    ]
    session.terminal.out.print(tables.facts(rows))
    if embedding["waiting"] and embedding["model"]:
        session.terminal.say("`engramia reindex` embeds those that wait.")
