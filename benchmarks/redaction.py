"""Measures redaction: recall per kind, false alarms, throughput and growth with the input's length.

Run: `python -m benchmarks.redaction [--json FILE]`.
"""

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

from tests.core.redaction.innocent_corpus import innocent
from tests.core.redaction.secrets_corpus import SECRETS

from engramia.core.redaction import Redactor
from engramia.core.redaction.vendors import VENDORS

SHORT = (
    "Return the n largest integers of a list.\ndef largest(xs, n):\n    return sorted(xs, reverse=True)[:n]"
)


def recall(redactor: Redactor) -> dict[str, dict[str, float]]:
    """Return found, total and recall (0-1) per kind and for `all`."""
    total = Counter(secret.kind for secret in SECRETS)
    found = Counter(s.kind for s in SECRETS if s.value not in redactor.redact(s.text))
    total["all"], found["all"] = total.total(), found.total()
    return {
        kind: {"found": found[kind], "total": n, "recall": round(found[kind] / n, 4)}
        for kind, n in total.items()
    }


def false_alarms(redactor: Redactor) -> dict[str, float]:
    """Return how many innocent snippets were changed, of how many, and the rate (0-1)."""
    snippets = innocent()
    wrong = sum(redactor.redact(snippet) != snippet for snippet in snippets)
    return {"wrong": wrong, "total": len(snippets), "rate": round(wrong / len(snippets), 4)}


def seconds(redactor: Redactor, text: str, repeats: int) -> float:
    """Return the best time of `repeats` redactions in seconds."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        redactor.redact(text)
        best = min(best, time.perf_counter() - start)
    return best


def speed(redactor: Redactor) -> dict[str, float]:
    """Return microseconds for a short task, and MB/s at 10 kB, 100 kB and 1 MB of several texts."""
    figures = {"short_us": round(seconds(redactor, SHORT, 500) * 1e6, 1)}
    plain = "\n".join(innocent())
    mixed = "\n".join([*innocent(), *(secret.text for secret in SECRETS)])
    for name, base in (("innocent", plain), ("mixed", mixed), ("unicode", plain.replace("e", "ě"))):
        for size in (10_000, 100_000, 1_000_000):
            text = (base * (size // len(base) + 1))[:size]
            figures[f"{name}_{size // 1000}kB_MBps"] = round(size / seconds(redactor, text, 3) / 1e6, 2)
    return figures


def main(arguments: list[str]) -> None:
    """Print the figures as a table and, if asked, write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args(arguments)
    redactor = Redactor()
    timing = speed(redactor)
    figures = {
        "vendors": len({vendor.name for vendor in VENDORS}),
        "recall": recall(redactor),
        "false_alarms": false_alarms(redactor),
        "speed": timing,
    }
    print(f"vendors in the table      {figures['vendors']}")
    for kind, row in recall(redactor).items():
        print(f"recall {kind:<18} {row['recall']:.3f}  ({row['found']:.0f}/{row['total']:.0f})")
    for name, figure in {**false_alarms(redactor)}.items():
        print(f"false alarms {name:<12} {figure:g}")
    for name, figure in timing.items():
        print(f"{name:<28} {figure:g}")
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
