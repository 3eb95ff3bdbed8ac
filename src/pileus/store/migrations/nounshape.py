"""The table of a noun as the first scripts make it. It never changes: a later shape is a later script's."""

from typing import Any

from alembic import op
from sqlalchemy import BigInteger, Column, Double, Integer, String, Text
from sqlalchemy.dialects.mysql import LONGTEXT

ID = BigInteger().with_variant(Integer, "sqlite")
TEXT = Text().with_variant(LONGTEXT(), "mariadb")
OPTIONS: dict[str, Any] = {
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_nopad_bin",
}


def create_noun(kind: str) -> None:
    """Make the table of a kind, with its indexes."""
    op.create_table(
        kind,
        Column("id", ID, primary_key=True, autoincrement=True),
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
    op.create_index(f"ix_{kind}_project", kind, ["project", "id"])
    op.create_index(f"ix_{kind}_gone", kind, ["gone"])
