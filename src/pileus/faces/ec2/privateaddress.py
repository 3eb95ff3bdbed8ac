"""The private addresses that requests name for a network interface."""

from __future__ import annotations

from typing import Any

from pileus.model import addresses
from pileus.model.errors import InvalidValue


def ipv6_of(args: dict[str, Any]) -> dict[str, Any]:
    """The addresses of IPv6, or their number, as the core's NewPort has them."""
    items = args.get("Ipv6Addresses", ())
    for item in items:
        if not item.get("Ipv6Address"):
            raise InvalidValue("Each IPv6 address has to be named.", noun="port", reason="missing")
    return {
        "ipv6_addresses": tuple(addresses.shortest(item["Ipv6Address"]) for item in items),
        "ipv6_count": args.get("Ipv6AddressCount"),
    }


def addresses_of(args: dict[str, Any]) -> dict[str, Any]:
    """The primary address, the secondary ones and the number of further ones, as the core's NewPort has them.

    And those of IPv6.
    """
    address: str = args.get("PrivateIpAddress", "")
    items = args.get("PrivateIpAddresses", ())
    for item in items:
        if not item.get("PrivateIpAddress"):
            raise InvalidValue("Each private address has to be named.", noun="port", reason="missing")
    primaries = [item["PrivateIpAddress"] for item in items if item.get("Primary")]
    if len(primaries) + bool(address) > 1:
        text = "Only one primary private IP address can be specified."
        raise InvalidValue(text, noun="port", reason="combination")
    return {
        "address": address or (primaries[0] if primaries else ""),
        "secondaries": tuple(item["PrivateIpAddress"] for item in items if not item.get("Primary")),
        "more": args.get("SecondaryPrivateIpAddressCount", 0),
        **ipv6_of(args),
    }
