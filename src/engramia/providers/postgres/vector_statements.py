"""What statements about vectors have in common."""

from typing import Any

from sqlalchemy import ColumnElement, Double, bindparam

from engramia.providers.postgres.tables import VectorColumn, pattern_vectors

QUERY_VECTOR: ColumnElement[Any] = bindparam("query_vector", type_=VectorColumn)
NEGATIVE_DOT: ColumnElement[float] = pattern_vectors.c.embedding.op("<#>", return_type=Double())(QUERY_VECTOR)
