"""The usage of projects is kept for every noun: the existing nouns are counted."""

import json
from collections import Counter

from alembic import op
from sqlalchemy import BigInteger, String, column, delete, insert, select, table

revision = "0005_pre_usage"
down_revision = "0004_pre_placementgroup"

COUNTED = ("image", "placementgroup", "credential", "router", "network", "subnet", "volume", "port")
RESOURCES = (*(f"{kind}s" for kind in COUNTED), "imagespace", "rules")


def upgrade() -> None:
    """Count the living rows; a second time comes out the same."""
    connection = op.get_bind()
    used: Counter[tuple[str, str]] = Counter()
    for kind in (*COUNTED, "securitygroup"):
        nouns = table(kind, column("project"), column("wanted"), column("gone"))
        for project, text in connection.execute(select(nouns.c.project, nouns.c.wanted).where(nouns.c.gone.is_(None))):
            scope, wanted = f"project:{project}", json.loads(text)
            if kind == "securitygroup":
                used[scope, "rules"] += len(wanted.get("rules", ()))
                continue
            used[scope, f"{kind}s"] += 1
            if kind == "image":
                captured = bool(wanted.get("instance"))
                gibibytes = max(1, -(-wanted.get("size", 0) // (1 << 30)))
                used[scope, "imagespace"] += wanted.get("min_disk", 1) if captured else gibibytes
    usage = table("usage", column("scope", String), column("resource", String), column("used", BigInteger))
    connection.execute(delete(usage).where(usage.c.resource.in_(RESOURCES)))
    rows = [
        {"scope": scope, "resource": resource, "used": amount} for (scope, resource), amount in used.items() if amount
    ]
    if rows:
        connection.execute(insert(usage), rows)
