"""One line of a JSON Lines file, read field by field with errors that name file, line and field."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engramia.core import validation
from engramia.errors import ValidationError


@dataclass(frozen=True, slots=True)
class Line:
    """A JSON object and where it stands; its readers raise `ValidationError` if a field is not as asked."""

    file: str
    number: int
    fields: Mapping[str, Any]

    def error(self, name: str, problem: str) -> ValidationError:
        return ValidationError(f"{self.file} line {self.number}: {problem}", field=name)

    def text(self, name: str, max_chars: int) -> str:
        return self.required(name, lambda value: validation.text(value, field=name, max_chars=max_chars))

    def optional_text(self, name: str, max_chars: int) -> str | None:
        return self.optional(
            name, lambda value: validation.text(value, field=name, max_chars=max_chars, blank=True)
        )

    def text_by_name(self, name: str) -> dict[str, str]:
        values = self.fields.get(name)
        if values is None:
            return {}
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise self.error(name, f"{name} must be an object of strings.")
        return values

    def moment(self, name: str) -> datetime | None:
        value = self.optional_text(name, 64)
        if value is None:
            return None
        try:
            moment = datetime.fromisoformat(value)
        except ValueError as error:
            raise self.error(name, f"{name} must be an RFC 3339 time; got {value!r}.") from error
        if moment.tzinfo is None:
            raise self.error(name, f"{name} must have an offset, such as Z; got {value!r}.")
        return moment

    def required[T](self, name: str, check: Callable[[object], T]) -> T:
        """Return the field as `check` gives it; it must be there."""
        value = self.optional(name, check)
        if value is None:
            raise self.error(name, f"{name} is missing.")
        return value

    def optional[T](self, name: str, check: Callable[[object], T]) -> T | None:
        """Return the field as `check` gives it, None if it is null or not there."""
        value = self.fields.get(name)
        if value is None:
            return None
        try:
            return check(value)
        except ValidationError as error:
            raise self.error(name, str(error)) from error


def lines_of(content: str, file: str) -> Iterator[Line]:
    """Yield the JSON objects of `content`, one a line; blank lines are passed over but counted."""
    # str.splitlines would also cut at U+2028 and the like, which JSON strings may hold.
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            yield Line(file, number, _object(line, file, number))


def _object(line: str, file: str, number: int) -> Mapping[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValidationError(f"{file} line {number}: this is not JSON: {error}.", field="line") from error
    if not isinstance(value, dict):
        raise ValidationError(f"{file} line {number}: this must be a JSON object.", field="line")
    return value
