"""The demo's report: for people on one screen or two, for programs as a document."""

from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from engramia.cli.rehearsal import Answer, Rehearsal
from engramia.cli.tables import TIERS, code_view, differing, shortened, table
from engramia.cli.terminal import plain
from engramia.core.documents import clusters_document, explanation_document
from engramia.core.model import ReuseTier

CODE_LINES = 12
REDACTED_SHOWN = 5


def demo_document(shown: Rehearsal) -> dict[str, Any]:
    """Return everything that the demo found out; the same for the same input."""
    return {
        "runs": shown.learned.runs,
        "patterns": shown.learned.patterns,
        "replaced": [
            {"task": one.task, "worse": one.worse, "better": one.better} for one in shown.learned.replaced
        ],
        "passed_over": list(shown.learned.passed_over),
        "redacted": [{"run": one.run_id, "stored": one.stored} for one in shown.learned.redacted],
        "answers": [_answer_document(answer) for answer in shown.answers],
        "held_back": [
            {
                "asked": one.asked,
                "stored": one.stored,
                "similarity": one.similarity,
                "differences": list(one.differences),
            }
            for one in shown.held_back
        ],
        "failures": clusters_document(list(shown.failures))["clusters"],
        "degraded": shown.degraded is not None,
        "reason": shown.degraded,
        "as_expected": shown.right,
        "judged": shown.judged,
    }


def demo_view(shown: Rehearsal) -> RenderableType:
    """Return the report that people read."""
    return Group(*_parts(shown))


def _parts(shown: Rehearsal) -> Iterator[RenderableType]:
    yield from _learning(shown)
    yield _heading("Asked, and recalled")
    yield _line(", ".join(f"{tier.value}: {words}" for tier, (_, words) in TIERS.items()), style="dim")
    if shown.degraded:
        yield _line(f"compared by words alone: {shown.degraded}", style="yellow")
    yield _answers_table(shown)
    yield from _excerpt(shown)
    yield from _guard(shown)
    yield from _failures(shown)
    yield from _misses(shown)
    if shown.judged:
        style = "bold green" if shown.right == shown.judged else "bold"
        yield Text(f"\n{shown.right} of {shown.judged} as a person would expect.", style=style)


def _answers_table(shown: Rehearsal) -> RenderableType:
    drawn = table()
    drawn.add_column("", no_wrap=True)
    drawn.add_column("Tier", no_wrap=True)
    drawn.add_column("Similarity", no_wrap=True, justify="right")
    drawn.add_column("Asked → best match: why")
    for answer in shown.answers:
        mark = {True: ("✓", "green"), False: ("✗", "red"), None: (" ", "")}[answer.right]
        best = answer.best
        similarity = f"{best.similarity:.3f}" if best else "-"
        tier = Text(answer.tier.value, style=TIERS[answer.tier][0])
        drawn.add_row(Text(*mark), tier, similarity, _cell(_lines_of(answer)))
    return drawn


def _cell(lines: Iterable[Text]) -> Text:
    """Return lines that are cut at the column's end: Rich takes the room from a column that may wrap."""
    return Text("\n", no_wrap=True, overflow="ellipsis").join(lines)


def _lines_of(answer: Answer) -> Iterator[Text]:
    yield Text(_one_line(answer.query.task), style="bold")
    best = answer.best
    yield Text(f"→ {_one_line(best.pattern.task)}" if best else "→ nothing stored fits")
    if best and best.explanation:
        parts = best.explanation
        why = f"words {parts.lexical:.2f}, quality {parts.quality:.2f}; {differing(parts, best.reuse_tier)}"
        yield Text(f"  {_one_line(why)}", style="cyan")


def _misses(shown: Rehearsal) -> Iterator[RenderableType]:
    missed = [answer for answer in shown.answers if answer.right is False]
    if missed:
        yield _heading("Not as a person would expect")
    for answer in missed:
        query = answer.query
        wanted = query.expected.value if query.expected else "something else"
        got = answer.tier.value if answer.tier is not query.expected else "another run"
        of = f" of “{shortened(answer.expected_task, 60)}”" if answer.expected_task else ""
        yield _line(query.task)
        yield _line(f"  expected {wanted}{of}, got {got}", style="red")
        if query.why:
            yield _line(f"  {query.why}", style="dim")


def _excerpt(shown: Rehearsal) -> Iterator[RenderableType]:
    """Show the code of the first match that can be used as it is."""
    best = next((answer.best for answer in shown.answers if answer.tier is ReuseTier.DUPLICATE), None)
    if best is not None:
        yield _heading(f"Code to use as it is, for “{plain(shortened(best.pattern.task, 80))}”")
        yield _indented(code_view(best.pattern.code, most_lines=CODE_LINES))


def _learning(shown: Rehearsal) -> Iterator[RenderableType]:
    learned = shown.learned
    yield _heading(f"Learning kept {learned.patterns} patterns of {learned.runs} runs")
    for one in learned.replaced:
        yield _line(f"took the place of a worse run ({one.worse:g} → {one.better:g}): {one.task}")
    for task in learned.passed_over:
        yield _line(f"no better than the stored run, passed over: {task}")
    if not learned.redacted:
        yield _line("no secrets or personal data were in them")
    for hidden in learned.redacted[:REDACTED_SHOWN]:
        yield _line(f"redacted before it was stored ({hidden.run_id}): {hidden.stored}")
    if len(learned.redacted) > REDACTED_SHOWN:
        yield _line(f"… and {len(learned.redacted) - REDACTED_SHOWN} more redacted lines")


def _guard(shown: Rehearsal) -> Iterator[RenderableType]:
    if shown.held_back:
        yield _heading("As similar as a duplicate, but held back because something that matters differs")
    for one in shown.held_back:
        yield _line(f"{one.similarity:.3f}  {one.asked}")
        yield _line(f"       {one.stored}")
        yield _line(f"       {'; '.join(one.differences)}", style="cyan")


def _failures(shown: Rehearsal) -> Iterator[RenderableType]:
    if shown.failures:
        yield _heading("What keeps going wrong (failure clusters)")
    for cluster in shown.failures:
        score = "" if cluster.avg_score is None else f", average score {cluster.avg_score:.1f}"
        yield _line(f"{cluster.total_count} times{score}: {cluster.representative}")


def _answer_document(answer: Answer) -> dict[str, Any]:
    best = answer.best
    query = answer.query
    return {
        "task": query.task,
        "tier": answer.tier.value,
        "similarity": best.similarity if best else None,
        "score": best.score if best else None,
        "match": best.pattern.task if best else None,
        "match_id": answer.best_id,
        "explanation": explanation_document(best.explanation) if best and best.explanation else None,
        "expected": query.expected.value if query.expected else None,
        "expected_id": query.expected_id,
        "as_expected": answer.right,
    }


def _heading(text: str) -> Text:
    return Text(f"\n{text}", style="bold underline")


def _line(text: str, *, style: str = "") -> RenderableType:
    return _indented(Text(_one_line(text), style=style, no_wrap=True, overflow="ellipsis"))


def _one_line(text: str) -> str:
    return plain(text).replace("\n", " ")


def _indented(content: RenderableType) -> RenderableType:
    return Padding(content, (0, 0, 0, 2))
