"""What every table of the database shares: one metadata, and the columns that say whose a row is."""

from sqlalchemy import Column, MetaData, Text

metadata = MetaData()
"""All tables, as the newest migration leaves them."""

APP_ROLE = "engramia_app"
"""The role that the application acts as: it owns nothing and row security holds for it."""

VERSION_TABLE = "engramia_schema"
"""Where alembic notes the revision."""

NAMES = Text(collation="C")
"""Ids and keys: ordered by their bytes, whatever the locale of the database."""


def tenant_id() -> "Column[str]":
    """Return the column that comes first in every primary key, foreign key and index."""
    return Column("tenant_id", NAMES, primary_key=True)


def project_id() -> "Column[str]":
    """Return the column that comes second where rows belong to a project."""
    return Column("project_id", NAMES, primary_key=True)
