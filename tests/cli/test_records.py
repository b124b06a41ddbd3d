"""Reading exports in both formats."""

import io
import json

import pytest

from engramia.cli.records import RecordFile
from engramia.errors import ValidationError


def read(content: bytes) -> tuple[list[object], RecordFile]:
    source = RecordFile(io.BytesIO(content))
    return list(source.records()), source


def test_json_lines_keep_their_line_numbers() -> None:
    values, source = read(b'{"key":1,"data":{}}\n\n  \n{"key":2,"data":{}}')
    assert values == [{"key": 1, "data": {}}, {"key": 2, "data": {}}]
    assert [source.line_of(0), source.line_of(1)] == [1, 4]
    assert source.total is None
    assert not source.bad


def test_bad_lines_are_reported_and_the_rest_is_read() -> None:
    values, source = read(b'{"key":1\n{"key":2,"data":{}}\nnonsense\n{"a":NaN}\n{"key":3,"data":{}}\n')
    assert [value["key"] for value in values if isinstance(value, dict)] == [2, 3]
    assert [bad.line for bad in source.bad] == [1, 3, 4]
    assert all("not valid JSON" in bad.reason for bad in source.bad)
    assert [source.line_of(0), source.line_of(1)] == [2, 5]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("wrap", [lambda many: {"records": many, "count": 2}, lambda many: many])
def test_a_document_is_read_whole(indent: int | None, wrap: object) -> None:
    many = [{"key": "a", "data": {}}, {"key": "b", "data": {}}]
    assert callable(wrap)
    values, source = read(b"\n" + json.dumps(wrap(many), indent=indent).encode())
    assert values == many
    assert source.total == 2
    assert source.line_of(0) is None


def test_a_document_as_export_writes_it_is_read() -> None:
    values, source = read(b'{"records":[\n{"key":"a","data":{}},\n{"key":"b","data":{}}\n],"count":2}\n')
    assert len(values) == source.total == 2


def test_a_broken_document_is_one_error() -> None:
    with pytest.raises(ValidationError, match="not valid JSON"):
        read(b'{"records": [\n {"key": 1}\n')


def test_an_empty_file_has_no_records() -> None:
    assert read(b"")[0] == []
    assert read(b"\n \n")[0] == []


def test_a_line_too_long_is_passed_over() -> None:
    content = b'{"key":1,"data":{}}\n"' + b"x" * 100 + b'"\n{"key":2,"data":{}}\n'
    source = RecordFile(io.BytesIO(content), line_max=30)
    values = list(source.records())
    assert [value["key"] for value in values if isinstance(value, dict)] == [1, 2]
    assert [bad.line for bad in source.bad] == [2]
    assert source.line_of(1) == 3


def test_reading_is_lazy() -> None:
    file = io.BytesIO(b'{"key":1,"data":{}}\n' * 1000)
    first = next(RecordFile(file).records())
    assert first == {"key": 1, "data": {}}
    assert file.tell() < 100
