"""(e) Speed: embedding apart, storage at growing sizes, and the whole command a user types."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import storage_speed
from benchmarks.report import Table
from engramia.core.embedding import Embeddings

SIZES = (1_000, 10_000, 50_000, 100_000)
_ENGRAMIA = str(Path(sys.executable).with_name("engramia"))
_RUNS = 5

_COLD_START = """
import json, time
began = time.perf_counter()
from functools import partial
from pathlib import Path
from engramia.providers import LocalEmbeddings
embeddings = LocalEmbeddings(cache_dir=Path({cache!r}))
embeddings.embed(["Parse a CSV file and report the mean of each column"])
seconds = time.perf_counter() - began
embeddings.embed([f"Count the words of chapter {{number}} and sort them" for number in range(512)])
status = Path("/proc/self/status").read_text()
resident = next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))
print(json.dumps({{"cold_start_s": seconds, "resident_mb": resident}}))
"""


def run(embeddings: Embeddings, table: Table, *, cache: Path, largest: int) -> dict[str, Any]:
    """Return seconds, milliseconds and megabytes, all read on this machine now."""
    table.start("Embedding", ["figure", "value"])
    embedding = _embedding(embeddings, cache)
    for name, value in embedding.items():
        table.row(name, value)
    return {"embedding": embedding, "storage": _storage(table, largest), "command": _command(table, cache)}


def _embedding(embeddings: Embeddings, cache: Path) -> dict[str, float]:
    texts = [f"Read table {number} of the report and write its totals to a CSV file" for number in range(600)]
    embeddings.embed(texts[:32])
    single = [storage_speed.timed(partial(embeddings.embed, [text])).wall for text in texts[:200]]
    batch = storage_speed.timed(partial(embeddings.embed, texts)).wall
    script = _COLD_START.format(cache=str(cache))
    starts = [json.loads(subprocess.check_output([sys.executable, "-c", script])) for _ in range(_RUNS)]
    return {
        "short_text_p50_ms": statistics.median(single) * 1e3,
        "batch_texts_per_s": len(texts) / batch,
        "cold_start_s": statistics.median(start["cold_start_s"] for start in starts),
        "resident_mb": max(start["resident_mb"] for start in starts),
    }


def _storage(table: Table, largest: int) -> list[dict[str, Any]]:
    corpus = storage_speed.Corpus.make()
    with tempfile.TemporaryDirectory() as place:
        rows = [storage_speed.measure(size, corpus, Path(place)) for size in SIZES if size <= largest]
    table.start("Storage (p50 ms)", ["figure", *(f"{row['patterns']:,}" for row in rows)])
    for name in rows[0]:
        cells = [row[name] for row in rows]
        table.row(name, *(cell["p50_ms"] if isinstance(cell, dict) else cell for cell in cells))
    return rows


def _command(table: Table, cache: Path) -> dict[str, float]:
    """Time `engramia recall` from process start to exit, on a folder that holds one pattern."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "ENGRAMIA_DATA_PATH": folder,
            "ENGRAMIA_CACHE_PATH": str(cache),
            "ENGRAMIA_EMBEDDING_MODEL": "local",
        }
        learn = ["learn", "--task", "Parse a CSV file", "--code", "import csv", "--score", "9"]
        subprocess.run([_ENGRAMIA, *learn], env=environment, check=True, capture_output=True)
        seconds = []
        for _ in range(_RUNS):
            began = time.perf_counter()
            subprocess.run(
                [_ENGRAMIA, "recall", "Read a CSV file"], env=environment, check=True, capture_output=True
            )
            seconds.append(time.perf_counter() - began)
    table.start("The command line", ["figure", "value"])
    median = statistics.median(seconds)
    table.row("engramia recall, s", median)
    return {"recall_s": median}
