"""The tables of tenants and projects, as the migrations leave them."""

from sqlalchemy import BigInteger, Column, DateTime, Table

from engramia.db.base import metadata, project_id, tenant_id

tenants = Table(
    "tenants", metadata, tenant_id(), Column("created_at", DateTime(timezone=True), nullable=False)
)

projects = Table(
    "projects",
    metadata,
    tenant_id(),
    project_id(),
    Column("max_patterns", BigInteger),
    Column("created_at", DateTime(timezone=True), nullable=False),
)
