"""Tenants and projects in the database, inside a transaction that set the tenant."""

from datetime import datetime

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from engramia.core.model import Scope
from engramia.core.query import Page
from engramia.providers.postgres.tables import scopes
from engramia.server.tenancy.model import Project, RegisteredProject
from engramia.server.tenancy.tables import projects, tenants


def lock_tenant(connection: Connection, tenant_id: str) -> bool:
    """Hold the tenant until the transaction ends, once no other does; return whether there is one."""
    held = select(tenants.c.tenant_id).where(tenants.c.tenant_id == tenant_id).with_for_update()
    return connection.execute(held).one_or_none() is not None


def add_tenant(connection: Connection, tenant_id: str, now: datetime) -> None:
    """Make the tenant, unless it is there."""
    made = insert(tenants).values(tenant_id=tenant_id, created_at=now)
    connection.execute(made.on_conflict_do_nothing())


def add_project(connection: Connection, scope: Scope, now: datetime) -> bool:
    """Make the project, unless it is there; return whether it was made."""
    made = insert(projects).values(tenant_id=scope.tenant_id, project_id=scope.project_id, created_at=now)
    done = connection.execute(made.on_conflict_do_nothing().returning(projects.c.project_id))
    return done.one_or_none() is not None


def find_project(connection: Connection, scope: Scope) -> Project | None:
    """Return the project, or None if there is none; one that only holds memories counts too.

    The transaction must have set the whole scope.
    """
    made = select(projects.c.max_patterns).where(
        projects.c.tenant_id == scope.tenant_id, projects.c.project_id == scope.project_id
    )
    row = connection.execute(made).one_or_none()
    if row is not None:
        return Project(row.max_patterns)
    # What the command line or a migration has stored came without a key.
    stored = select(scopes.c.tenant_id).where(
        scopes.c.tenant_id == scope.tenant_id, scopes.c.project_id == scope.project_id
    )
    return None if connection.execute(stored).one_or_none() is None else Project()


def limit_project(connection: Connection, scope: Scope, max_patterns: int | None) -> None:
    """Let the project, which is registered, hold so many patterns; None for any number."""
    ours = (projects.c.tenant_id == scope.tenant_id) & (projects.c.project_id == scope.project_id)
    connection.execute(update(projects).where(ours).values(max_patterns=max_patterns))


def project_page(
    connection: Connection, tenant_id: str, *, limit: int, offset: int
) -> Page[RegisteredProject]:
    """Return the tenant's registered projects, by id."""
    statement = (
        select(projects.c.project_id, projects.c.max_patterns, projects.c.created_at)
        .where(projects.c.tenant_id == tenant_id)
        .order_by(projects.c.project_id)
        .limit(limit + 1)
        .offset(offset)
    )
    rows = connection.execute(statement).all()
    found = tuple(RegisteredProject(row.project_id, row.max_patterns, row.created_at) for row in rows[:limit])
    return Page(found, offset, len(rows) > limit)
