"""Instances tell their size, by which their usage is counted: those that live get it from flavor and disks."""

import json

from alembic import op
from sqlalchemy import column, select, table, update

revision = "0006_pre_size"
down_revision = "0005_pre_usage"


def upgrade() -> None:
    """Give each living instance its size; a second time comes out the same."""
    connection = op.get_bind()
    flavors, volumes, instances = (
        table(kind, column("uuid"), column("wanted"), column("assigned"), column("gone"))
        for kind in ("flavor", "volume", "instance")
    )
    by_uuid = {row.uuid: json.loads(row.wanted) for row in connection.execute(select(flavors.c.uuid, flavors.c.wanted))}
    disks: dict[str, int] = {}
    formats: dict[str, str] = {}
    for (text,) in connection.execute(select(volumes.c.wanted).where(volumes.c.gone.is_(None))):
        wanted = json.loads(text)
        instance = wanted.get("instance") or ""
        disks[instance] = disks.get(instance, 0) + wanted.get("size", 0)
        formats.setdefault(instance, wanted.get("format", "qcow2"))
    living = select(instances.c.uuid, instances.c.wanted, instances.c.assigned).where(instances.c.gone.is_(None))
    for row in connection.execute(living).all():
        flavor = by_uuid.get(json.loads(row.wanted).get("flavor"))
        if flavor is None:
            continue
        image_format = formats.get(row.uuid)
        kind = flavor.get("kind", "machine")
        if image_format is not None:
            kind = "container" if image_format == "tar" else "machine"
        size = {"vcpus": flavor["vcpus"], "memory": flavor["memory"], "disk": disks.get(row.uuid, 0), "kind": kind}
        assigned = json.dumps({**json.loads(row.assigned), "size": size})
        connection.execute(update(instances).where(instances.c.uuid == row.uuid).values(assigned=assigned))
