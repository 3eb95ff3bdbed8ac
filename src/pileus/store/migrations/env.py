"""How Alembic runs here: always on a connection that `pileus.store.migrate` opened, inside its transaction.

MariaDB keeps each change of the schema when it is made. A script that was interrupted is begun anew there, and passes
over what is done; what it does to rows has to come out the same a second time.
"""

from typing import Any

from alembic import context
from alembic.ddl.mysql import MariaDBImpl

from pileus.store.tables import metadata


class Resumable(MariaDBImpl):
    """Takes the place of Alembic's own for this dialect."""

    __dialect__ = "mariadb"

    def create_table(self, table: Any, **more: Any) -> None:
        """Make a table that is not there."""
        super().create_table(table, **{**more, "if_not_exists": True})

    def drop_table(self, table: Any, **more: Any) -> None:
        """Remove a table that is there."""
        super().drop_table(table, **{**more, "if_exists": True})

    def create_index(self, index: Any, **more: Any) -> None:
        """Make an index that is not there."""
        super().create_index(index, **{**more, "if_not_exists": True})

    def drop_index(self, index: Any, **more: Any) -> None:
        """Remove an index that is there."""
        super().drop_index(index, **{**more, "if_exists": True})

    def add_column(self, table_name: str, column: Any, **more: Any) -> None:
        """Add a column that is not there."""
        super().add_column(table_name, column, **{**more, "if_not_exists": True})

    def drop_column(self, table_name: str, column: Any, **more: Any) -> None:
        """Remove a column that is there."""
        super().drop_column(table_name, column, **{**more, "if_exists": True})


context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
