"""Export and import: formats, files, bad records, interruption."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from engramia.bootstrap import Memory
from engramia.cli.exit_codes import ExitCode
from engramia.cli.session import Session
from engramia.core.model import ImportResult
from engramia.errors import StorageFullError
from engramia.memory.upkeep import Progress
from engramia.settings import Settings
from tests.cli.conftest import Cli


def records(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.usefixtures("learned")
def test_export_streams_records_that_import_takes_back(cli: Cli, tmp_path: Path) -> None:
    cli("learn", "-t", "Plot a chart", "--code", "plot()", "-s", "6")
    exported = cli("export")
    assert len(records(exported.out)) == 2
    file = tmp_path / "patterns.ndjson"
    file.write_text(exported.out)
    result = cli("import", str(file), "--project", "copy", "--json")
    assert result.code == 0
    assert result.document == {"imported": 2, "skipped": 0, "total": 2, "reasons": []}
    assert records(cli("export", "--project", "copy").out) == records(exported.out)


def test_json_format_is_one_document_and_imports_too(cli: Cli, learned: str, tmp_path: Path) -> None:
    file = tmp_path / "patterns.json"
    ended = cli("export", "--format", "json", "-o", str(file), "--json")
    assert ended.document == {"exported": 1, "path": str(file), "format": "json"}
    document = json.loads(file.read_text())
    assert document["count"] == len(document["records"]) == 1
    assert document["records"][0]["key"] == learned
    assert cli("import", str(file), "--project", "copy", "--json").document["imported"] == 1
    assert cli("export", "--json").document == document


def test_an_empty_memory_exports_an_empty_document(cli: Cli) -> None:
    assert cli("export", "--json").document == {"records": [], "count": 0}
    assert cli("export").out == ""


@pytest.mark.usefixtures("learned")
def test_export_does_not_replace_a_file_without_force(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "patterns.ndjson"
    file.write_text("precious")
    refused = cli("export", "-o", str(file))
    assert refused.code == ExitCode.USAGE
    assert "--force" in refused.err
    assert file.read_text() == "precious"
    assert cli("export", "-o", str(file), "--force").code == 0
    assert len(records(file.read_text())) == 1
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_file()] == ["patterns.ndjson"]


@pytest.mark.usefixtures("learned")
def test_export_into_a_folder_that_is_not_there_is_a_storage_error(cli: Cli, tmp_path: Path) -> None:
    ended = cli("export", "-o", str(tmp_path / "no" / "where.ndjson"))
    assert ended.code == ExitCode.STORAGE
    assert "Cannot write" in ended.err
    assert cli("export", "-o", "/dev/null", "--force").code == ExitCode.USAGE


@pytest.mark.usefixtures("learned")
def test_bad_records_are_reported_and_the_rest_goes_in(cli: Cli, tmp_path: Path) -> None:
    [good] = records(cli("export").out)
    bad_score = {**good, "data": {**good["data"], "success_score": 11}}
    lines = [json.dumps(bad_score), "{ nonsense", json.dumps(good), json.dumps(good)]
    file = tmp_path / "mixed.ndjson"
    file.write_text("\n".join(lines))
    ended = cli("import", str(file), "--project", "copy", "--json")
    assert ended.code == ExitCode.PARTLY
    document = ended.document
    assert (document["imported"], document["skipped"], document["total"]) == (1, 3, 4)
    assert [reason["line"] for reason in document["reasons"]] == [1, 2, 4]
    assert "success_score" in document["reasons"][0]["reason"]
    assert "not valid JSON" in document["reasons"][1]["reason"]
    assert "overwrite" in document["reasons"][2]["reason"]


def test_people_see_the_first_skipped_records(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "bad.ndjson"
    file.write_text("nonsense\n" * 30)
    ended = cli("import", str(file))
    assert ended.code == ExitCode.PARTLY
    assert "Imported 0 of 30 records." in ended.out
    assert "line 20" in ended.out
    assert "line 21" not in ended.out
    assert "10 more" in ended.out


def test_overwrite_replaces(cli: Cli, learned: str, tmp_path: Path) -> None:
    [record] = records(cli("export").out)
    record["data"]["code"] = "replaced()"
    file = tmp_path / "changed.ndjson"
    file.write_text(json.dumps(record))
    assert cli("import", str(file)).code == ExitCode.PARTLY
    assert cli("show", learned, "--json").document["code"] == "merge(a, b)"
    assert cli("import", str(file), "--overwrite").code == ExitCode.OK
    assert cli("show", learned, "--json").document["code"] == "replaced()"


@pytest.mark.slow  # a real process
def test_import_reads_standard_input(process: Cli) -> None:
    record = {
        "version": 1,
        "key": "patterns/01k3zzzzzzzzzzzzzzzzzzzzzz",
        "data": {"task": "Do", "code": "x", "success_score": 5},
    }
    ended = process("import", "-", "--json", stdin=json.dumps(record).encode())
    assert (ended.code, ended.document["imported"]) == (0, 1)


def test_a_file_that_is_not_there(cli: Cli) -> None:
    ended = cli("import", "not-there.ndjson")
    assert ended.code == ExitCode.USAGE
    assert "Cannot read not-there.ndjson" in ended.err


def ignored(_done: int, _total: int) -> None:
    """Report nothing."""


class Stopping(Memory):
    """A memory on files whose import stops after three records."""

    archive = None

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def import_data(
        self,
        records: Iterable[object],
        *,
        overwrite: bool = False,
        progress: Progress = ignored,
        whole: bool = False,
    ) -> ImportResult:
        del records, overwrite, whole
        progress(3, 3)
        raise self._error

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), ExitCode.INTERRUPTED), (StorageFullError("No space left."), ExitCode.STORAGE)],
)
def test_an_import_that_stops_says_what_is_kept(
    cli: Cli, tmp_path: Path, error: BaseException, code: ExitCode
) -> None:
    def opened(_settings: Settings) -> Memory:
        return Stopping(error)

    file = tmp_path / "any.ndjson"
    file.write_text("{}")
    ended = cli("import", str(file), "--json", session=Session(open_memory=opened))
    assert ended.code == code
    assert ended.document["processed"] == 3
    assert "The first 3 records are done and kept" in ended.document["detail"]
