"""Ports: logical switch ports with their addresses, port security, DHCP options and exactly their groups."""

from __future__ import annotations

import uuid as uuids
from typing import Any

from pileus.model.errors import Fault
from pileus.model.noun import Revision
from pileus.model.spec import PortSpec
from pileus.providers.local.network import dhcp, securitygroup, tag
from pileus.providers.local.network.network import dhcpv6_options
from pileus.providers.local.network.references import References
from pileus.providers.local.network.rows import KIND, UUID, NorthboundRows, derived, marks, marks_of

TABLE = "Logical_Switch_Port"

_BANDWIDTH, _PRIORITY = "bandwidth", 100
_TRANSLATION, _IDENTITY = "NAT", "identity"
_BURSTS = 5
"""Bursts a second that add up to the bandwidth."""
_LEAST_BURST = 1000
"""Kilobits of a burst: segments of 64 KiB, as guests send them, fit in."""


def ensure(rows: NorthboundRows, spec: PortSpec) -> None:
    """Write the port and its memberships as `spec` says, together.

    Raises Superseded, Fault `NetworkMissing`, `RouterMissing`.
    """
    own = uuids.UUID(spec.uuid)
    before = rows.guard(TABLE, own, spec.revision)
    switch = rows.get("Logical_Switch", uuids.UUID(spec.network))
    options = rows.get("DHCP_Options", uuids.UUID(spec.subnet))
    options6 = rows.get("DHCP_Options", dhcpv6_options(spec.subnet)) if spec.ipv6 else None
    if switch is None or options is None or (spec.ipv6 and options6 is None):
        raise Fault("NetworkMissing", f"network {spec.network} of port {spec.uuid} is not there yet")
    marks_after = {**marks_of(spec), **tag.marks_of_tags(spec.router, spec.network_tags)}
    left_tags = tag.listed(before.external_ids) - tag.listed(marks_after) if before is not None else set()
    address = " ".join((spec.mac, spec.address, *spec.secondaries, *spec.ipv6))
    rows.put(
        TABLE,
        own,
        name=spec.uuid,
        type="",
        enabled=[],
        addresses=[address],
        port_security=[spec.mac if spec.forwards else address],
        dhcpv4_options=options.uuid,
        dhcpv6_options=[options6.uuid] if options6 is not None else [],
        options=dhcp.hostname(spec.hostname),
        external_ids=marks_after,
    )
    rows.attach(switch, "ports", own)
    _bound(rows, switch, spec)
    _answer_outside(rows, spec)
    _join(rows, own, spec)
    tag.drop_unused(rows, left_tags, own)


def remove(rows: NorthboundRows, own: uuids.UUID, revision: Revision) -> None:
    """Remove the port; its memberships go with it. Raises Superseded."""
    row = rows.guard(TABLE, own, revision)
    if row is not None:
        tags = tag.listed(row.external_ids)
        rows.delete(TABLE, own)
        tag.drop_unused(rows, tags, own)
        rows.delete("QoS", derived(str(own), _BANDWIDTH))
        for translation in rows.owned(_TRANSLATION, str(own)):
            rows.delete(_TRANSLATION, translation.uuid)


def memberships(tables: Any, references: References, own: uuids.UUID) -> tuple[str, ...]:
    """The groups that the port is in, by the groups' own rows; without those of its tags."""
    groups = tables["Port_Group"].rows
    port_groups = (groups[group] for group in references.holders("Port_Group", "ports", own))
    return tuple(sorted(securitygroup.label(group) for group in port_groups if not tag.is_tag(group)))


def _bound(rows: NorthboundRows, switch: Any, spec: PortSpec) -> None:
    """Hold the guest to its bandwidth, where its packets enter the switch: what exceeds it is dropped.

    By OVN's own meters: policing by the kernel does not see packets that a switch in user space reads.
    """
    own = derived(spec.uuid, _BANDWIDTH)
    if not spec.bandwidth:
        rows.delete("QoS", own)
        return
    kilobits = spec.bandwidth * 1000
    rows.put(
        "QoS",
        own,
        direction="from-lport",
        priority=_PRIORITY,
        match=f'inport == "{spec.uuid}"',
        bandwidth={"rate": kilobits, "burst": max(kilobits // _BURSTS, _LEAST_BURST)},
        external_ids=marks("bandwidth", spec.uuid, spec.revision),
    )
    rows.attach(switch, "qos_rules", own)


def _answer_outside(rows: NorthboundRows, spec: PortSpec) -> None:
    """Translate each IPv6 address of the port to itself, where the router leads outside.

    It changes no packet: the router then answers neighbour solicitations for the address on the outside network, on the
    gateway's chassis alone. `arp_proxy` of the outside switch answers on every chassis. Raises Fault `RouterMissing`.
    """
    routed = spec.ipv6 if spec.router else ()
    translations = {derived(spec.uuid, f"{_IDENTITY}-{address}"): address for address in routed}
    for row in rows.owned(_TRANSLATION, spec.uuid):
        if row.uuid not in translations:
            rows.delete(_TRANSLATION, row.uuid)
    if not translations:
        return
    router = rows.get("Logical_Router", uuids.UUID(spec.router))
    if router is None:
        raise Fault("RouterMissing", f"router {spec.router} of port {spec.uuid} is not there yet")
    for own, address in translations.items():
        rows.put(
            _TRANSLATION,
            own,
            type="dnat_and_snat",
            external_ip=address,
            logical_ip=address,
            # Without connection tracking, which the address needs no more than before.
            options={"stateless": "true"},
            external_ids={KIND: _IDENTITY, UUID: spec.uuid},
        )
        rows.attach(router, "nat", own)


def _join(rows: NorthboundRows, own: uuids.UUID, spec: PortSpec) -> None:
    """Put the port into its groups, those of its tags and the drop group, and out of every other.

    Members are row uuids: a name would join nothing, and say nothing.
    """
    wanted = [securitygroup.ensure_drop(rows)]
    wanted += [securitygroup.known(rows, group) for group in set(spec.groups)]
    wanted += [tag.known(rows, spec.router, each) for each in set(spec.network_tags) if spec.router]
    keep = {row.uuid for row in wanted}
    for row in rows.holders("Port_Group", "ports", own):
        if row.uuid not in keep:
            row.delvalue("ports", own)
    for row in wanted:
        rows.include(row, "ports", own)
