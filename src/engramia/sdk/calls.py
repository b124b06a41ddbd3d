"""What can be asked of a server, as values: where it goes, what it carries, how its answer is read."""

import json
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from engramia.errors import ValidationError
from engramia.sdk.answers import Evaluation, Evolution, Imported, Pipeline

_IDEMPOTENCY_KEY = re.compile(r"[ -~]{1,255}")

type Document = dict[str, Any]
"""A JSON object."""


def whole(document: Document) -> Any:
    """Return the answer as it is."""
    return document


@dataclass(frozen=True, slots=True)
class Call[T]:
    """One request of the API.

    `repeatable`: sending it twice does no harm, so that it may be sent again when its answer was lost;
    `idempotency_key` is by what the server tells that it is the same. `slow`: a language model or the whole
    store is behind it. A body with the field `answered_by` is an answer with any status.
    """

    method: str
    path: str
    read: Callable[[Document], T]
    body: Mapping[str, Any] | None = None
    repeatable: bool = False
    slow: bool = False
    answered_by: str | None = None
    idempotency_key: str | None = None

    def content(self) -> bytes | None:
        """Return the body's bytes; `ValidationError` names a field that JSON cannot carry."""
        return None if self.body is None else _encoded(self.body)


def get[T](path: str, read: Callable[[Document], T], **query: object) -> Call[T]:
    """Return a call that only looks; what is None in `query` is left out."""
    wanted = urlencode({name: value for name, value in query.items() if value is not None})
    return Call("GET", f"{path}?{wanted}" if wanted else path, read, repeatable=True)


def given(**fields: object) -> Document:
    """Return the fields that are not None: the others are the server's to decide."""
    return {name: value for name, value in fields.items() if value is not None}


def tags(skills: Iterable[str]) -> list[str]:
    """Return tags as a list; one text in their place would be taken apart into its letters."""
    if isinstance(skills, str):
        raise ValidationError("skills must be a list of tags, not one text.", field="skills")
    return list(skills)


def pattern_path(key: str) -> str:
    """Return the path of a pattern."""
    return f"/v1/patterns/{_path(key, 'pattern_key')}"


def job_path(job_id: str) -> str:
    """Return the path of a job."""
    return f"/v1/jobs/{_path(job_id, 'job_id')}"


def once[T](call: Call[T], key: str | None) -> Call[T]:
    """Return the call with a key, `key` or a new one: the server does it once, however often it is sent."""
    if key is None:
        key = str(uuid.uuid4())
    elif not _IDEMPOTENCY_KEY.fullmatch(key):
        raise ValidationError(
            "idempotency_key must be 1 to 255 printable ASCII characters.", field="idempotency_key"
        )
    return replace(call, repeatable=True, idempotency_key=key)


def evaluate(
    task: str,
    code: str,
    output: str | None,
    num_evals: int,
    pattern_key: str | None,
    idempotency_key: str | None,
) -> Call[Evaluation]:
    """Return the call that has code judged."""
    body = given(task=task, code=code, output=output, num_evals=num_evals, pattern_key=pattern_key)
    call: Call[Evaluation] = Call("POST", "/v1/evaluate", whole, body, slow=True)
    return once(call, idempotency_key)


def compose(task: str) -> Call[Pipeline]:
    """Return the call that splits a task into stages."""
    return Call("POST", "/v1/compose", whole, {"task": task}, slow=True)


def evolve(role: str, current_prompt: str, num_issues: int) -> Call[Evolution]:
    """Return the call that improves a prompt."""
    body = given(role=role, current_prompt=current_prompt, num_issues=num_issues)
    return Call("POST", "/v1/evolve", whole, body, slow=True)


def aging() -> Call[int]:
    """Return the call that lets patterns age."""
    return Call("POST", "/v1/aging", _pruned, slow=True)


def feedback_decay() -> Call[int]:
    """Return the call that lets feedback fade."""
    return Call("POST", "/v1/feedback/decay", _pruned, slow=True)


def import_data(records: Iterable[object], overwrite: bool, idempotency_key: str | None) -> Call[Imported]:
    """Return the call that stores exported records."""
    body = {"records": list(records), "overwrite": overwrite}
    call: Call[Imported] = Call("POST", "/v1/import", whole, body, slow=True)
    return once(call, idempotency_key)


def _pruned(document: Document) -> int:
    return int(document["pruned"])


def _path(name: object, field: str) -> str:
    """Return `name` as part of a path that stays where it is put."""
    if not isinstance(name, str) or not {"", ".", ".."}.isdisjoint(name.split("/")):
        raise ValidationError(f"{field} cannot be part of an address.", field=field)
    return quote(name, safe="/", errors="replace")


def _encoded(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        field = next((name for name, value in body.items() if not _plain(value)), "body")
        raise ValidationError(f"{field} cannot be sent as JSON: {error}.", field=field) from error


def _plain(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
