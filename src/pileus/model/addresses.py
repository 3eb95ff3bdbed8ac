"""Address arithmetic: which addresses a subnet has, which MACs the engine uses, where loopback addresses come from."""

from __future__ import annotations

import hashlib
import ipaddress
import itertools
import re
import secrets

METADATA = "169.254.169.254"
METADATA6 = "fd00:ec2::254"
"""The metadata service's addresses, as of EC2."""

OUTSIDE = "198.51.100.0/24"
"""The range of the outside network where nobody chose another: one of those kept for documentation (RFC 5737)."""

IPV6 = "fd70:696c:6500::/40"
"""The range of the cloud's IPv6 addresses where nobody chose another: one of those for local use (RFC 4193)."""


def parsed_address(text: str) -> ipaddress.IPv6Address:
    """The IPv6 address. ValueError for what is none, and for one with a zone (RFC 4007), which may be any text."""
    if "%" in text:
        raise ValueError("an address here has no zone")
    return ipaddress.IPv6Address(text)


def shortest(text: str) -> str:
    """An IPv6 address in its shortest form; any other text as it is."""
    try:
        return str(parsed_address(text))
    except ValueError:
        return text


def parsed_range(text: str, *, strict: bool = True) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """The range, with `strict` without bits behind its prefix. ValueError for what is none, or has a zone."""
    if "%" in text:
        raise ValueError("a range has no zone")
    return ipaddress.ip_network(text, strict=strict)


def gateway(cidr: str) -> str:
    """The router's address: the first of the range, which may be one of IPv6."""
    return str(ipaddress.ip_network(cidr)[1])


def localport(cidr: str) -> str:
    """The metadata service's own address: the second of the range, which may be one of IPv6."""
    return str(ipaddress.ip_network(cidr)[2])


def usable(cidr: str) -> range:
    """Offsets into the range that ports may have: as on EC2 the first four and the last are kept back."""
    return range(4, ipaddress.IPv4Network(cidr).num_addresses - 1)


def offset(cidr: str, address: str) -> int:
    """The place of `address` in the range, from 0; ValueError when it is not in the range."""
    net = ipaddress.IPv4Network(cidr)
    ip = ipaddress.IPv4Address(address)
    if ip not in net:
        raise ValueError(f"{address} is not in {cidr}")
    return int(ip) - int(net.network_address)


def overlap(one: str, other: str) -> bool:
    """Whether two ranges have an address in common; one of IPv4 and one of IPv6 have none."""
    return bool(ipaddress.ip_network(one).overlaps(ipaddress.ip_network(other)))


def inside(inner: str, outer: str) -> bool:
    """Whether the range `outer` has all addresses of the range `inner`."""
    within, around = ipaddress.ip_network(inner), ipaddress.ip_network(outer)
    if isinstance(within, ipaddress.IPv4Network) and isinstance(around, ipaddress.IPv4Network):
        return within.subnet_of(around)
    if isinstance(within, ipaddress.IPv6Network) and isinstance(around, ipaddress.IPv6Network):
        return within.subnet_of(around)
    return False


def valid(text: str) -> bool:
    """Whether `text` is an IPv4 address: four numbers and dots."""
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def is_socket_address(text: str) -> bool:
    """Whether `text` is ADDRESS:PORT; the address is numeric, and an IPv6 one in brackets."""
    address, _, port = text.rpartition(":")
    bracketed = address.startswith("[") and address.endswith("]")
    try:
        (ipaddress.IPv6Address if bracketed else ipaddress.IPv4Address)(address.strip("[]"))
    except ValueError:
        return False
    return re.fullmatch("[0-9]{1,5}", port) is not None and int(port) < 1 << 16


def split_socket_address(text: str) -> tuple[str, int]:
    """The address, without brackets, and the port of ADDRESS:PORT. ValueError where the port is no number."""
    address, _, port = text.rpartition(":")
    return address.strip("[]"), int(port)


def pool(text: str) -> tuple[str, str]:
    """First and last address of FIRST-LAST, both included; ValueError for what is no range that guests can have."""
    words = text.split("-")
    if len(words) != 2:
        raise ValueError(f"'{text}' is no range: FIRST-LAST, two IPv4 addresses")
    try:
        first, last = (ipaddress.IPv4Address(word.strip()) for word in words)
    except ValueError as error:
        raise ValueError(f"'{text}' is no range: {error}") from error
    if last < first:
        raise ValueError(f"'{text}' is no range: the second address is below the first")
    if any(not 0 < end.packed[0] < 224 or end.is_loopback or end.is_link_local for end in (first, last)):
        raise ValueError(f"'{text}' is no range that guests can have addresses from")
    return str(first), str(last)


def around(first: str, last: str) -> tuple[str, str, str]:
    """The smallest range that holds all from `first` to `last` and two more: it, and these as gateway and localport.

    ValueError when there is none of at least 8 bits.
    """
    low, high = (int(ipaddress.IPv4Address(end)) for end in (first, last))
    for prefix in range(28, 7, -1):
        net = ipaddress.IPv4Network((low, prefix), strict=False)
        bottom, top = int(net.network_address), int(net.broadcast_address)
        if not bottom < low <= high < top:
            continue
        # Those that end in 0 or 255 are good addresses here, and look as if they were none.
        outside = (
            n for part in (range(bottom + 1, low), range(high + 1, top)) for n in part if n % 256 not in (0, 255)
        )
        own = [str(ipaddress.IPv4Address(n)) for n in itertools.islice(outside, 2)]
        if len(own) == 2:
            return str(net), own[0], own[1]
    raise ValueError(f"{first}-{last} is no range of one network")


def public_name(address: str, domain: str) -> str:
    """The name of a public address, as EC2 forms it: `ec2-198-51-100-7.DOMAIN`; empty for no address."""
    if not address:
        return ""
    name = f"ec2-{address.replace('.', '-')}"
    return f"{name}.{domain}" if domain else name


def new_mac() -> str:
    """A random locally administered unicast MAC, in the range that QEMU guests use (52:54:00) left alone."""
    octets = [0x02, 0x50, *secrets.token_bytes(4)]
    return ":".join(f"{octet:02x}" for octet in octets)


def derived_mac(uuid: str, what: str) -> str:
    """A MAC that follows from `uuid` and `what` alone: for the engine's own ports, which nobody claims."""
    digest = hashlib.sha256(f"{uuid}/{what}".encode()).digest()
    return ":".join(f"{octet:02x}" for octet in (0x02, 0x51, *digest[:4]))


def autoconfigured(prefix: str, mac: str) -> str:
    """The address that a guest with this MAC forms in a /64 by itself (RFC 4291, modified EUI-64)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    own = bytes([octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]])
    return str(ipaddress.IPv6Network(prefix)[int.from_bytes(own)])


def link_local(mac: str) -> str:
    """The link-local IPv6 address of a router's port with this MAC, as OVN forms it."""
    return autoconfigured("fe80::/64", mac)


def floating(cidr: str) -> range:
    """Offsets into the outside range that routers and floating addresses may have; the first ten are kept back."""
    return range(10, ipaddress.IPv4Network(cidr).num_addresses - 1)


def outside_mac(address: str) -> str:
    """The MAC behind an address of the outside network: it stays with the address, whoever has that."""
    return ":".join(f"{octet:02x}" for octet in (0x02, 0x52, *ipaddress.IPv4Address(address).packed))


def loopback(prefix: int, offset: int) -> str:
    """The `offset`-th address of 127.`prefix`.0.0/16, skipping .0 and .255 in the last place; offset from 0."""
    third, fourth = divmod(offset, 254)
    if third > 255 or not 1 <= prefix <= 254:
        raise ValueError(f"no loopback address {prefix}/{offset}")
    return f"127.{prefix}.{third}.{fourth + 1}"


def range_address(prefix: int) -> str:
    """The address of 127.`prefix`.0.0/16 that no instance has, for the socket that listens for all of them."""
    return f"127.{prefix}.0.0"


LOOPBACKS = 256 * 254
"""How many addresses one cloud has for its instances' listeners."""
