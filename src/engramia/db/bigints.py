"""Many integers as one parameter: a numpy array sent without a Python object for each."""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from psycopg.abc import AdaptContext
from psycopg.adapt import Dumper
from psycopg.pq import Format

_BIGINT, _BIGINT_ARRAY = 20, 1016  # Postgres' own numbers for the types
_HEADER = struct.Struct(">iiI")  # dimensions, whether there are nulls, type of an element
_AXIS = struct.Struct(">ii")  # length, lower bound
_ELEMENT = np.dtype([("size", ">i4"), ("value", ">i8")])


@dataclass(frozen=True, slots=True, eq=False)
class Bigints:
    """Integers of 64 bits, shape (n,), for a parameter of type `bigint[]`."""

    values: NDArray[np.int64]


class _BigintsDumper(Dumper):
    format = Format.BINARY
    oid = _BIGINT_ARRAY

    def dump(self, obj: Bigints) -> bytes:
        if not obj.values.size:
            return _HEADER.pack(0, 0, _BIGINT)
        elements = np.empty(len(obj.values), _ELEMENT)
        elements["size"], elements["value"] = 8, obj.values
        return _HEADER.pack(1, 0, _BIGINT) + _AXIS.pack(len(elements), 1) + elements.tobytes()


def register_bigints(context: AdaptContext) -> None:
    """Let a connection take `Bigints`."""
    context.adapters.register_dumper(Bigints, _BigintsDumper)
