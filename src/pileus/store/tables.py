"""The tables: one per noun, all of one shape, and the few that the protocol needs."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Column, Double, Index, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects.mysql import LONGTEXT

from pileus.model.nouns import NOUNS

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite gives an automatic number to INTEGER PRIMARY KEY alone.
_ID = BigInteger().with_variant(Integer, "sqlite")
# MariaDB's TEXT ends at 64 KiB.
_TEXT = Text().with_variant(LONGTEXT(), "mariadb")

OPTIONS: Final[dict[str, Any]] = {
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    # Case, accents and spaces at the end count, as they do in the other engines.
    "mariadb_collate": "utf8mb4_nopad_bin",
}
"""The options that every table is created with."""

_UNNUMBERED: Final[dict[str, Any]] = {"sqlite_with_rowid": False, **OPTIONS}


def _noun(kind: str) -> Table:
    return Table(
        kind,
        metadata,
        Column("id", _ID, primary_key=True, autoincrement=True),
        Column("uuid", String(36), nullable=False, unique=True),
        Column("ec2_id", String(32), nullable=False, unique=True),
        Column("project", String(36), nullable=False),
        Column("name", String(255), nullable=False),
        Column("tags", _TEXT, nullable=False),
        Column("generation", BigInteger, nullable=False),
        Column("created", Double, nullable=False),
        Column("changed", Double, nullable=False, server_default="0"),
        Column("gone", Double),
        Column("incarnation", BigInteger, nullable=False),
        Column("counter", BigInteger, nullable=False),
        Column("wanted", _TEXT, nullable=False),
        Column("assigned", _TEXT, nullable=False),
        Column("seen", _TEXT, nullable=False),
        Index(f"ix_{kind}_project", "project", "id"),
        Index(f"ix_{kind}_gone", "gone"),
        Index(f"ix_{kind}_name", "name"),
        Index(f"ix_{kind}_changed", "changed", "id"),
        Index(f"ix_{kind}_project_changed", "project", "changed", "id"),
        sqlite_autoincrement=True,
        **OPTIONS,
    )


nouns: dict[str, Table] = {kind: _noun(kind) for kind in NOUNS}

reference = Table(
    "reference",
    metadata,
    Column("source", String(36), primary_key=True),
    Column("target", String(36), primary_key=True),
    Column("use", String(8), primary_key=True),
    Column("source_kind", String(16), nullable=False),
    Column("target_kind", String(16), nullable=False),
    Index("ix_reference_target", "target", "source_kind"),
    **_UNNUMBERED,
)

claim = Table(
    "claim",
    metadata,
    Column("pool", String(80), primary_key=True),
    Column("value", String(255), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("uuid", String(36), nullable=False),
    Index("ix_claim_uuid", "uuid"),
    **_UNNUMBERED,
)

usage = Table(
    "usage",
    metadata,
    Column("scope", String(48), primary_key=True),
    Column("resource", String(24), primary_key=True),
    Column("used", BigInteger, nullable=False),
    **_UNNUMBERED,
)

keyuse = Table(
    "keyuse",
    metadata,
    Column("uuid", String(36), primary_key=True),
    Column("at", Double, nullable=False),
    Column("service", String(16), nullable=False),
    **_UNNUMBERED,
)
"""The last uses of access keys, by the uuids of their rows. A use is no change of the row, which processes cache."""

wake = Table(
    "wake",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("uuid", String(36), primary_key=True),
    Column("due", Double),
    Column("until", Double, nullable=False),
    Column("wakes", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("request", String(64), nullable=False, server_default=""),
    Index("ix_wake_due", "due"),
    **_UNNUMBERED,
)

journal = Table(
    "journal",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("project", String(36), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("uuid", String(36), nullable=False),
    Column("verb", String(48), nullable=False),
    Column("goal", BigInteger, nullable=False),
    Column("user", String(255), nullable=False),
    Column("face", String(16), nullable=False),
    Column("request", String(64), nullable=False),
    Column("outcome", String(12), nullable=False),
    Column("detail", _TEXT, nullable=False),
    Column("ended", Double),
    Index("ix_journal_uuid", "uuid", "outcome"),
    Index("ix_journal_project", "project", "id"),
    Index("ix_journal_request", "request", "project", "id"),
    sqlite_autoincrement=True,
    **OPTIONS,
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("project", String(36), primary_key=True),
    Column("verb", String(48), primary_key=True),
    Column("token", String(128), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("result", _TEXT, nullable=False),
    Column("at", Double, nullable=False),
    **_UNNUMBERED,
)

meta = Table(
    "meta",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
    **_UNNUMBERED,
)

FIRST_META = ({"name": "incarnation", "value": 1}, {"name": "counter", "value": 0})
"""The rows of `meta` that a new database has."""
