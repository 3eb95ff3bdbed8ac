"""Placement groups: one more table of nouns."""

from typing import Any

from alembic import op
from sqlalchemy import BigInteger, Column, Double, Integer, String, Text
from sqlalchemy.dialects.mysql import LONGTEXT

revision = "0004_pre_placementgroup"
down_revision = "0003_pre_wakerequest"

TEXT = Text().with_variant(LONGTEXT(), "mariadb")
OPTIONS: dict[str, Any] = {
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_nopad_bin",
}


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "placementgroup",
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("uuid", String(36), nullable=False, unique=True),
        Column("ec2_id", String(32), nullable=False, unique=True),
        Column("project", String(36), nullable=False),
        Column("name", String(255), nullable=False),
        Column("tags", TEXT, nullable=False),
        Column("generation", BigInteger, nullable=False),
        Column("created", Double, nullable=False),
        Column("gone", Double),
        Column("incarnation", BigInteger, nullable=False),
        Column("counter", BigInteger, nullable=False),
        Column("wanted", TEXT, nullable=False),
        Column("assigned", TEXT, nullable=False),
        Column("seen", TEXT, nullable=False),
        sqlite_autoincrement=True,
        **OPTIONS,
    )
    op.create_index("ix_placementgroup_project", "placementgroup", ["project", "id"])
    op.create_index("ix_placementgroup_gone", "placementgroup", ["gone"])
