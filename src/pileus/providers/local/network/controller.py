"""Packets for which the network controller of a host computes the answer: each network and router has a bound.

A controller answers DHCP, learns neighbours and reports errors in one thread for all guests of its host. Without a
bound the guests of one network keep it from those of all others. See "Copp" in ovn-nb(5).
"""

from __future__ import annotations

from typing import Any

from pileus.model import bounds
from pileus.providers.local.network.rows import KIND, UUID, NorthboundRows, derived

_PROTOCOLS = (
    *("arp", "arp-resolve", "dhcpv4-opts", "icmp4-error", "igmp", "nd-na", "nd-ns", "nd-ns-resolve"),
    *("reject", "tcp-reset"),
)
"""All that a controller does for guests here, as OVN names it."""


def bound(rows: NorthboundRows, row: Any, owner: str) -> None:
    """Bound the packets of `row`, a switch or a router of the noun `owner`, that go to a controller."""
    marks = {KIND: "controller", UUID: owner}
    name = f"controller-{owner}"
    most = bounds.CONTROLLER_PACKETS.most
    band = rows.put(
        "Meter_Band",
        derived(owner, "controller-band"),
        action="drop",
        rate=most,
        burst_size=most,
        external_ids=marks,
    )
    # OVN shares a meter among all that name it on a host: one for each owner.
    meter = derived(owner, "controller-meter")
    rows.put("Meter", meter, name=name, unit="pktps", bands=[band.uuid], external_ids=marks)
    meters = dict.fromkeys(_PROTOCOLS, name)
    row.copp = [rows.put("Copp", derived(owner, "controller"), name=name, meters=meters, external_ids=marks).uuid]


def remove(rows: NorthboundRows, owner: str) -> None:
    """Remove the rows of `bound`, after the switch or the router."""
    rows.delete("Copp", derived(owner, "controller"))
    rows.delete("Meter", derived(owner, "controller-meter"))
