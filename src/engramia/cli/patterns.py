"""Commands on patterns: learn, recall, refine, show, list, delete."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from engramia.cli.accounting import accounting
from engramia.cli.command import command
from engramia.cli.exit_codes import ExitCode
from engramia.cli.reading import given_at_most_once, given_once
from engramia.cli.session import Session
from engramia.cli.terminal import counted
from engramia.core import documents, limits
from engramia.core.model import Classification, LearnResult, OnDuplicate, Recall, ReuseTier, Source
from engramia.errors import ValidationError

Key = Annotated[str, typer.Argument(metavar="KEY", help="A pattern's key, with or without 'patterns/'.")]
ClassificationFilter = Annotated[
    Classification | None, typer.Option("--classification", help="Only patterns of this classification.")
]
SourceFilter = Annotated[Source | None, typer.Option("--source", help="Only patterns from this door.")]
MinScore = Annotated[float | None, typer.Option("--min-score", help="Least success score, 0 to 10.")]
Offset = Annotated[int, typer.Option("--offset", help="How many to skip, for the next page.")]


def full_key(key: str) -> str:
    """Return `key` with the prefix that may be left out on the command line."""
    return key if "/" in key else f"patterns/{key}"


def learn(
    session: Session,
    *,
    task: Annotated[str, typer.Option("--task", "-t", help="What the run was asked to do.")],
    score: Annotated[float, typer.Option("--score", "-s", help="Quality of the run, 0 to 10.")],
    stdin: Annotated[
        str | None, typer.Argument(metavar="-", help="'-' reads the code from standard input.")
    ] = None,
    code: Annotated[str | None, typer.Option("--code", help="The code that was run.")] = None,
    code_file: Annotated[Path | None, typer.Option("--code-file", help="File with the code (UTF-8).")] = None,
    output: Annotated[str | None, typer.Option("--output", help="What the run printed or returned.")] = None,
    output_file: Annotated[Path | None, typer.Option("--output-file", help="File with the output.")] = None,
    classification: Annotated[
        Classification, typer.Option("--classification", help="How sensitive it is.")
    ] = Classification.INTERNAL,
    run_id: Annotated[str | None, typer.Option("--run-id", help="Your own id of the run.")] = None,
    skill: Annotated[
        list[str] | None, typer.Option("--skill", metavar="TAG", help="A tag; may be repeated.")
    ] = None,
    on_duplicate: Annotated[
        OnDuplicate, typer.Option("--on-duplicate", help="When a near-identical task is stored already.")
    ] = OnDuplicate.REPLACE_IF_BETTER,
) -> None:
    """Store an agent run as a pattern.

    A run is the task, the code, its output and how good it was. Secrets and personal data are taken out
    before anything is stored.
    """
    content = given_once(code, code_file, stdin, field="code", max_chars=limits.CODE_MAX_CHARS)
    result_text = given_at_most_once(output, output_file, field="output", max_chars=limits.OUTPUT_MAX_CHARS)
    with session.memory() as memory:
        result = memory.learn(
            task=task,
            code=content,
            eval_score=score,
            output=result_text,
            run_id=run_id,
            classification=classification,
            source=Source.CLI,
            skills=skill or (),
            on_duplicate=on_duplicate,
        )
    session.terminal.answer(documents.learn_document(result))
    session.terminal.say(_learned(result))


def recall(
    session: Session,
    *,
    task: Annotated[str, typer.Argument(metavar="TASK", help="What has to be done now, in words.")],
    limit: Annotated[
        int, typer.Option("--limit", "-n", help="Most matches to return, 1 to 50.")
    ] = limits.RECALL_LIMIT_DEFAULT,
    offset: Offset = 0,
    min_score: MinScore = None,
    classification: ClassificationFilter = None,
    source: SourceFilter = None,
    min_similarity: Annotated[
        float | None,
        typer.Option("--min-similarity", help="Least similarity, 0 to 1 (default: by the model)."),
    ] = None,
    deduplicate: Annotated[
        bool,
        typer.Option("--deduplicate/--no-deduplicate", help="Show the best of each group of like tasks."),
    ] = True,
    eval_weighted: Annotated[
        bool, typer.Option("--eval-weighted/--no-eval-weighted", help="Let quality weigh in the order.")
    ] = True,
    recency_weight: Annotated[
        float, typer.Option("--recency-weight", help="How much age counts, 0 to 1.")
    ] = 0.0,
    half_life: Annotated[
        float, typer.Option("--half-life", help="Days after which recency is halved.")
    ] = 30.0,
    readonly: Annotated[bool, typer.Option("--readonly", help="Leave the reuse counts alone.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show the parts of each score and what differs.")
    ] = False,
    code: Annotated[
        bool, typer.Option("--code", help="Print the best match's code and nothing else.")
    ] = False,
) -> ExitCode:
    """Find stored runs for a task.

    Each match says how far it can be trusted. Tiers: duplicate (use as is), adapt (change it to fit),
    fresh (write new code; context only).
    """
    with session.memory() as memory:
        found = memory.recall(
            task,
            limit=limit,
            offset=offset,
            deduplicate=deduplicate,
            eval_weighted=eval_weighted,
            classification=classification,
            source=source,
            min_score=min_score,
            min_similarity=min_similarity,
            recency_weight=recency_weight,
            recency_half_life_days=half_life,
            readonly=readonly,
            explain=explain,
        )
    if code:
        return _print_code(session, found)
    session.terminal.answer(documents.recall_document(found))
    _show_recall(session, found)
    return ExitCode.OK


def refine(
    session: Session,
    *,
    key: Key,
    score: Annotated[float, typer.Argument(metavar="SCORE", help="Quality seen now, 0 to 10.")],
    feedback: Annotated[
        str | None, typer.Option("--feedback", "-f", help="What was wrong, in words.")
    ] = None,
) -> None:
    """Add a quality observation to a pattern.

    What was said with it counts as feedback.
    """
    with session.memory() as memory:
        record = memory.refine_pattern(full_key(key), score, feedback)
    session.terminal.answer(documents.record_document(record))
    session.terminal.say(
        f"Noted {score:g} for {record.pattern.key} ({counted(len(record.observations), 'observation')})."
    )


def show(session: Session, *, key: Key) -> None:
    """Show one pattern with its history."""
    with session.memory() as memory:
        record = memory.get_pattern(full_key(key))
    if session.json:
        session.terminal.answer(documents.record_document(record))
        return
    from engramia.cli import tables

    session.terminal.out.print(tables.record_view(record))


def list_(
    session: Session,
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", help="Most patterns to return, 1 to 1000.")] = 20,
    offset: Offset = 0,
    min_score: MinScore = None,
    classification: ClassificationFilter = None,
    source: SourceFilter = None,
) -> None:
    """List patterns, newest first."""
    with session.memory() as memory:
        page = memory.list_patterns(
            classification=classification, source=source, min_score=min_score, limit=limit, offset=offset
        )
    if session.json:
        session.terminal.answer(documents.list_document(page))
        return
    from engramia.cli import tables

    if not len(page):
        session.terminal.say(
            "No patterns here. `engramia learn` stores one, `engramia demo` shows how it works."
        )
        return
    session.terminal.out.print(tables.patterns_table(page))
    say_next(session, page.next_offset)


def delete(
    session: Session,
    *,
    key: Key,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask; needed where nobody can answer.")
    ] = False,
) -> ExitCode:
    """Delete a pattern for good.

    Its versions and observations go with it.
    """
    key = full_key(key)
    with session.memory() as memory:
        task = memory.get_pattern(key).pattern.task
        if not (yes or _confirmed(session, task)):
            session.terminal.note("Nothing was deleted.")
            return ExitCode.USAGE
        with (
            accounting(session, memory) as accounts,
            accounts.act("pattern.deleted", {"pattern_key": key}) as inside,
        ):
            inside.delete_pattern(key)
    session.terminal.answer({"deleted": True, "pattern_key": key})
    session.terminal.say(f"Deleted {key}.")
    return ExitCode.OK


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    command(
        app,
        "learn",
        examples=(
            'engramia learn --task "Merge two CSV files by id" --code-file merge.py --score 9',
            'engramia learn -t "Parse the access log" -s 7.5 --skill python --skill logs - < parse.py',
        ),
    )(learn)
    command(
        app,
        "recall",
        examples=(
            'engramia recall "join CSV files on a column"',
            'engramia recall "join CSV files" --explain --min-score 6',
            'engramia recall "join CSV files" --code > draft.py',
        ),
    )(recall)
    command(
        app,
        "refine",
        examples=('engramia refine patterns/01k… 4 --feedback "fails on an empty file"',),
    )(refine)
    command(app, "show", examples=("engramia show patterns/01k…", "engramia show 01k… --json"))(show)
    command(app, "list", examples=("engramia list", "engramia list --source cli --min-score 8"))(list_)
    command(app, "delete", examples=("engramia delete patterns/01k…", "engramia delete 01k… --yes"))(delete)


def say_next(session: Session, next_offset: int | None) -> None:
    """Tell how to see the next page, if there is one."""
    if next_offset is not None:
        session.terminal.say(f"More: add --offset {next_offset}")


def _learned(result: LearnResult) -> str:
    if not result.stored:
        return f"Not stored: {result.duplicate_of} holds nearly the same task and was kept."
    if result.duplicate_of:
        return f"Stored in place of a worse run of the same task: {result.pattern_key}."
    return f"Stored {result.pattern_key}; {counted(result.pattern_count, 'pattern')} in this project."


def _print_code(session: Session, found: Recall) -> ExitCode:
    if not found:
        detail = "Nothing was recalled for this task."
        if session.json:
            session.terminal.answer({"error": "not_found", "detail": detail})
        else:
            session.terminal.note(detail)
        return ExitCode.NOT_FOUND
    best = found[0]
    if session.json:
        session.terminal.answer(
            {
                "code": best.pattern.code,
                "reuse_tier": best.reuse_tier.value,
                "similarity": best.similarity,
                "pattern_key": best.pattern_key,
            }
        )
        return ExitCode.OK
    session.terminal.write(best.pattern.code.rstrip("\n").encode() + b"\n")
    if best.reuse_tier is not ReuseTier.DUPLICATE:
        session.terminal.note(
            f"Tier {best.reuse_tier.value}: stored for {best.pattern.task!r}; check it before use."
        )
    return ExitCode.OK


def _show_recall(session: Session, found: Recall) -> None:
    if session.json:
        return
    if found.degraded:
        session.terminal.note(f"Notice: compared by words alone, at least in part: {found.reason}.")
    if not found:
        session.terminal.say("Nothing stored fits this task.")
        return
    from engramia.cli import tables

    session.terminal.out.print(tables.recall_table(found))
    say_next(session, found.next_offset)


def _confirmed(session: Session, task: str) -> bool:
    if not sys.stdin.isatty() or session.json:
        raise ValidationError("Deleting needs --yes where nobody can be asked.", field="yes")
    session.terminal.note(f"Task: {task}")
    return typer.confirm("Delete this pattern for good?", err=True)
