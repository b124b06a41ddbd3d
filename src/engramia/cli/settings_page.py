"""The page of all settings as Markdown, made from `settings.py`: `python -m engramia.cli.settings_page`."""

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from engramia.cli.session import variable
from engramia.settings import Settings

_HEAD = """# Settings

This page is made from `src/engramia/settings.py`: `python -m engramia.cli.settings_page > docs/settings.md`.

Everything is set by environment variables; there is no configuration file. A variable that is empty counts
as unset. `true`, `1`, `yes` and `on` switch something on, `false`, `0`, `no` and `off` switch it off. A value
that cannot be is refused with a sentence when a command starts. `engramia doctor` and
`engramia serve --check` show what is in force and where it comes from.
"""
_TABLE = "| Variable | Default | Meaning |\n| --- | --- | --- |\n"
_BOUNDS = {"gt": "over {}", "ge": "at least {}", "lt": "under {}", "le": "at most {}"}


def settings_page() -> str:
    """Return the whole page."""
    return _HEAD + "".join(_sections())


def _sections() -> Iterator[str]:
    for group in Settings.__bases__:
        title = (group.__doc__ or "").strip().rstrip(".")
        names = [name for name in Settings.model_fields if name in vars(group).get("__annotations__", {})]
        rows = "".join(_row(name, Settings.model_fields[name]) for name in names)
        yield f"\n## {title}\n\n{_TABLE}{rows}"


def _row(name: str, field: FieldInfo) -> str:
    meaning = " ".join(part for part in (field.description or "", _allowed(field)) if part)
    cells = (f"`{variable(name)}`", _default(field), meaning)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _default(field: FieldInfo) -> str:
    value = field.get_default()
    if value is None or value == ():
        return "unset"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Enum):
        return f"`{value.value}`"
    return f"`{_path(value)}`" if isinstance(value, Path) else f"`{value}`"


def _path(value: Path) -> str:
    return str(value) if value.is_absolute() else f"./{value}"


def _allowed(field: FieldInfo) -> str:
    """Return the values that are taken, where they are few, or the bounds."""
    choices = list(_choices(field.annotation))
    if choices:
        return f"One of {', '.join(f'`{choice}`' for choice in choices)}."
    bounds = [
        text.format(f"{getattr(mark, name):,}")
        for mark in field.metadata
        for name, text in _BOUNDS.items()
        if hasattr(mark, name)
    ]
    return f"{' and '.join(bounds).capitalize()}." if bounds else ""


def _choices(annotation: Any) -> Iterator[str]:
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        yield from (str(member.value) for member in annotation)
    elif get_origin(annotation) is Literal:
        yield from (str(value) for value in get_args(annotation))
    else:
        for inner in get_args(annotation):
            yield from () if inner is SecretStr else _choices(inner)


if __name__ == "__main__":
    typer.echo(settings_page(), nl=False)
