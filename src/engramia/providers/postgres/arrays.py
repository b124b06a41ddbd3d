"""Whole columns in one value: `array_send(array_agg(x))`, read by numpy without a Python object per row."""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Select, func, select

_HEADER = struct.Struct(">iiIii")  # dimensions, flags, type of an element, length, lower bound
_ELEMENT_LENGTH = 4


def column(values: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return all values of a column, which the functions below read; NULL without a row."""
    return func.array_send(func.array_agg(values))


def joined(values: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the bytes of all rows, one row's after another's, in the order of `column`; NULL without one."""
    return func.string_agg(values, func.decode("", "hex"))


def beside(**statements: Select[Any]) -> Select[Any]:
    """Return one statement for the rows of several that give one each; their names stand before its columns.

    To send and answer one costs less than half of what three do.
    """
    parts = [(name, statement.subquery(name)) for name, statement in statements.items()]
    return select(*(part.label(f"{name}_{part.name}") for name, found in parts for part in found.c))


def integers(sent: bytes | None) -> NDArray[np.int64]:
    """Return the elements of a sent `bigint[]` without nulls; none for NULL."""
    return _elements(sent, ">i8").astype(np.int64)


def doubles(sent: bytes | None) -> NDArray[np.float64]:
    """Return the elements of a sent `double precision[]` without nulls."""
    return _elements(sent, ">f8").astype(np.float64)


def reals(sent: bytes | None) -> NDArray[np.float32]:
    """Return the elements of a sent `real[]` without nulls."""
    return _elements(sent, ">f4").astype(np.float32)


def vector(sent: bytes) -> NDArray[np.float32]:
    """Return the components of a sent pgvector `vector`: after two 16-bit integers, as floats."""
    return np.frombuffer(sent, ">f4", offset=4).astype(np.float32)


def vectors(sent: bytes, count: int) -> NDArray[np.float32]:
    """Return `count` sent vectors of one dimension, end to end, as an array of shape (count, dimension)."""
    dimension = len(sent) // (4 * count) - 1
    whole = np.frombuffer(sent, np.dtype([("head", "V4"), ("values", ">f4", (dimension,))]))
    return np.asarray(whole["values"], np.float32)


def _elements(sent: bytes | None, kind: str) -> NDArray[np.void]:
    if sent is None:
        return np.zeros(0, kind)
    element = np.dtype([("length", ">i4"), ("value", kind)])
    return np.frombuffer(sent, element, offset=_HEADER.size)["value"]
