"""Public and shared images are found by claims: the existing images claim."""

import json

from alembic import op
from sqlalchemy import String, column, delete, insert, select, table

revision = "0008_pre_shares"
down_revision = "0007_pre_changed"

PUBLIC, SHARED = "public:image", "shared:image:"


def upgrade() -> None:
    """Write the claims of the living images; a second time comes out the same."""
    connection = op.get_bind()
    images = table("image", column("uuid"), column("wanted"), column("gone"))
    claim = table("claim", *(column(name, String) for name in ("pool", "value", "kind", "uuid")))
    rows = []
    for uuid, text in connection.execute(select(images.c.uuid, images.c.wanted).where(images.c.gone.is_(None))):
        wanted = json.loads(text)
        pools = [PUBLIC] if wanted.get("public") else []
        pools += [f"{SHARED}{account}" for account in dict.fromkeys(wanted.get("accounts", ()))]
        rows += [{"pool": pool, "value": uuid, "kind": "image", "uuid": uuid} for pool in pools]
    connection.execute(delete(claim).where((claim.c.pool == PUBLIC) | claim.c.pool.like(f"{SHARED}%")))
    if rows:
        connection.execute(insert(claim), rows)
