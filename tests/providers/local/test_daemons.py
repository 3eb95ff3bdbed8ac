"""The messages about the daemons of one cloud."""

from __future__ import annotations

from pileus.providers.local.daemons import counted


def test_one_instance_is_no_instances() -> None:
    assert [counted(count) for count in (1, 2, 10)] == ["1 instance", "2 instances", "10 instances"]
