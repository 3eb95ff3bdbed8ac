"""Access keys tell when they were used last: a table beside their rows."""

from alembic import op
from sqlalchemy import Column, Double, String, inspect

from pileus.store.migrations.nounshape import OPTIONS

revision = "0009_pre_keyuse"
down_revision = "0008_pre_shares"


def upgrade() -> None:
    """Make the table; a second time comes out the same."""
    if "keyuse" not in inspect(op.get_bind()).get_table_names():
        op.create_table(
            "keyuse",
            Column("uuid", String(36), primary_key=True),
            Column("at", Double, nullable=False),
            Column("service", String(16), nullable=False),
            sqlite_with_rowid=False,
            **OPTIONS,
        )
