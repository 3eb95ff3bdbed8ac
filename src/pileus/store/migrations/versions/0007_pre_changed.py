"""Nouns tell when they were changed last; the journal is found by project and by request."""

from alembic import op
from sqlalchemy import Column, Double, inspect

revision = "0007_pre_changed"
down_revision = "0006_pre_size"


def upgrade() -> None:
    """Add column and indexes to the table of each noun that there is; a second time comes out the same."""
    connection = op.get_bind()
    look = inspect(connection)
    columns = {name: {column["name"] for column in look.get_columns(name)} for name in look.get_table_names()}
    for kind in sorted(name for name, names in columns.items() if "ec2_id" in names):
        if "changed" not in columns[kind]:
            op.add_column(kind, Column("changed", Double, nullable=False, server_default="0"))
        op.execute(f"UPDATE {_quoted(kind)} SET changed = coalesce(gone, created)")  # noqa: S608  (a name of a table)
        op.create_index(f"ix_{kind}_name", kind, ["name"], if_not_exists=True)
        op.create_index(f"ix_{kind}_changed", kind, ["changed", "id"], if_not_exists=True)
        op.create_index(f"ix_{kind}_project_changed", kind, ["project", "changed", "id"], if_not_exists=True)
    op.create_index("ix_journal_project", "journal", ["project", "id"], if_not_exists=True)
    op.create_index("ix_journal_request", "journal", ["request", "project", "id"], if_not_exists=True)


def _quoted(name: str) -> str:
    return op.get_bind().dialect.identifier_preparer.quote(name)
