"""The patterns of one scope in memory, made by the events of its journal."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engramia.core import limits
from engramia.core.overlap import OverlapIndex
from engramia.core.query import DecayPolicy
from engramia.core.ranking import quality_factor
from engramia.core.roots import Roots
from engramia.core.vectors import Vectors
from engramia.core.word_index import CODE_CHARS, WordIndex
from engramia.core.words import distinct_words, words
from engramia.errors import StorageCorruptError
from engramia.providers.json import codec
from engramia.providers.json.heap import give_back
from engramia.providers.json.rows import (
    CLASSIFICATIONS,
    KEY_PREFIX,
    SOURCES,
    Body,
    Columns,
    pattern_of,
)
from engramia.providers.json.word_file import WordCopy

type Events = Sequence[codec.Json]

_CLASSIFICATION = {value.value: number for number, value in enumerate(CLASSIFICATIONS)}
_SOURCE = {value.value: number for number, value in enumerate(SOURCES)}
_DUE_COLUMNS = 256
"""How many new rows wait at most to be filled: each keeps its record and the text of its vector."""
_FEW_ROWS, _MANY_ROWS = 4, 1_000
_LINE_BYTES = 500  # about what a pattern's line has beside texts and vector


class PatternTable:
    """Rows of patterns and what finds them: words, vectors, skills. Reads are its attributes."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.bodies: list[Body | None] = []
        self._columns, self._vectors = Columns(), Vectors()
        self.skills: dict[str, set[int]] = {}
        self.model: str | None = None
        self.dense_count = 0
        """How many rows have a vector of the store's model."""
        self.dimension = 0
        """Of these vectors."""
        self._free: list[int] = []
        # Columns and indexes are brought up to date when they are asked: writing does not wait for those
        # that only reading needs, and opening for none.
        self._due_columns: list[tuple[int, codec.Json, str | None]] = []
        """New rows, the records that fill them, and their vectors."""
        self.roots = Roots()
        """The roots of both word indexes."""
        self._task_words, self._due_task_words = WordIndex(self.roots), set[int]()
        self._code_words, self._due_code_words = WordIndex(self.roots), set[int]()
        self.cut = 0
        """How many texts were cut into words since the indexes were last copied."""
        self.recollect: Callable[[PatternTable], None] | None = None
        """What is called once, before the first text is cut, to `take_words` that are known."""
        self._overlaps, self._due_overlaps = OverlapIndex(), set[int]()
        self.handlers = {
            "add": self._add,
            "replace": self._replace,
            "observe": self._observe,
            "skills": self._set_skills,
            "classify": self._classify,
            "reuse": self._reuse,
            "age": self._age,
            "delete": self._delete,
            "vectors": self._set_vectors,
            "model": self._use_model,
        }
        """What each kind of event does, given consecutive events of the kind."""

    def body(self, row: int) -> Body:
        """Return the body of a row that is alive."""
        body = self.bodies[row]
        if body is None:
            raise KeyError(row)
        return body

    @property
    def columns(self) -> Columns:
        """What is searched and counted by, up to date."""
        if self._due_columns:
            self._fill_due()
        return self._columns

    @property
    def vectors(self) -> Vectors:
        """The vectors of the store's model, up to date."""
        if self._due_columns:
            self._fill_due()
        return self._vectors

    @property
    def task_words(self) -> WordIndex:
        """The index of the words of the tasks, up to date."""
        self._begin_words()
        if self._due_task_words:
            self.cut += len(self._due_task_words)
            self._task_words.add_many([(row, self.body(row).task) for row in sorted(self._due_task_words)])
            _forget_due(self._due_task_words)
        return self._task_words

    @property
    def is_cut(self) -> bool:
        """Whether both word indexes are up to date."""
        return not (self._due_task_words or self._due_code_words)

    def take_words(self, copy: WordCopy, rows: Sequence[int | None]) -> None:
        """Let both word indexes, still empty, hold `rows` as a copy knows them (see `WordCopy.put_into`)."""
        known = {row for row in rows if row is not None}
        copy.put_into(self.roots, self._task_words, self._code_words, rows)
        self._due_task_words -= known
        self._due_code_words -= known

    def _begin_words(self) -> None:
        """Take what is known of the words before the first text is cut."""
        recollect, self.recollect = self.recollect, None
        if recollect is not None and not (len(self._task_words) or len(self._code_words)):
            recollect(self)

    @property
    def code_words(self) -> WordIndex:
        """The index of the words of the codes, up to date."""
        self._begin_words()
        if self._due_code_words:
            self._code_words.add_many(
                [(row, _indexed_code(self.body(row))) for row in sorted(self._due_code_words)]
            )
            _forget_due(self._due_code_words)
        return self._code_words

    @property
    def overlaps(self) -> OverlapIndex:
        """The index of the tasks by how many words they share, up to date."""
        self._index_overlaps()
        return self._overlaps

    def _index_overlaps(self) -> None:
        while self._due_overlaps:
            row = self._due_overlaps.pop()
            self._overlaps.add(row, distinct_words(self.body(row).task))

    def wordless(self) -> list[int]:
        """Return the rows whose task has no word at all; the index does not know them."""
        return [row for row, body in enumerate(self.bodies) if body is not None and not words(body.task)]

    def snapshot(self) -> Iterator[list[bytes]]:
        """Yield the events that make this table out of an empty one, a line each."""
        if self.model is not None:
            yield [codec.dumps({"kind": "model", "model": self.model})]
        for row, body in enumerate(self.bodies):
            if body is not None:
                yield [codec.dumps(self._event(row, body))]

    def live_bytes(self) -> int:
        """Return about how long the snapshot is."""
        vector = 6 * self.dimension
        texts = sum(_text_bytes(body) for body in self.bodies if body is not None)
        return texts + len(self.rows) * _LINE_BYTES + self.dense_count * vector

    def _event(self, row: int, body: Body) -> codec.Json:
        pattern = pattern_of(body, self.columns, row, self.model)
        record = codec.encode_pattern(pattern, body.versions, body.observations)
        dense = bool(self.columns.dense[row])
        vector = codec.vector_text(self.vectors.take_one(row)) if dense else None
        return {"kind": "add", "record": record, "model": pattern.embedding_model, "vector": vector}

    def _add(self, events: Events) -> None:
        records = [event["record"] for event in events]
        keys = [record["key"] for record in records]
        if len(set(keys)) < len(keys):
            for event in events:
                self._add([event])
            return
        for key in keys:
            if key in self.rows:
                self._discard(self.rows[key])
        vectors = self._counted(events)
        rows = self._allocate(len(keys))
        self._place(rows, [*map(_body_of, records)])
        self._due_columns += zip(rows, records, vectors, strict=True)
        if len(self._due_columns) >= _DUE_COLUMNS:
            self._fill_due()

    def _counted(self, events: Events) -> list[str | None]:
        """Return the vectors of new patterns, counted as the store's, None for one of another model."""
        model = self.model or next((event["model"] for event in events if event["vector"] is not None), None)
        vectors = [event["vector"] if event["model"] == model else None for event in events]
        given = [vector for vector in vectors if vector is not None]
        if given:
            self.model = model
            self._agree_on_dimension(given)
            self.dense_count += len(given)
        return vectors

    def _agree_on_dimension(self, vectors: Sequence[str]) -> None:
        """Raise `ValueError` unless these have one dimension, and that of those which are there, if any."""
        dimensions = {codec.dimension_of(vector) for vector in vectors}
        if self.dense_count:
            dimensions.add(self.dimension)
        (self.dimension,) = dimensions

    def _fill_due(self) -> None:
        """Bring columns and vectors up to date."""
        due = self._due_columns
        vectors = {row: vector for row, _, vector in due if vector is not None}
        try:
            self._columns.extend(len(self.bodies))
            self._fill(np.array([row for row, *_ in due]), [record for _, record, _ in due])
            if vectors:
                self._put_vectors(vectors)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StorageCorruptError(f"A pattern in the journal lacks what it needs ({error!r}).") from error
        self._due_columns = []

    def _fill(self, rows: NDArray[np.intp], records: Sequence[codec.Json]) -> None:
        columns = self._columns
        columns.alive[rows] = True
        columns.dense[rows] = False
        columns.key[rows] = [record["key"][len(KEY_PREFIX) :] for record in records]
        columns.score[rows] = [record["success_score"] for record in records]
        columns.created[rows] = codec.micros_of([record["created_at"] for record in records])
        columns.decayed[rows] = codec.micros_of([record["decayed_at"] for record in records])
        columns.reuse[rows] = [record["reuse_count"] for record in records]
        columns.classification[rows] = [_CLASSIFICATION[record["classification"]] for record in records]
        columns.source[rows] = [_SOURCE[record["source"]] for record in records]
        columns.quality[rows] = [_quality(record["observations"]) for record in records]

    def _place(self, rows: Sequence[int], bodies: Sequence[Body]) -> None:
        for row, body in zip(rows, bodies, strict=True):
            self.rows[body.key] = row
            self.bodies[row] = body
            if body.skills:
                self._tag(row, body)
        for due in (self._due_task_words, self._due_code_words, self._due_overlaps):
            due.update(rows)
        if len(self._due_overlaps) <= _FEW_ROWS:
            self._index_overlaps()  # now, while the disk is busy, and not when the next pattern is learned

    def _tag(self, row: int, body: Body) -> None:
        for skill in body.skills:
            self.skills.setdefault(skill, set()).add(row)

    def _untag(self, row: int, body: Body) -> None:
        for skill in body.skills:
            tagged = self.skills[skill]
            tagged.discard(row)
            if not tagged:
                del self.skills[skill]

    def _put_vectors(self, texts: Mapping[int, str]) -> None:
        """Put the vectors of these rows, in texts of one dimension."""
        rows, vectors = np.array([*texts]), codec.vectors_of([*texts.values()])
        if vectors.shape[1] != self._vectors.dimension:
            self._vectors.drop()  # it changed while nothing was stored
        self._vectors.put(rows, vectors)
        self._columns.dense[rows] = True

    def _allocate(self, count: int) -> list[int]:
        reused = [self._free.pop() for _ in range(min(count, len(self._free)))]
        start, new = len(self.bodies), count - len(reused)
        self.bodies += [None] * new
        return [*reused, *range(start, start + new)]

    def _discard(self, row: int) -> None:
        body = self.body(row)
        del self.rows[body.key]
        self._unplace(row, body)
        self.bodies[row] = None
        self.dense_count -= bool(self.columns.dense[row])
        self.columns.alive[row] = self.columns.dense[row] = False
        self.vectors.clear(row)
        self._free.append(row)

    def _unplace(self, row: int, body: Body) -> None:
        """Take the row out of all that finds it by its body."""
        if row in self._due_task_words:
            self._due_task_words.remove(row)
        else:
            self._task_words.remove(row, body.task)
        if row in self._due_code_words:
            self._due_code_words.remove(row)
        else:
            self._code_words.remove(row, _indexed_code(body))
        if row in self._due_overlaps:
            self._due_overlaps.remove(row)
        else:
            self._overlaps.remove(row, distinct_words(body.task))
        self._untag(row, body)

    def _known(self, events: Events) -> Iterator[tuple[int, Body, codec.Json]]:
        """Yield row, body and event of those whose key is there: damage may have taken a pattern before."""
        for event in events:
            row = self.rows.get(event["key"])
            if row is not None:
                yield row, self.body(row), event

    def _replace(self, events: Events) -> None:
        for row, old, event in self._known(events):
            dense, record = bool(self.columns.dense[row]), event["record"]
            versions = (*old.versions, event["superseded"])[-limits.VERSIONS_KEPT :]
            record |= {"versions": versions, "observations": old.observations}
            self._unplace(row, old)
            self._fill(np.array([row]), [record])
            self._place([row], [_body_of(record)])
            self.columns.dense[row] = dense

    def _observe(self, events: Events) -> None:
        for row, body, event in self._known(events):
            observations = (*body.observations, event["observation"])[-limits.OBSERVATIONS_KEPT :]
            self.bodies[row] = body._replace(observations=observations)
            self.columns.quality[row] = _quality(observations)

    def _set_skills(self, events: Events) -> None:
        for row, body, event in self._known(events):
            tagged = body._replace(skills=tuple(event["skills"]))
            self._untag(row, body)
            self.bodies[row] = tagged
            self._tag(row, tagged)

    def _classify(self, events: Events) -> None:
        for row, _, event in self._known(events):
            self.columns.classification[row] = _CLASSIFICATION[event["classification"]]

    def _reuse(self, events: Events) -> None:
        for event in events:
            for key in event["keys"]:
                row = self.rows.get(key)
                if row is not None:
                    self.columns.reuse[row] += 1

    def _age(self, events: Events) -> None:
        for event in events:
            policy = DecayPolicy(event["factor_per_week"], event["prune_below"])
            now = codec.time_of(event["now"])
            columns, size = self.columns, self.columns.size
            late = np.flatnonzero(columns.alive[:size] & (columns.decayed[:size] < codec.micros(now)))
            # By the policy's own arithmetic, once per moment: numpy's powers differ from it in the last bit.
            moments, place = np.unique(columns.decayed[late], return_inverse=True)
            factors = [policy.factor(codec.moment_of(moment), now) for moment in moments.tolist()]
            columns.score[late] *= np.array(factors, dtype=np.float64)[place]
            columns.decayed[late] = codec.micros(now)
            low = columns.alive[:size] & (columns.score[:size] < policy.prune_below)
            for row in np.flatnonzero(low).tolist():
                self._discard(row)

    def _delete(self, events: Events) -> None:
        for event in events:
            for key in event["keys"]:
                if key in self.rows:
                    self._discard(self.rows[key])

    def _set_vectors(self, events: Events) -> None:
        for event in events:
            if self.model is None:
                self.model = event["model"]
            if event["model"] != self.model:
                continue
            given = {self.rows[key]: text for key, text in event["vectors"] if key in self.rows}
            if given:
                self._agree_on_dimension([*given.values()])
                self.dense_count += len(given) - int(np.count_nonzero(self.columns.dense[[*given]]))
                self._put_vectors(given)

    def _use_model(self, events: Events) -> None:
        for event in events:
            if event["model"] != self.model:
                self.model = event["model"]
                self.vectors.drop()
                self.columns.dense[:] = False
                self.dense_count = 0


def _body_of(record: codec.Json) -> Body:
    return Body(
        record["key"],
        record["task"],
        record["code"],
        record["output"],
        record["run_id"],
        record["author"],
        tuple(record["skills"]),
        tuple(record["versions"]),
        tuple(record["observations"]),
    )


def _forget_due(cut: set[int]) -> None:
    """Empty the set of rows that were due; many leave a heap behind that is mostly holes."""
    many = len(cut) >= _MANY_ROWS
    cut.clear()
    if many:
        give_back()


def _indexed_code(body: Body) -> str:
    return body.code[:CODE_CHARS]


def _text_bytes(body: Body) -> int:
    """Return about how many bytes of the journal the body's texts and history take."""
    versions = sum(150 + len(version["code"]) + len(version["output"] or "") for version in body.versions)
    observations = sum(100 + len(seen["feedback"] or "") for seen in body.observations)
    return len(body.task) + len(body.code) + len(body.output or "") + versions + observations


def _quality(observations: Sequence[dict[str, Any]]) -> float:
    return quality_factor([seen["score"] for seen in observations[-limits.QUALITY_OBSERVATIONS :]])
