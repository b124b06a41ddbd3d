"""Writing patterns: additions are gathered and written together, everything else at once."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import batched
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    Row,
)

from engramia.core import limits
from engramia.core.model import Observation, Pattern, PatternRecord, Version, check_pattern_key
from engramia.core.query import DecayPolicy
from engramia.core.word_index import CODE_CHARS
from engramia.core.words import words
from engramia.errors import EmbeddingModelMismatchError, NotFoundError, ValidationError
from engramia.providers.postgres import pattern_statements as statements
from engramia.providers.postgres import rows
from engramia.providers.postgres.tables import (
    pattern_observations,
    pattern_skills,
    pattern_texts,
    pattern_vectors,
    pattern_versions,
    patterns,
)
from engramia.providers.postgres.transaction import ScopeTransaction
from engramia.providers.postgres.word_upkeep import add_words, take_words
from engramia.providers.postgres.words import CODE, TASK, Changes, Codes, codes_of, note, pack, unpack

type Vector = NDArray[np.float32]

_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class _Addition:
    """A pattern to be stored, checked."""

    record: PatternRecord
    vector: Vector | None
    values: Mapping[str, Any]
    texts: Mapping[str, Any]
    roots: Mapping[int, Codes]


class PatternWriter:
    """All changes to the patterns of one scope, in one transaction."""

    def __init__(self, transaction: ScopeTransaction) -> None:
        self._transaction = transaction
        self._additions: dict[str, _Addition] = {}
        transaction.before_commit.append(self.flush)

    def holds_back(self, key: str) -> bool:
        """Return whether a pattern with this key waits to be written."""
        return key in self._additions

    def add(self, record: PatternRecord, vector: Vector | None) -> None:
        """Take up a pattern, to be written at the latest when the transaction ends."""
        self._transaction.check_writable()
        check_pattern_key(record.pattern.key)
        addition = _addition(record, vector)
        if vector is not None:
            self._take_vector(record.pattern.embedding_model, [vector])
        if record.pattern.key in self._additions:
            self.flush()
        self._additions[record.pattern.key] = addition

    def flush(self) -> None:
        """Write the patterns that were taken up."""
        additions, self._additions = list(self._additions.values()), {}
        for some in batched(additions, _AT_ONCE):
            self._write(some)

    def _write(self, additions: Sequence[_Addition]) -> None:
        transaction = self._transaction
        keys = [addition.record.pattern.key for addition in additions]
        self._remove([row.number for row in transaction.fetch(statements.BY_KEYS, of_keys=keys)])
        revision = transaction.revise()
        first = transaction.row.next_number
        if not first:
            # A scope of this name may have been erased: nothing remembered of it must fit this one.
            transaction.row.words_epoch = revision
        transaction.row.next_number += len(additions)
        transaction.row.patterns += len(additions)
        numbered = list(enumerate(additions, first))
        transaction.insert_later(
            patterns,
            [
                {"number": number, "dense": one.vector is not None, "revision": revision, **one.values}
                for number, one in numbered
            ],
        )
        transaction.insert_later(pattern_texts, [{"number": number, **one.texts} for number, one in numbered])
        self._write_vectors([(number, one.vector) for number, one in numbered if one.vector is not None])
        self._write_history(numbered)
        changes: Changes = []
        for number, one in numbered:
            note(changes, number, one.roots)
        add_words(transaction, changes)

    def _write_vectors(self, vectors: Sequence[tuple[int, Vector]]) -> None:
        self._transaction.row.dense += len(vectors)
        self._transaction.insert_later(
            pattern_vectors,
            [{"number": number, "dimension": len(vector), "embedding": vector} for number, vector in vectors],
        )

    def _write_history(self, numbered: Sequence[tuple[int, _Addition]]) -> None:
        insert = self._transaction.insert_later
        insert(
            pattern_observations,
            [
                {"number": number, "place": place, **rows.observation_values(seen)}
                for number, one in numbered
                for place, seen in enumerate(one.record.observations)
            ],
        )
        insert(
            pattern_versions,
            [
                {"number": number, "place": place, **rows.version_values(version)}
                for number, one in numbered
                for place, version in enumerate(one.record.versions)
            ],
        )
        insert(
            pattern_skills,
            [
                {"number": number, "skill": skill}
                for number, one in numbered
                for skill in dict.fromkeys(one.record.pattern.skills)
            ],
        )

    def _remove(self, numbers: Sequence[int]) -> None:
        """Delete patterns with all that hangs on them."""
        transaction = self._transaction
        # Also one without any word counts among all those that the weight of words depends on.
        if numbers:
            transaction.row.words_epoch = transaction.revise()
        for some in batched(numbers, _AT_ONCE):
            changes: Changes = []
            for row in transaction.execute(statements.ROOTS, of_numbers=list(some)):
                note(changes, row.number, _roots_of(row))
            transaction.row.dense -= transaction.write(statements.DELETE_VECTORS, of_numbers=list(some))
            transaction.row.patterns -= transaction.write(statements.DELETE, of_numbers=list(some))
            take_words(transaction, changes)

    def delete(self, keys: Sequence[str]) -> int:
        """Delete patterns by key; return how many there were."""
        self._transaction.check_writable()
        self.flush()
        found = self._transaction.execute(statements.BY_KEYS, of_keys=list(dict.fromkeys(keys))).all()
        self._remove([row.number for row in found])
        return len(found)

    def age(self, policy: DecayPolicy, now: datetime) -> int:
        """Decay every success score, delete what fell low, return how many."""
        self._transaction.check_writable()
        self.flush()
        revision = self._transaction.revise()
        self._transaction.execute_long(
            statements.AGE, now=now, factor=policy.factor_per_week, of_revision=revision
        )
        low = self._transaction.execute_long(statements.LOW, prune_below=policy.prune_below).scalars().all()
        self._remove(low)
        return len(low)

    def replace(self, pattern: Pattern, superseded: Version) -> None:
        """Store `pattern` over the one with its key, whose vector and observations it keeps."""
        transaction = self._transaction
        number = self._number(pattern.key)
        observed = transaction.execute(statements.LATEST, of_number=number).all()
        values = rows.pattern_values(pattern, [row.score for row in reversed(observed)])
        version = rows.version_values(superseded)
        texts, roots = _texts(pattern)
        self._exchange_words(number, roots)
        values["revision"] = transaction.revise()
        transaction.write(statements.UPDATE_PATTERN, of_number=number, **_renamed(values))
        transaction.write(statements.UPDATE_TEXTS, of_number=number, **_renamed(texts))
        self._tag(number, pattern.skills)
        last = transaction.execute(statements.LAST_VERSION, of_number=number).scalar_one()
        place = 0 if last is None else last + 1
        transaction.insert(pattern_versions, [{"number": number, "place": place, **version}])
        if place >= limits.VERSIONS_KEPT:
            transaction.write(
                statements.FORGET_VERSIONS, of_number=number, first_kept=place + 1 - limits.VERSIONS_KEPT
            )

    def _exchange_words(self, number: int, roots: Mapping[int, Codes]) -> None:
        (row,) = self._transaction.execute(statements.ROOTS, of_numbers=[number])
        old = _roots_of(row)
        gone: Changes = []
        new: Changes = []
        note(gone, number, {field: np.setdiff1d(old[field], roots[field]) for field in roots})
        note(new, number, {field: np.setdiff1d(roots[field], old[field]) for field in roots})
        take_words(self._transaction, gone)
        add_words(self._transaction, new)
        if new:
            # The pattern is not a new one, so that nobody would see that counts have changed.
            self._transaction.row.words_epoch = self._transaction.revise()

    def observe(self, key: str, observation: Observation) -> None:
        """Append a quality observation."""
        transaction = self._transaction
        number, values = self._number(key), rows.observation_values(observation)
        latest = transaction.execute(statements.LATEST, of_number=number).all()
        place = latest[0].place + 1 if latest else 0
        transaction.insert(pattern_observations, [{"number": number, "place": place, **values}])
        if place >= limits.OBSERVATIONS_KEPT:
            transaction.write(
                statements.FORGET_OBSERVATIONS,
                of_number=number,
                first_kept=place + 1 - limits.OBSERVATIONS_KEPT,
            )
        scores = [*(row.score for row in reversed(latest)), observation.score]
        transaction.write(
            statements.SET_QUALITY,
            of_number=number,
            new_quality=rows.quality_of(scores),
            of_revision=transaction.revise(),
        )

    def set_skills(self, key: str, skills: Sequence[str]) -> None:
        """Put these tags in place of the pattern's."""
        number = self._number(key)
        tags = [rows.text(skill, "skills") for skill in skills]
        self._transaction.write(statements.SET_SKILLS, of_key=key, new_skills=tags)
        self._tag(number, tags)

    def classify(self, key: str, classification: str) -> None:
        """Set the pattern's classification."""
        self._number(key)
        revision = self._transaction.revise()
        self._transaction.write(
            statements.CLASSIFY, of_key=key, new_class=classification, of_revision=revision
        )

    def count_reuse(self, keys: Sequence[str]) -> None:
        """Add one to the reuse count for each time a key is named; keys that are gone are passed over."""
        self._transaction.check_writable()
        self.flush()
        counted = Counter(keys)
        if counted:
            self._transaction.write_later(
                statements.COUNT_REUSE, of_keys=list(counted), times=list(counted.values())
            )

    def set_vectors(self, model: str, vectors: Sequence[tuple[str, Vector]]) -> None:
        """Give patterns their vectors; keys that are gone are passed over."""
        transaction = self._transaction
        transaction.check_writable()
        self.flush()
        given = dict(vectors)
        found = transaction.execute(statements.BY_KEYS, of_keys=list(given)).all()
        if not found:
            return
        self._take_vector(model, [given[row.key] for row in found])
        numbers = [row.number for row in found]
        transaction.row.dense -= transaction.write(statements.DELETE_VECTORS, of_numbers=numbers)
        self._write_vectors([(row.number, given[row.key]) for row in found])
        transaction.write(statements.DENSE, of_numbers=numbers, of_revision=transaction.revise())

    def use_embedding_model(self, model: str) -> None:
        """Make `model` the scope's own; vectors of any other go and their patterns wait."""
        transaction = self._transaction
        transaction.check_writable()
        self.flush()
        if transaction.row.embedding_model == model:
            return
        if transaction.row.dense:
            transaction.execute_long(statements.NO_VECTORS)
            transaction.execute_long(statements.ALL_WAIT, of_revision=transaction.revise())
        transaction.row.embedding_model = rows.text(model, "embedding_model")
        transaction.row.dense = 0

    def _take_vector(self, model: str | None, vectors: Sequence[Vector]) -> None:
        """Check that vectors are of the scope's model and dimension; the first ones decide about both."""
        row = self._transaction.row
        if model is None:
            raise ValidationError("A vector needs the identity of its model.", field="embedding_model")
        if row.embedding_model not in {None, model}:
            raise EmbeddingModelMismatchError(
                f"This store was filled by {row.embedding_model!r}, not by {model!r}. "
                "Run `engramia reindex` to re-embed it."
            )
        held = row.dense or any(one.vector is not None for one in self._additions.values())
        expected = row.dimension if held else None
        for vector in vectors:
            _check_vector(vector, expected)
            expected = len(vector)
        row.embedding_model, row.dimension = rows.text(model, "embedding_model"), expected

    def _tag(self, number: int, skills: Sequence[str]) -> None:
        self._transaction.write(statements.FORGET_SKILLS, of_number=number)
        self._transaction.insert(
            pattern_skills, [{"number": number, "skill": skill} for skill in dict.fromkeys(skills)]
        )

    def _number(self, key: str) -> int:
        self._transaction.check_writable()
        self.flush()
        number = self._transaction.execute(statements.BY_KEY, of_key=key).scalar_one_or_none()
        if number is None:
            raise NotFoundError(f"There is no pattern {key!r}.")
        return int(number)


def _addition(record: PatternRecord, vector: Vector | None) -> _Addition:
    pattern = record.pattern
    values = rows.pattern_values(pattern, [seen.score for seen in record.observations])
    for seen in record.observations:
        rows.observation_values(seen)
    for version in record.versions:
        rows.version_values(version)
    texts, roots = _texts(pattern)
    return _Addition(record, vector, values, texts, roots)


def _texts(pattern: Pattern) -> tuple[dict[str, Any], dict[int, Codes]]:
    """Return the row of the pattern's texts, and its roots by field."""
    task, code = rows.text(pattern.task, "task"), rows.text(pattern.code, "code")
    roots = {TASK: codes_of(task), CODE: codes_of(code[:CODE_CHARS])}
    row = {
        "task": task,
        "code": code,
        "output": rows.optional_text(pattern.output, "output"),
        "task_size": len(set(words(task))),
        "task_roots": pack(roots[TASK]),
        "code_roots": pack(roots[CODE]),
    }
    return row, roots


def _roots_of(row: Row[Any]) -> dict[int, Codes]:
    return {TASK: unpack(row.task_roots), CODE: unpack(row.code_roots)}


def _check_vector(vector: Vector, expected: int | None) -> None:
    if vector.ndim != 1 or not np.isfinite(vector).all() or expected not in {None, len(vector)}:
        raise ValidationError(
            f"vector must be {expected or 'some'} finite numbers in one row; got shape {vector.shape}.",
            field="vector",
        )


def _renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"new_{name}": value for name, value in values.items()}
