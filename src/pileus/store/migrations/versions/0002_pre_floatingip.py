"""Floating addresses: one more table of nouns."""

from pileus.store.migrations.nounshape import create_noun

revision = "0002_pre_floatingip"
down_revision = "0001_pre_first"


def upgrade() -> None:
    """Make the table."""
    create_noun("floatingip")
