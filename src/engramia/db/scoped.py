"""Row-level security: how a table is put behind it, and how a transaction says whose rows it may see.

The settings `engramia.tenant_id` and `engramia.project_id` hold for one transaction. Where they are not set,
no table shows or takes a row. The policies ask `(SELECT current_setting(...))`: once per statement, not for
each row.
"""

from engramia.core.model import Scope
from engramia.db.base import APP_ROLE

_TENANT, _PROJECT = "engramia.tenant_id", "engramia.project_id"
_DIRECTORY = "engramia.directory"
_SERVICE = "engramia.service"
_DIGEST = "engramia.digest"
SCOPE_CALLS = f"set_config('{_TENANT}', :of_tenant, true), set_config('{_PROJECT}', :of_project, true)"
"""What `scope_settings` selects, with the ids as parameters."""


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


def protect_service(table: str) -> list[str]:
    """Return the statements that hide `table`, which belongs to no tenant, from who does not ask for it.

    Its rows are there for a transaction that set `engramia.service`, so that no statement of a tenant's
    finds them by accident.
    """
    asked = f"(SELECT current_setting('{_SERVICE}', true)) = 'on'"
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY service ON {table} USING ({asked}) WITH CHECK ({asked})",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {APP_ROLE}",
    ]


def reveal(table: str, column: str) -> str:
    """Return the statement that shows the one row whose digest in `column` a transaction set.

    For reading only, whosever it is: who knows the digest of a secret knows the secret.
    """
    # After the transaction that it was set in, a setting is empty: that is no row's digest either.
    known = f"decode((SELECT current_setting('{_DIGEST}', true)), 'hex')"
    return f"CREATE POLICY digest ON {table} FOR SELECT USING ({column} = {known})"


def tenant_settings(tenant_id: str) -> str:
    """Return the statement that lets the transaction see the rows of one tenant that are of no project.

    The id stands in it as a literal, as in `scope_settings`.
    """
    return f"SELECT set_config('{_TENANT}', '{Scope(tenant_id).tenant_id}', true)"


def digest_settings(digest: bytes) -> str:
    """Return the statement that lets the transaction see the row that a digest is of, and nothing else."""
    return f"SELECT set_config('{_DIGEST}', '{digest.hex()}', true)"


def service_settings() -> str:
    """Return the statement that lets the transaction see the service's own tables."""
    return f"SELECT set_config('{_SERVICE}', 'on', true)"


def scope_settings(scope: Scope) -> str:
    """Return the statement that lets the transaction see the rows of one scope.

    The ids stand in it as literals: a `Scope` holds nothing but letters, digits, `_`, `.` and `-`.
    """
    return (
        f"SELECT set_config('{_TENANT}', '{scope.tenant_id}', true), "
        f"set_config('{_PROJECT}', '{scope.project_id}', true)"
    )


def directory_settings(*, local: bool = True) -> str:
    """Return the statement that lets the transaction, or the session, list the scopes and nothing else."""
    return f"SELECT set_config('{_DIRECTORY}', 'on', {local})"
