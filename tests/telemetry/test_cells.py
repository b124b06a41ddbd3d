import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engramia.telemetry import cells
from engramia.telemetry.cells import SEGMENT_BYTES, SharedCells, prepare, shared_totals
from engramia.telemetry.metrics import Metrics
from engramia.telemetry.totals import Totals
from tests.telemetry.conftest import Log
from tests.telemetry.scraped import scraped, value

LABELS = {"method": "POST", "path": "/v1/recall", "status_code": "200"}


@contextmanager
def worker(folder: Path, number: int) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.telemetry.counting", str(folder), str(number)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "done\n"
            yield process
        finally:
            process.kill()


def test_series_are_shared_by_name_and_added_up(tmp_path: Path) -> None:
    one, other = SharedCells(tmp_path), SharedCells(tmp_path)
    first, second, alone = one("a", 2), other("a", 2), other("größe", 1)
    first[0] += 1.5
    second[0] += 2
    second[1] = 7
    alone[0] = 9
    assert shared_totals(tmp_path) == {"a": [3.5, 7.0], "größe": [9.0]}


def test_a_file_grows_by_segments_and_old_cells_stay(tmp_path: Path) -> None:
    make = SharedCells(tmp_path)
    series = {
        f"series-{number:05}-{'x' * 50}": make(f"series-{number:05}-{'x' * 50}", 17)
        for number in range(4_000)
    }
    for number, row in enumerate(series.values()):
        row[16] = number
    totals = shared_totals(tmp_path)
    assert make.path.stat().st_size > 2 * SEGMENT_BYTES
    assert [totals[name][16] for name in series] == list(range(4_000))


def test_a_file_that_makes_no_sense_spoils_no_other(tmp_path: Path) -> None:
    metrics = Metrics(folder=tmp_path)
    metrics.recalled(1)
    good = next(tmp_path.iterdir()).read_bytes()
    damages = [b"", b"\xff" * SEGMENT_BYTES, good[:100], b"\0" * SEGMENT_BYTES]
    damages += [good[:place] + b"\xff" * 8 + good[place + 8 :] for place in range(0, 160, 8)]
    for number, damage in enumerate(damages):
        (tmp_path / f"damaged{number}.cells").write_bytes(damage)
        assert value(metrics, "engramia_recall_misses_total") == 0
        (tmp_path / f"damaged{number}.cells").unlink()
    assert value(metrics, "engramia_recall_hits_total") == 1


def test_on_a_full_disk_the_process_counts_alone_and_says_so(tmp_path: Path, log: Log) -> None:
    gone = tmp_path / "gone"
    metrics = Metrics(folder=gone)
    for _ in range(3):
        metrics.recalled(1)
        metrics.job_submitted("import")
    assert "engramia_recall_hits_total" not in scraped(metrics)
    assert [line["level"] for line in log.lines] == ["WARNING"]
    assert metrics._hits.totals() == {(): [3.0]}


def test_a_series_larger_than_a_segment_is_counted_alone(tmp_path: Path) -> None:
    row = SharedCells(tmp_path)("x" * SEGMENT_BYTES, 1)
    row[0] += 1
    assert (list(row), shared_totals(tmp_path)) == ([1.0], {})


def test_a_new_server_begins_anew(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "metrics"
    prepare(folder)
    SharedCells(folder)("a", 1)[0] = 1
    (folder / "somebody's").touch()
    prepare(folder)
    assert (shared_totals(folder), [path.name for path in folder.iterdir()]) == ({}, ["somebody's"])


@pytest.mark.slow
def test_processes_count_together_and_the_dead_are_not_forgotten(tmp_path: Path) -> None:
    here = Metrics(folder=tmp_path)
    here.tell_totals(lambda: Totals(pattern_count=42, total_runs=0))
    here.request("POST", "/v1/recall", 200, 0.002)
    with worker(tmp_path, 30), worker(tmp_path, 200):
        assert value(here, "engramia_requests_total", **LABELS) == 231
        assert value(here, "engramia_pattern_count") == 42
    # Both were killed.
    assert value(here, "engramia_requests_total", **LABELS) == 231
    assert value(here, "engramia_request_duration_seconds_count", **LABELS) == 231
    assert value(here, "engramia_recall_hits_total") == 230
    assert {one["operation"] for one, _ in scraped(here)["engramia_jobs_submitted_total"]} == {
        "worker-30",
        "worker-200",
    }
    with worker(tmp_path, 5):
        assert value(here, "engramia_requests_total", **LABELS) == 236


def test_the_size_of_a_segment_is_a_whole_number_of_pages() -> None:
    import mmap

    assert cells.SEGMENT_BYTES % mmap.ALLOCATIONGRANULARITY == 0
