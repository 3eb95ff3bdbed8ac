"""The first schema: a table per noun, and the protocol's own."""

from alembic import op
from sqlalchemy import BigInteger, Column, Double, Integer, String

from pileus.store.migrations.nounshape import ID, OPTIONS, TEXT, create_noun

revision = "0001_pre_first"
down_revision = None

KINDS = (
    "project",
    "user",
    "credential",
    "flavor",
    "image",
    "keypair",
    "router",
    "network",
    "subnet",
    "securitygroup",
    "instance",
    "volume",
    "port",
    "host",
)


def _claims() -> None:
    op.create_table(
        "reference",
        Column("source", String(36), primary_key=True),
        Column("target", String(36), primary_key=True),
        Column("use", String(8), primary_key=True),
        Column("source_kind", String(16), nullable=False),
        Column("target_kind", String(16), nullable=False),
        sqlite_with_rowid=False,
        **OPTIONS,
    )
    op.create_index("ix_reference_target", "reference", ["target", "source_kind"])
    op.create_table(
        "claim",
        Column("pool", String(80), primary_key=True),
        Column("value", String(255), primary_key=True),
        Column("kind", String(16), nullable=False),
        Column("uuid", String(36), nullable=False),
        sqlite_with_rowid=False,
        **OPTIONS,
    )
    op.create_index("ix_claim_uuid", "claim", ["uuid"])
    op.create_table(
        "usage",
        Column("scope", String(48), primary_key=True),
        Column("resource", String(24), primary_key=True),
        Column("used", BigInteger, nullable=False),
        sqlite_with_rowid=False,
        **OPTIONS,
    )


def _queue() -> None:
    op.create_table(
        "wake",
        Column("kind", String(16), primary_key=True),
        Column("uuid", String(36), primary_key=True),
        Column("due", Double),
        Column("until", Double, nullable=False),
        Column("wakes", BigInteger, nullable=False),
        Column("tries", Integer, nullable=False),
        sqlite_with_rowid=False,
        **OPTIONS,
    )
    op.create_index("ix_wake_due", "wake", ["due"])
    op.create_table(
        "journal",
        Column("id", ID, primary_key=True, autoincrement=True),
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
        Column("detail", TEXT, nullable=False),
        Column("ended", Double),
        sqlite_autoincrement=True,
        **OPTIONS,
    )
    op.create_index("ix_journal_uuid", "journal", ["uuid", "outcome"])


def _numbers() -> None:
    op.create_table(
        "idempotency",
        Column("project", String(36), primary_key=True),
        Column("verb", String(48), primary_key=True),
        Column("token", String(128), primary_key=True),
        Column("digest", String(64), nullable=False),
        Column("result", TEXT, nullable=False),
        Column("at", Double, nullable=False),
        sqlite_with_rowid=False,
        **OPTIONS,
    )
    meta = op.create_table(
        "meta",
        Column("name", String(32), primary_key=True),
        Column("value", BigInteger, nullable=False),
        sqlite_with_rowid=False,
        **OPTIONS,
    )
    op.bulk_insert(meta, [{"name": "incarnation", "value": 1}, {"name": "counter", "value": 0}])


def upgrade() -> None:
    """Make every table."""
    for kind in KINDS:
        create_noun(kind)
    _claims()
    _queue()
    _numbers()
