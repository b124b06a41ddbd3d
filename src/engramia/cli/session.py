"""What one command works with: the global options, the settings in force, the memory."""

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from engramia.cli.terminal import Terminal
from engramia.errors import ValidationError

if TYPE_CHECKING:
    from engramia.bootstrap import Memory
    from engramia.settings import Settings


DEFAULT_LOG_LEVEL = "WARNING"


@dataclass(frozen=True)
class Session:
    """The global options of one run of the command, and the doors they open."""

    data_path: Path | None = None
    tenant: str | None = None
    project: str | None = None
    host: str | None = None
    port: int | None = None
    database_url: str | None = None
    json: bool = False
    traceback: bool = False
    open_memory: "Callable[[Settings], Memory] | None" = field(default=None, repr=False)
    """Makes the memory; None for the one that the settings describe."""

    def with_options(self, **options: Any) -> Self:
        """Return the session with those options that were given (not None, not False) put over its own."""
        return replace(self, **{name: value for name, value in options.items() if value not in (None, False)})

    @cached_property
    def terminal(self) -> Terminal:
        return Terminal(json=self.json)

    @property
    def given(self) -> frozenset[str]:
        """The names of the settings that were given on the command line."""
        return frozenset(self._overrides())

    @cached_property
    def settings(self) -> "Settings":
        """The settings in force: options over environment over defaults; `ValidationError` for a bad one."""
        return settings_from(self._overrides())

    def memory(self) -> "Memory":
        """Open the memory of this scope; use it as a context manager."""
        _log_to_stderr(self.settings.log_level or DEFAULT_LOG_LEVEL)
        if self.open_memory is not None:
            return self.open_memory(self.settings)
        from engramia.bootstrap import Memory

        return Memory(settings=self.settings)

    def _overrides(self) -> dict[str, Any]:
        names = ("data_path", "tenant", "project", "host", "port", "database_url")
        options = {name: getattr(self, name) for name in names}
        return {name: value for name, value in options.items() if value is not None}


def _log_to_stderr(level: str) -> None:
    known = logging.getLevelNamesMapping()
    if level.upper() not in known:
        raise ValidationError(
            f"ENGRAMIA_LOG_LEVEL must be one of {', '.join(known)}; got {level!r}.",
            field="ENGRAMIA_LOG_LEVEL",
        )
    logging.basicConfig(
        level=known[level.upper()], format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )


def settings_from(overrides: dict[str, Any]) -> "Settings":
    """Return settings with `overrides` in place of the environment's."""
    from pydantic import ValidationError as SettingsError

    from engramia.settings import Settings

    try:
        return Settings(**overrides)
    except SettingsError as error:
        # Of a secret pydantic counts "items", which are its characters.
        problems = [
            (variable(str(issue["loc"][0])), issue["msg"].replace(" items after validation", " characters"))
            for issue in error.errors()
        ]
        sentence = "; ".join(f"{name}: {message}" for name, message in problems)
        raise ValidationError(f"A setting is wrong. {sentence}.", field=problems[0][0]) from error


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    from engramia.settings import Settings

    field = Settings.model_fields.get(name)
    if field is None or field.validation_alias is not None:
        return str(field.validation_alias if field else name)
    return f"{Settings.model_config['env_prefix']}{name.upper()}"
