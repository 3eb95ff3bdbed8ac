"""Specs of instances for the machine's tests."""

from __future__ import annotations

from typing import Any

from pileus.model.instance import Power, PowerState
from pileus.model.spec import DiskSpec, InstanceSpec, NicSpec

UUID = "0fb0c1d2-3e4f-4a5b-8c6d-7e8f90a1b2c3"


def disk(digest: str = "", **changes: Any) -> DiskSpec:
    """A root disk of 1 GiB."""
    fields = {"uuid": UUID.replace("0f", "7f", 1), "ec2_id": "vol-7fb0c1d23e4f4a5b8", "size": 1, "digest": digest}
    return DiskSpec(**{**fields, **changes})


def nic(**changes: Any) -> NicSpec:
    """A NIC on a made-up network."""
    fields = {
        "uuid": UUID.replace("0f", "9f", 1),
        "ec2_id": "eni-9fb0c1d23e4f4a5b8",
        "mac": "02:00:00:00:00:05",
        "address": "10.98.0.5",
        "cidr": "10.98.0.0/24",
        "gateway": "10.98.0.1",
        "localport": "10.98.0.2",
        "localport_mac": "02:00:00:00:00:02",
        "network": UUID.replace("0f", "8f", 1),
    }
    return NicSpec(**{**fields, **changes})


def instance(state: PowerState = "running", revision: int = 1, **changes: Any) -> InstanceSpec:
    """A small machine with a blank root disk and no NIC."""
    fields = {
        "uuid": UUID,
        "revision": (1, revision),
        "power": Power(state=state, n=revision),
        "vcpus": 1,
        "memory": 128,
        "disks": (disk(),),
        "ec2_id": f"i-{UUID.replace('-', '')[:17]}",
    }
    return InstanceSpec(**{**fields, **changes})
