"""All containers of a cloud at once, for whoever ends it: they run without any process of ours."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from pileus.model.errors import Fault
from pileus.model.spec import InstanceSpec
from pileus.providers.local.container import order
from pileus.providers.local.container.monitor import Monitor
from pileus.providers.local.layout import Layout
from pileus.providers.local.machine import cgroups

_POLL = 0.02
_PATIENCE = 10.0
"""Seconds that LXC has to tidy up after a container whose processes were killed."""


def running(layout: Layout) -> list[InstanceSpec]:
    """The containers that run now. Raises OSError."""
    return [each.spec for each in order.orders(layout) if monitor(layout, each.spec).running()]


def monitor(layout: Layout, spec: InstanceSpec) -> Monitor:
    """Return the monitor of the container of `spec`."""
    return Monitor(layout.containers / spec.uuid, spec.ec2_id)


def end(layout: Layout, spec: InstanceSpec) -> None:
    """Nothing of the container of `spec` runs, whatever becomes of what it was doing; its folder and NICs stay.

    Raises Fault while it lives.
    """
    guest_monitor = monitor(layout, spec)
    if guest_monitor.running():
        guest_monitor.cut()
        if not guest_monitor.wait(_PATIENCE):
            cgroups.end(layout, spec.ec2_id)
    until = time.monotonic() + _PATIENCE
    # A monitor that was killed leaves its groups behind, and perhaps processes that are about to end.
    while guest_monitor.running() or not cgroups.remove(layout, spec.ec2_id):
        if time.monotonic() > until:
            raise Fault("ContainerFailed", f"the container {spec.ec2_id} does not end")
        if not guest_monitor.running():
            cgroups.end(layout, spec.ec2_id)
        time.sleep(_POLL)


def end_all(layout: Layout) -> None:
    """Kill every container; disks and orders stay. Raises Fault and OSError."""
    specs = running(layout)
    if specs:
        with ThreadPoolExecutor(max_workers=min(16, len(specs))) as pool:
            list(pool.map(lambda spec: end(layout, spec), specs))
