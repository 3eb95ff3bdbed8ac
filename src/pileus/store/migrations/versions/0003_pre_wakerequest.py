"""Wakes name the request that asked for them, so that the log of a step can."""

from alembic import op
from sqlalchemy import Column, String

revision = "0003_pre_wakerequest"
down_revision = "0002_pre_floatingip"


def upgrade() -> None:
    """Add the column."""
    op.add_column("wake", Column("request", String(64), nullable=False, server_default=""))
