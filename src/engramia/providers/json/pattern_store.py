"""The patterns port over the state of one scope."""

import math
from collections.abc import Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from engramia.core.model import (
    Classification,
    Observation,
    Pattern,
    PatternRecord,
    Version,
    check_pattern_key,
)
from engramia.core.query import DecayPolicy, Filter, Page, Search, SearchPage
from engramia.core.words import distinct_words, jaccard, words
from engramia.errors import EmbeddingModelMismatchError, NotFoundError, ValidationError
from engramia.providers.json import codec
from engramia.providers.json.candidates import matching
from engramia.providers.json.patterns import PatternTable
from engramia.providers.json.rows import pattern_of, record_of
from engramia.providers.json.search import run_searches
from engramia.providers.json.transaction import Transaction


class JSONPatternStore:
    """Implements `PatternStore`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    @property
    def _table(self) -> PatternTable:
        return self._transaction.state.patterns

    def count(self) -> int:
        """Return how many patterns there are."""
        return len(self._table.rows)

    def get(self, key: str) -> PatternRecord | None:
        """Return the pattern with its history, or None."""
        table = self._table
        row = table.rows.get(key)
        return record_of(table.body(row), table.columns, row, table.model) if row is not None else None

    def present(self, keys: Collection[str]) -> AbstractSet[str]:
        """Return those of `keys` under which there is a pattern."""
        return self._table.rows.keys() & keys

    def search(self, search: Search) -> SearchPage:
        """Answer a recall exactly: full pages while matches remain, `has_more` true only if there is more."""
        return self.search_many([search])[0]

    def search_many(self, searches: Sequence[Search]) -> Sequence[SearchPage]:
        """Answer each recall as `search` does, in one pass over the vectors."""
        return run_searches(self._table, searches)

    def near_identical(self, task: str, min_jaccard: float) -> Sequence[Pattern]:
        """Return patterns whose normalised task is `task`'s, then by overlap, then by score, newest first."""
        table, asked = self._table, distinct_words(task)
        rows = table.overlaps.candidates(asked, min_jaccard) if asked else table.wordless()
        ranked = []
        for row in rows:
            pattern = self._pattern(row)
            overlap = jaccard(asked, frozenset(words(pattern.task)))
            if overlap >= min_jaccard:
                same = words(pattern.task) == words(task)
                ranked.append(((same, overlap, pattern.success_score, pattern.key), pattern))
        return [pattern for _, pattern in sorted(ranked, key=lambda pair: pair[0], reverse=True)]

    def list(self, filter: Filter, *, limit: int, offset: int) -> Page[Pattern]:
        """Return patterns newest first, those of one moment by descending key."""
        columns = self._table.columns
        rows = np.flatnonzero(matching(columns, filter))
        return self._page(columns.ranked(rows, columns.created[rows]), limit, offset)

    def with_skills(
        self, skills: Sequence[str], *, match_all: bool, limit: int, offset: int
    ) -> Page[Pattern]:
        """Return patterns tagged with all (or any) of `skills`, best `success_score` first, then newest."""
        table = self._table
        tagged = [table.skills.get(skill, set()) for skill in skills]
        if not tagged:
            return Page((), offset)
        found = set.intersection(*tagged) if match_all else set.union(*tagged)
        rows = np.array(sorted(found), dtype=np.intp)
        newest = table.columns.ranked(rows, table.columns.created[rows])
        best = np.argsort(-table.columns.score[newest], kind="stable")
        return self._page(newest[best], limit, offset)

    def records(self, filter: Filter) -> Iterator[PatternRecord]:
        """Return every pattern with its history in key order, as of the call, however long it is read."""
        table = self._table
        columns, model = table.columns.copy(), table.model
        rows = np.flatnonzero(matching(columns, filter))
        rows = rows[np.argsort(columns.key[rows])]
        bodies = [(row, table.body(row)) for row in rows.tolist()]
        return (record_of(body, columns, row, model) for row, body in bodies)

    def mean_observation(self, since: datetime) -> float | None:
        """Return the mean score of all observations made at or after `since`, or None."""
        oldest = codec.time_text(since)
        bodies = (body for body in self._table.bodies if body is not None)
        scores = [seen["score"] for body in bodies for seen in body.observations if seen["at"] >= oldest]
        return sum(scores) / len(scores) if scores else None

    def embedding_model(self) -> str | None:
        """Return the identity of the model that fills this store, or None while it has no vector."""
        return self._table.model

    def waiting(self, limit: int) -> Sequence[tuple[str, str]]:
        """Return (key, task) of up to `limit` patterns that have no vector of the store's model."""
        table = self._table
        columns = table.columns
        waiting = np.flatnonzero((columns.alive & ~columns.dense)[: columns.size])[:limit]
        return [(body.key, body.task) for body in map(table.body, waiting.tolist())]

    def waiting_count(self) -> int:
        """Return how many patterns have no vector of the store's model."""
        table = self._table
        return len(table.rows) - table.dense_count

    def add(self, record: PatternRecord, vector: NDArray[np.float32] | None) -> None:
        """Store a pattern under its key, in place of one that has the key. `vector` is unit float32."""
        check_pattern_key(record.pattern.key)
        model = record.pattern.embedding_model if vector is not None else None
        text = self._vector(model, vector) if vector is not None else None
        event = {"kind": "add", "record": codec.encode_record(record), "model": model, "vector": text}
        self._transaction.emit(event)

    def replace(self, pattern: Pattern, superseded: Version) -> None:
        """Store `pattern` over the one with its key, whose vector it keeps, and append `superseded`."""
        self._existing(pattern.key)
        record, old = codec.encode_pattern(pattern, [], []), codec.encode_version(superseded)
        self._transaction.emit({"kind": "replace", "key": pattern.key, "record": record, "superseded": old})

    def observe(self, key: str, observation: Observation) -> None:
        """Append a quality observation."""
        self._existing(key)
        seen = codec.encode_observation(observation)
        self._transaction.emit({"kind": "observe", "key": key, "observation": seen})

    def set_skills(self, key: str, skills: Sequence[str]) -> None:
        """Put these tags in place of the pattern's."""
        self._existing(key)
        self._transaction.emit({"kind": "skills", "key": key, "skills": [*skills]})

    def classify(self, key: str, classification: Classification) -> None:
        """Set the pattern's classification."""
        self._existing(key)
        event = {"kind": "classify", "key": key, "classification": classification.value}
        self._transaction.emit(event)

    def count_reuse(self, keys: Sequence[str]) -> None:
        """Add one to the reuse count of each; keys that are gone are passed over."""
        present = [key for key in keys if key in self._table.rows]
        if present:
            self._transaction.emit({"kind": "reuse", "keys": present})

    def age(self, policy: DecayPolicy, now: datetime) -> int:
        """Decay every success score since it was last decayed, delete what fell low, return how many."""
        before = self.count()
        if before:
            self._transaction.emit(codec.decay_event("age", policy, now))
        return before - self.count()

    def delete(self, keys: Sequence[str]) -> int:
        """Delete patterns and all that hangs on them; return how many there were."""
        present = [key for key in dict.fromkeys(keys) if key in self._table.rows]
        if present:
            self._transaction.emit({"kind": "delete", "keys": present})
        return len(present)

    def set_vectors(self, model: str, vectors: Sequence[tuple[str, NDArray[np.float32]]]) -> None:
        """Give patterns their vectors, made by `model`; keys that are gone are passed over."""
        present = [(key, vector) for key, vector in vectors if key in self._table.rows]
        if present:
            dimension = len(present[0][1])
            texts = [[key, self._vector(model, vector, dimension)] for key, vector in present]
            self._transaction.emit({"kind": "vectors", "model": model, "vectors": texts})

    def use_embedding_model(self, model: str) -> None:
        """Make `model` the store's own; vectors of any other no longer count and their patterns wait."""
        if model != self._table.model:
            self._transaction.emit({"kind": "model", "model": model})

    def _existing(self, key: str) -> None:
        if key not in self._table.rows:
            raise NotFoundError(f"There is no pattern {key!r}.")

    def _pattern(self, row: int) -> Pattern:
        table = self._table
        return pattern_of(table.body(row), table.columns, row, table.model)

    def _page(self, rows: NDArray[np.intp], limit: int, offset: int) -> Page[Pattern]:
        shown = rows[offset : offset + limit].tolist()
        return Page(tuple(map(self._pattern, shown)), offset, len(rows) > offset + limit)

    def _vector(self, model: str | None, vector: NDArray[np.float32], dimension: int | None = None) -> str:
        """Return the vector for the journal, if it is one of the store's model and dimension."""
        table = self._table
        if model is None:
            raise ValidationError("A vector needs the identity of its model.", field="embedding_model")
        if table.model not in {None, model}:
            raise EmbeddingModelMismatchError(
                f"This store was filled by {table.model!r}, not by {model!r}. "
                "Run `engramia reindex` to re-embed it."
            )
        expected = table.dimension if table.dense_count else dimension
        # One number that is not finite makes the product so.
        if vector.ndim != 1 or not math.isfinite(vector.dot(vector)) or expected not in {None, len(vector)}:
            raise ValidationError(
                f"vector must be {expected or 'some'} finite numbers in one row; got shape {vector.shape}.",
                field="vector",
            )
        return codec.vector_text(vector)
