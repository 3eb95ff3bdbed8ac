"""Placement groups: one more table of nouns."""

from alembic import op
from sqlalchemy import BigInteger, Column, Double, Integer, String, Text

revision = "0004_pre_placementgroup"
down_revision = "0003_pre_wakerequest"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "placementgroup",
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("uuid", String(36), nullable=False, unique=True),
        Column("ec2_id", String(32), nullable=False, unique=True),
        Column("project", String(36), nullable=False),
        Column("name", String(255), nullable=False),
        Column("tags", Text, nullable=False),
        Column("generation", BigInteger, nullable=False),
        Column("created", Double, nullable=False),
        Column("gone", Double),
        Column("incarnation", BigInteger, nullable=False),
        Column("counter", BigInteger, nullable=False),
        Column("wanted", Text, nullable=False),
        Column("assigned", Text, nullable=False),
        Column("seen", Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_placementgroup_project", "placementgroup", ["project", "id"])
    op.create_index("ix_placementgroup_gone", "placementgroup", ["gone"])
