"""Commands that keep a memory in order: metrics, aging, reindex."""

from typing import Annotated

import typer

from engramia.cli.command import command, fail
from engramia.cli.exit_codes import ExitCode
from engramia.cli.session import Session
from engramia.cli.terminal import counted
from engramia.core import documents
from engramia.errors import ProviderError, ProviderNotConfiguredError


def metrics(session: Session) -> None:
    """Show how much was learned and reused."""
    with session.memory() as memory:
        document = documents.metrics_document(memory.metrics())
    session.terminal.answer(document)
    if session.json:
        return
    from engramia.cli import tables

    session.terminal.out.print(tables.facts(tables.metrics_rows(document)))


def aging(
    session: Session,
    *,
    feedback: Annotated[
        bool, typer.Option("--feedback", help="Let old feedback fade in the same run.")
    ] = False,
) -> None:
    """Let scores decay, prune what fell low.

    Scores decay by 2 % a week; patterns under 0.1 go. Running it every hour or once a year gives the
    same result.
    """
    with session.memory() as memory:
        pruned = memory.run_aging()
        document = {"pruned": pruned}
        if feedback:
            document["feedback_pruned"] = memory.run_feedback_decay()
        left = memory.metrics().pattern_count
    session.terminal.answer(document)
    session.terminal.say(f"Pruned {counted(pruned, 'pattern')}; {left:,} left.")
    if feedback:
        session.terminal.say(f"Pruned {counted(document['feedback_pruned'], 'quality issue')}.")


def reindex(session: Session) -> ExitCode:
    """Embed patterns that have no vector.

    After a change of the embedding model, that is all of them. Interrupted, it keeps what is done;
    running it again goes on.
    """
    done = total = 0
    with session.memory() as memory, session.terminal.progress("Embedding", None) as bar:

        def progress(count: int, most: int) -> None:
            nonlocal done, total
            done, total = count, most
            bar(count, most)

        try:
            embedded = memory.reindex(progress=progress)
        except KeyboardInterrupt as stopped:
            detail = (
                f"Interrupted after {done:,} of {total:,} patterns. They are kept; run it again to go on."
            )
            return fail(session, stopped, detail=detail, embedded=done, total=total)
        except ProviderNotConfiguredError:
            raise
        except ProviderError as stopped:
            fail(session, stopped, embedded=done, total=total)
            return ExitCode.PARTLY if done else ExitCode.PROVIDER
    session.terminal.answer({"embedded": embedded})
    session.terminal.say(
        f"Embedded {counted(embedded, 'pattern')}." if embedded else "Every pattern has its vector already."
    )
    return ExitCode.OK


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    command(app, "metrics", examples=("engramia metrics", "engramia metrics --json"))(metrics)
    command(app, "aging", examples=("engramia aging", "engramia aging --feedback"))(aging)
    command(app, "reindex", examples=("engramia reindex", "ENGRAMIA_EMBEDDING_MODEL=local engramia reindex"))(
        reindex
    )
