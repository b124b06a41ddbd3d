"""The compose files as Docker reads them, as far as the tests need it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # its stubs are a package that nothing else needs

ROOT = Path(__file__).parents[2]
DEVELOPMENT, PRODUCTION = ROOT / "docker-compose.yml", ROOT / "docker-compose.prod.yml"
EXAMPLE = ROOT / ".env.example"
FILLED = {
    "POSTGRES_PASSWORD": "owner's / password",
    "ENGRAMIA_SECRET_KEY": "s" * 64,
    "ENGRAMIA_BOOTSTRAP_TOKEN": "b" * 64,
}
"""What an operator fills in."""

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<how>:[-?])(?P<text>[^}]*))?\}")


def raw(file: Path) -> Any:
    """Return a file as YAML, its variables as they stand."""
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def variables(file: Path) -> set[str]:
    """Return the names of the variables that a file takes from `.env`, comments left out."""
    lines = (
        line for line in file.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")
    )
    return {match["name"] for line in lines for match in _VARIABLE.finditer(line)}


def example() -> dict[str, str]:
    """Return what `.env.example` sets."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def resolved(file: Path, values: Mapping[str, str]) -> Any:
    """Return a file with its variables replaced; `LookupError` with its text for one that has to be set."""

    def replaced(match: re.Match[str]) -> str:
        value = values.get(match["name"], "")
        if value or match["how"] is None:
            return value
        if match["how"] == ":?":
            raise LookupError(f"{match['name']}: {match['text']}")
        return match["text"]

    return _walk(raw(file), lambda text: _VARIABLE.sub(replaced, text))


def _walk(node: Any, change: Any) -> Any:
    if isinstance(node, dict):
        return {key: _walk(value, change) for key, value in node.items()}
    if isinstance(node, list):
        return [_walk(value, change) for value in node]
    return change(node) if isinstance(node, str) else node
