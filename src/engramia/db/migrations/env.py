"""How alembic runs here: over the connection that `engramia.db.schema` opened, in its transaction."""

from alembic import context

from engramia.db.base import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
