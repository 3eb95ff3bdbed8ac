"""How Alembic runs here: always on a connection that `pileus.store.migrate` opened, inside its transaction."""

from alembic import context

from pileus.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
