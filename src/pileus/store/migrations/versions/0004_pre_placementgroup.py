"""Placement groups: one more table of nouns."""

from pileus.store.migrations.nounshape import create_noun

revision = "0004_pre_placementgroup"
down_revision = "0003_pre_wakerequest"


def upgrade() -> None:
    """Make the table."""
    create_noun("placementgroup")
