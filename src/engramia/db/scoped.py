"""Row-level security: how a table is put behind it, and how a transaction says whose rows it may see.

The settings `engramia.tenant_id` and `engramia.project_id` hold for one transaction. Where they are not set,
no table shows or takes a row. The policies ask `(SELECT current_setting(...))`: once per statement, not for
each row.
"""

from engramia.core.model import Scope
from engramia.db.base import APP_ROLE

_TENANT, _PROJECT = "engramia.tenant_id", "engramia.project_id"
_DIRECTORY = "engramia.directory"


def _is_ours(column: str, setting: str) -> str:
    return f"{column} = (SELECT current_setting('{setting}', true))"


def protect(table: str, *, by_project: bool = True, directory: bool = False) -> list[str]:
    """Return the statements that put `table` behind row-level security and open it to the application.

    With `directory`, its rows may also be read, not written, by a transaction that set `engramia.directory`:
    for the one table that lists the scopes.
    """
    ours = _is_ours("tenant_id", _TENANT)
    if by_project:
        ours += f" AND {_is_ours('project_id', _PROJECT)}"
    statements = [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY scope ON {table} USING ({ours}) WITH CHECK ({ours})",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {APP_ROLE}",
    ]
    if directory:
        listed = f"(SELECT current_setting('{_DIRECTORY}', true)) = 'on'"
        statements.append(f"CREATE POLICY directory ON {table} FOR SELECT USING ({listed})")
    return statements


def scope_settings(scope: Scope) -> str:
    """Return the statement that lets the transaction see the rows of one scope.

    The ids stand in it as literals: a `Scope` holds nothing but letters, digits, `_`, `.` and `-`.
    """
    return (
        f"SELECT set_config('{_TENANT}', '{scope.tenant_id}', true), "
        f"set_config('{_PROJECT}', '{scope.project_id}', true)"
    )


def directory_settings() -> str:
    """Return the statement that lets the transaction list the scopes, and nothing else."""
    return f"SELECT set_config('{_DIRECTORY}', 'on', true)"
