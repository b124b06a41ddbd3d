"""Switches for tests: take from every statement the scope in its WHERE clauses, or the scope that is set.

They stand in the driver's cursors, beneath all that sends statements, and are put on by the pools' own event.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from sqlalchemy import Pool, event

_ANY_ID = r"""(%(?:\(\w+\))?[sbt](?:::\w+)?(?: COLLATE "C")?|'[^']*')"""
_PREDICATE = re.compile(rf"\b(?:(\w+)\.)?(tenant_id|project_id) = {_ANY_ID}")
_LEFT = re.compile(r"\btenant_id\s*(?:=|<>|!=|IN\b|LIKE\b)\s*(?!\w+\.tenant_id)\S+")
_SETTING = re.compile(rf"set_config\('engramia\.(?:tenant|project)_id', {_ANY_ID}")


@dataclass
class Switch:
    """What was rewritten, and what escaped it."""

    rewritten: set[str] = field(default_factory=set)
    """Statements as they were sent before."""
    left: set[str] = field(default_factory=set)
    """Statements that still choose rows by a tenant."""
    times: int = 0

    def without_scope(self, statement: str, by_tenant: frozenset[str]) -> str:
        """Return the statement with every row of every scope in place of one scope's.

        Where row security goes by the tenant alone, in the tables `by_tenant`, the project stays.
        """

        def anything(found: re.Match[str]) -> str:
            table, column, value = found.groups()
            if column == "project_id" and table in by_tenant:
                return found[0]
            return f"(({value})::text IS NOT NULL)"  # the value stays, for its place among the parameters

        changed = _PREDICATE.sub(anything, statement)
        self._note(statement, changed)
        if _LEFT.search(changed):
            self.left.add(changed)
        return changed

    def without_setting(self, statement: str) -> str:
        """Return the statement so that it sets no scope."""
        changed = _SETTING.sub(lambda found: f"{found[0].partition(',')[0]}, ''", statement)
        self._note(statement, changed)
        return changed

    def _note(self, statement: str, changed: str) -> None:
        if changed != statement:
            self.rewritten.add(statement)
            self.times += 1


@contextmanager
def without_where(by_tenant: frozenset[str]) -> Iterator[Switch]:
    """Take the scope out of all WHERE clauses of pools that open connections in the block."""
    switch = Switch()
    with _rewriting(lambda statement: switch.without_scope(statement, by_tenant)):
        yield switch


@contextmanager
def without_settings() -> Iterator[Switch]:
    """Let no transaction set a scope, on connections that are opened in the block."""
    switch = Switch()
    with _rewriting(switch.without_setting):
        yield switch


@contextmanager
def _rewriting(rewrite: Callable[[str], str]) -> Iterator[None]:
    class Cursor(psycopg.Cursor[Any]):
        def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
            return super().execute(_rewritten(query), params, **options)

        def executemany(self, query: Any, params_seq: Any, **options: Any) -> None:
            super().executemany(_rewritten(query), params_seq, **options)

    def _rewritten(query: Any) -> Any:
        assert isinstance(query, str), f"A statement that the switch cannot read: {query!r}"
        return rewrite(query)

    def on_connect(connection: psycopg.Connection[Any], _record: object) -> None:
        connection.cursor_factory = Cursor

    event.listen(Pool, "connect", on_connect)
    try:
        yield
    finally:
        event.remove(Pool, "connect", on_connect)
