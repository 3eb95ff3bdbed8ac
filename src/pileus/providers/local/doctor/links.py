"""Guests' interfaces: the TAPs in the cloud's namespace, and the switch's ports that they are plugged into."""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterable, Iterator, Mapping

from pileus.model.errors import Fault
from pileus.model.finding import Finding
from pileus.providers.local.container import veth
from pileus.providers.local.doctor.domains import Domain
from pileus.providers.local.doctor.expected import Expected
from pileus.providers.local.engine import switch
from pileus.providers.local.guestnet.namespaces import outside, run_in
from pileus.providers.local.layout import Layout
from pileus.providers.local.machine import tap

KIND = "interface"
_TAP = re.compile(r"tap[0-9a-f]{11}")
_OURS = re.compile(rf"{_TAP.pattern}|{outside('')}[0-9a-f]{{8}}")
"""The names of a cloud's interfaces; others in its namespace are none of its business."""


def links(layout: Layout) -> list[str]:
    """The names of all interfaces in the cloud's namespace. Raises OSError."""
    return run_in(layout.netns, lambda: [name for _, name in socket.if_nameindex()])


def compare(
    expected: Expected, layout: Layout, link_names: Iterable[str], plugs: Mapping[str, str], guests: Iterable[Domain]
) -> Iterator[Finding]:
    """TAPs and plugs that belong to nothing, and running guests without theirs; `plugs` as `switch.ports` gives."""
    there = set(link_names)
    taps = {layout.tap(port) for port in expected.ports}
    ours = taps | {outside(network) for network in expected.networks}
    if expected.complete:
        for name in sorted(there):
            if _TAP.fullmatch(name) and name not in taps:
                yield Finding(code="TapLeaked", kind=KIND, ident=name)
        for name, port in plugs.items():
            if _OURS.fullmatch(name) and name not in ours and name not in there:
                yield Finding(code="PlugLeaked", kind=KIND, ident=name, detail=f"as logical port {port}")
    running = {domain.spec.uuid for domain in guests if domain.spec is not None and domain.running}
    for uuid, order in expected.converged.items():
        for nic in order.spec.nics if order.spec is not None and uuid in running else ():
            name = layout.tap(nic.uuid)
            detail = f"{name}, port {nic.ec2_id}"
            if name not in there:
                yield Finding(code="TapMissing", kind="instance", ident=uuid, detail=detail)
            elif name not in plugs:
                yield Finding(code="PlugMissing", kind="instance", ident=uuid, detail=detail)


def remove_tap(layout: Layout, name: str) -> None:
    """Remove a TAP, or a container's pair, and its plug if it has one. Raises Fault while a process uses it."""
    try:
        tap.remove(layout.netns, name)
    except Fault as fault:
        if not isinstance(fault.__cause__, OSError) or fault.__cause__.errno != errno.EINVAL:
            raise
        # No TAP but one end of a pair.
        veth.remove(layout.netns, name)
    switch.detach(layout, name)
