"""`python -m benchmarks [PART ...]`: measure quality and speed; a table as it goes, JSON at the end."""

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import datasets, failures, recall_quality, reuse, speed, tiers
from benchmarks.report import Table
from engramia import __version__
from engramia.providers import LocalEmbeddings

PARTS = ("recall", "tiers", "reuse", "failures", "speed")
_SETS = (
    "spider_sql_recall",
    "nl2bash_recall",
    "mbpp_runs",
    "mbpp_paraphrase",
    "humaneval_paraphrase",
    "near_dup_pairs",
    "codegen_attempts",
    "errors_clusters",
)


def main() -> int:
    """Run the parts asked for (all by default) and write their figures."""
    options = _arguments()
    parts = options.parts or PARTS
    if parts != ["speed"] and (problem := datasets.missing()):
        sys.stderr.write(f"{problem}\nWithout them only the speed part can run: make bench ARGS=speed\n")
        return 2
    embeddings = LocalEmbeddings(cache_dir=options.cache)
    table = Table()
    runs: dict[str, Callable[[], Any]] = {
        "recall": lambda: recall_quality.run(embeddings, table),
        "tiers": lambda: tiers.run(embeddings, table),
        "reuse": lambda: reuse.run(embeddings, table),
        "failures": lambda: failures.run(table),
        "speed": lambda: speed.run(embeddings, table, cache=options.cache, largest=options.largest),
    }
    figures: dict[str, Any] = {"engramia": __version__, "python": platform.python_version()}
    if datasets.missing() is None:
        figures["data_sha256"] = {name: datasets.sha256(name) for name in _SETS}
    for part in parts:
        began = time.perf_counter()
        figures[part] = runs[part]()
        figures.setdefault("seconds", {})[part] = round(time.perf_counter() - began, 1)
    _write(figures, options.output)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", choices=PARTS, metavar="PART", help=f"{', '.join(PARTS)} (default: all)"
    )
    parser.add_argument("--output", type=Path, help="write the JSON here instead of standard output")
    parser.add_argument("--largest", type=int, default=100_000, help="most patterns in the speed part")
    parser.add_argument(
        "--cache", type=Path, default=Path(".cache/engramia"), help="the local model's cache folder"
    )
    return parser.parse_args()


def _write(figures: dict[str, Any], output: Path | None) -> None:
    text = json.dumps(figures, indent=2)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text + "\n", encoding="utf-8")
    else:
        sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
