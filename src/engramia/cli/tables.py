"""What people see of patterns and matches."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from engramia.cli.terminal import plain
from engramia.core.failures import FailureCluster
from engramia.core.model import (
    Explanation,
    FeedbackItem,
    Match,
    Pattern,
    PatternRecord,
    Recall,
    ReuseTier,
)
from engramia.core.query import Page

TIERS = {
    ReuseTier.DUPLICATE: ("green", "use as is"),
    ReuseTier.ADAPT: ("yellow", "change to fit"),
    ReuseTier.FRESH: ("red", "write new code"),
}
TASK_CHARS = 300
"""How much of a long task a table shows."""


def table(*columns: str, right: Sequence[str] = (), title: str | None = None) -> Table:
    """Return an empty table; the columns named in `right` hold numbers."""
    drawn = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for column in columns:
        drawn.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return drawn


def facts(rows: Iterable[tuple[str, object]], *, title: str | None = None) -> Table:
    """Return a table of names and values."""
    drawn = Table(box=None, show_header=False, title=title, title_justify="left", pad_edge=False)
    drawn.add_column(style="bold", no_wrap=True)
    drawn.add_column(overflow="fold")
    for name, value in rows:
        drawn.add_row(name, Text(plain(str(value))))
    return drawn


def tier_text(tier: ReuseTier) -> Text:
    """Return the tier in its colour and in words."""
    colour, words = TIERS[tier]
    return Text.assemble((tier.value, colour), "\n", (words, "dim"))


def recall_table(recall: Recall) -> Table:
    """Return matches, best first."""
    drawn = table("Similarity", "Tier", "Score", "Task", right=("Similarity", "Score"))
    for match in recall:
        drawn.add_row(
            f"{match.similarity:.3f}", tier_text(match.reuse_tier), f"{match.score:.3f}", _described(match)
        )
    return drawn


def explained(explanation: Explanation, tier: ReuseTier) -> str:
    """Return the parts of a score and what differs, in words."""
    parts = (
        f"relevance {explanation.relevance:.3f} x quality {explanation.quality:.2f}"
        f" x recency {explanation.recency:.2f}, words agree {explanation.lexical:.2f}"
    )
    return f"{parts}\n{differing(explanation, tier)}"


def differing(explanation: Explanation, tier: ReuseTier) -> str:
    """Return what differs between the two tasks, in words."""
    if explanation.differences:
        return f"differs: {'; '.join(explanation.differences)}"
    return "too little in common" if tier is ReuseTier.FRESH else "nothing that matters differs"


def patterns_table(patterns: Iterable[Pattern]) -> Table:
    """Return patterns in the order given."""
    drawn = table("Score", "Reused", "Created", "Source", "Task", right=("Score", "Reused"))
    for pattern in patterns:
        drawn.add_row(
            f"{pattern.success_score:.1f}",
            str(pattern.reuse_count),
            f"{pattern.created_at:%Y-%m-%d}",
            pattern.source.value,
            _task_and_key(pattern),
        )
    return drawn


def record_view(record: PatternRecord) -> RenderableType:
    """Return everything about one pattern."""
    pattern = record.pattern
    rows: list[tuple[str, object]] = [
        ("Key", pattern.key),
        ("Task", pattern.task),
        ("Score", f"{pattern.success_score:.2f} of 10"),
        ("Reused", pattern.reuse_count),
        ("Created", f"{pattern.created_at:%Y-%m-%d %H:%M} UTC"),
        ("Source", pattern.source.value),
        ("Classification", pattern.classification.value),
        ("Skills", ", ".join(pattern.skills) or "none"),
        ("Embedding", pattern.embedding_model or "waiting for its vector"),
    ]
    parts: list[RenderableType] = [facts(rows), Text("\nCode", style="bold"), code_view(pattern.code)]
    if pattern.output:
        parts += [Text("\nOutput", style="bold"), Text(plain(pattern.output))]
    return Group(*parts, *_history(record))


def code_view(code: str, *, most_lines: int | None = None) -> RenderableType:
    """Return code on its own, at most `most_lines` of it."""
    from rich.syntax import Syntax  # It brings Pygments, which a table does without.

    lines = plain(code).rstrip().splitlines()
    shown = "\n".join(lines if most_lines is None else lines[:most_lines])
    drawn = Syntax(shown, "python", theme="ansi_dark", background_color="default", word_wrap=True)
    if most_lines is None or len(lines) <= most_lines:
        return drawn
    return Group(drawn, Text(f"… {len(lines) - most_lines} more lines", style="dim"))


def feedback_table(page: Page[FeedbackItem]) -> Table:
    """Return quality issues, most pressing first."""
    drawn = table("Said", "Weight", "Last", "Issue", right=("Said", "Weight"))
    for item in page:
        drawn.add_row(
            str(item.count), f"{item.weight:.2f}", f"{item.last_seen:%Y-%m-%d}", Text(plain(item.text))
        )
    return drawn


def clusters_table(clusters: Iterable[FailureCluster]) -> Table:
    """Return failure clusters with their members' count."""
    drawn = table("Times", "Avg score", "Wordings", "Failure", right=("Times", "Avg score", "Wordings"))
    for cluster in clusters:
        drawn.add_row(
            str(cluster.total_count),
            "-" if cluster.avg_score is None else f"{cluster.avg_score:.1f}",
            str(len(cluster.members)),
            Text(plain(shortened(cluster.representative))),
        )
    return drawn


def metrics_rows(metrics: Mapping[str, Any]) -> list[tuple[str, object]]:
    """Return the document of aggregate statistics as rows for `facts`."""
    quality = metrics["avg_eval_score"]
    return [
        ("Patterns", f"{metrics['pattern_count']:,}"),
        ("Runs learned", f"{metrics['runs']:,}"),
        ("Success rate", f"{metrics['success_rate']:.0%}"),
        ("Average quality", "none in 30 days" if quality is None else f"{quality:.2f} of 10"),
        ("Reuse rate", f"{metrics['reuse_rate']:.0%} of recalls"),
    ]


def shortened(text: str, chars: int = TASK_CHARS) -> str:
    """Return `text` cut to `chars` characters."""
    return text if len(text) <= chars else f"{text[: chars - 1].rstrip()}…"


def size(count: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def named(document: Mapping[str, object]) -> list[tuple[str, object]]:
    """Return a mapping's values with their names made readable."""
    return [(name.replace("_", " ").capitalize(), value) for name, value in document.items()]


def _described(match: Match) -> Text:
    text = _task_and_key(match.pattern)
    if match.explanation:
        text.append(f"\n{plain(explained(match.explanation, match.reuse_tier))}", style="cyan")
    return text


def _task_and_key(pattern: Pattern) -> Text:
    return Text.assemble(plain(shortened(pattern.task)), "\n", (pattern.key, "dim"))


def _history(record: PatternRecord) -> list[RenderableType]:
    parts: list[RenderableType] = []
    if record.observations:
        drawn = table("Score", "When", "Feedback", right=("Score",), title="\nQuality observations")
        for seen in record.observations:
            drawn.add_row(f"{seen.score:.1f}", f"{seen.at:%Y-%m-%d %H:%M}", Text(plain(seen.feedback or "")))
        parts.append(drawn)
    if record.versions:
        drawn = table("Score", "Replaced", "Code", right=("Score",), title="\nEarlier versions")
        for version in record.versions:
            first = version.code.strip().partition("\n")[0]
            drawn.add_row(
                f"{version.success_score:.1f}", f"{version.replaced_at:%Y-%m-%d}", Text(plain(first))
            )
        parts.append(drawn)
    return parts
