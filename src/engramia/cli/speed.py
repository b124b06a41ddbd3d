"""The command `bench`: how quick this installation is on this machine."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from engramia.cli.command import command
from engramia.cli.session import Session

if TYPE_CHECKING:
    from engramia.cli.stopwatch import Timing

SIZES = (1_000, 10_000)
LARGE = 100_000


def bench(
    session: Session,
    *,
    large: Annotated[
        bool, typer.Option("--large", help="Measure at 100,000 patterns, too (minutes).")
    ] = False,
    size: Annotated[
        list[int] | None,
        typer.Option("--size", metavar="N", help="Measure at this many patterns; may be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the made-up runs.")] = 7,
) -> None:
    """Measure how quick it is on this machine.

    Learn, recall and opening on made-up runs in a temporary folder, embedding apart. Beside them stand
    the disk's own append with fdatasync and one exact pass over the vectors.
    """
    sizes = sorted(set(size or (*SIZES, *((LARGE,) if large else ()))))
    from engramia.cli.stopwatch import measure

    with session.terminal.progress("Measuring", None) as bar:
        timings = measure(session.settings, sizes, seed, bar)
    session.terminal.answer({"seed": seed, "timings": [_document(timing) for timing in timings]})
    if not session.json:
        _show(session, timings)


def register(app: typer.Typer) -> None:
    """Add this command to `app`."""
    command(
        app,
        "bench",
        examples=("engramia bench", "engramia bench --large --json", "engramia bench --size 5000"),
    )(bench)


def _document(timing: "Timing") -> dict[str, Any]:
    return {
        "operation": timing.operation,
        "patterns": timing.patterns,
        "runs": len(timing.milliseconds),
        "p50_ms": round(timing.percentile(0.5), 4),
        "p95_ms": round(timing.percentile(0.95), 4),
    }


def _show(session: Session, timings: "list[Timing]") -> None:
    from engramia.cli.tables import table

    numbers = ("Patterns", "p50 ms", "p95 ms", "Runs")
    drawn = table("Operation", *numbers, right=numbers)
    for timing in timings:
        drawn.add_row(
            timing.operation,
            f"{timing.patterns:,}" if timing.patterns else "-",
            f"{timing.percentile(0.5):.2f}",
            f"{timing.percentile(0.95):.2f}",
            str(len(timing.milliseconds)),
        )
    session.terminal.out.print(drawn)
    session.terminal.say("Embedding is measured apart and is in none of the other rows.")
