"""Network tags: a port group for each tag that a port on a router's networks has, or that a rule names.

Rules name the addresses of its members, which are unique on the networks of one router.
"""

from __future__ import annotations

import uuid as uuids
from collections.abc import Iterable, Mapping
from typing import Any

from pileus.model.securitygroup import Rule
from pileus.providers.local.network import acl
from pileus.providers.local.network.rows import KIND, UUID, NorthboundRows

TABLE = "Port_Group"
TAG = "tag"
"""The mark of a tag's row, which belongs to no noun."""

_TAGS = "pileus-tags"
"""The key in the marks of a port or a group under which it lists the rows of the tags that it has or names."""


def marks_of_tags(router: str, tags: Iterable[str]) -> dict[str, str]:
    """The mark of a port that has these tags, or of a group whose rules name them; empty for none."""
    listed = ",".join(sorted(str(acl.tag_uuid(router, tag)) for tag in set(tags) if router))
    return {_TAGS: listed} if listed else {}


def tags_of(rules: Iterable[Rule]) -> set[str]:
    """The tags that rules name."""
    return {tag for rule in rules for tag in (rule.tag, *rule.targets) if tag}


def listed(marks: Mapping[str, str]) -> set[uuids.UUID]:
    """The rows of the tags that the row with these marks has or names."""
    return {uuids.UUID(each) for each in marks.get(_TAGS, "").split(",") if each}


def known(rows: NorthboundRows, router: str, tag: str) -> Any:
    """The row of a tag, made if there is none: a rule that names no row is one that no chassis understands."""
    own = acl.tag_uuid(router, tag)
    row = rows.get(TABLE, own)
    if row is not None:
        # Another writer may be about to drop it.
        row.verify("name")
    return rows.put(TABLE, own, name=acl.tag_name(router, tag), external_ids={KIND: TAG, UUID: str(own)})


def is_tag(row: Any) -> bool:
    """Whether a port group is a tag's."""
    return bool(row.external_ids.get(KIND) == TAG)


def drop_unused(rows: NorthboundRows, tags: Iterable[uuids.UUID], leaving: uuids.UUID) -> None:
    """Remove the rows of those tags that only the port or group `leaving` had or named."""
    for own in tags:
        row = rows.get(TABLE, own)
        if row is None or any(port.uuid != leaving for port in row.ports):
            continue
        groups = rows.tables[TABLE].rows.values()
        if not any(own in listed(group.external_ids) for group in groups if group.uuid != leaving):
            row.verify("ports")
            rows.delete(TABLE, own)
