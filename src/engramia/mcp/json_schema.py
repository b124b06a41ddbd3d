"""JSON Schemas of models as language models and their hosts take them best."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

type Schema = dict[str, Any]

_DEFINITIONS = "#/$defs/"


class _Untitled(GenerateJsonSchema):
    """Leaves out titles that only repeat names: an agent pays for every word."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's form
        return False


def schema_of(model: type[BaseModel], *, without: frozenset[str] = frozenset()) -> Schema:
    """Return the schema of what `model` takes, in one piece and without some of its fields.

    Nothing in it is a reference, which several hosts cannot follow, nor a regular expression, which their
    vendors' dialects refuse: the operation itself refuses what does not fit.
    """
    schema = model.model_json_schema(schema_generator=_Untitled)
    whole: Schema = _inlined(schema, schema.pop("$defs", {}))
    whole["properties"] = {name: each for name, each in whole["properties"].items() if name not in without}
    return {name: each for name, each in whole.items() if name not in {"title", "description"}}


def _inlined(node: Any, definitions: Schema) -> Any:
    match node:
        case {"$ref": str(reference), **beside}:
            found = _inlined(definitions[reference.removeprefix(_DEFINITIONS)], definitions)
            return {name: each for name, each in found.items() if name != "title"} | beside
        case dict():
            kept = ((name, each) for name, each in node.items() if not _is_expression(name, each))
            return {name: _inlined(each, definitions) for name, each in kept}
        case list():
            return [_inlined(each, definitions) for each in node]
        case _:
            return node


def _is_expression(name: str, value: Any) -> bool:
    return name == "pattern" and isinstance(value, str)  # a field of this name has a schema in its place
