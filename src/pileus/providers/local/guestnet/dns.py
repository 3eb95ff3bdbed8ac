"""The zone of a network's resolver: the names and addresses of that network's instances. Pure functions.

Wire format by dnspython. Queries come from guests, whom nobody vouches for: what cannot be read gets no answer.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.reversename
import dns.rrset

from pileus.model import addresses
from pileus.model.spec import InstanceSpec

LARGEST_QUERY = 4096
"""Bytes; real ones have some fifty."""

LARGEST_DATAGRAM = 1232
"""Bytes of an answer by UDP at most, so that it is never fragmented; 512 to those who do not speak EDNS."""

LARGEST_STREAMED = 65535
"""Bytes of an answer by TCP, whose length has 16 bits."""

TTL = 60
"""Seconds that an answer may be kept: an address may soon be another instance's."""

_HEADER = 12
_RESPONSE = 0x80
_PLAIN = 512
_TRANSFERS = frozenset({dns.rdatatype.AXFR, dns.rdatatype.IXFR})
_ADDRESS_TYPES = frozenset({dns.rdatatype.A, dns.rdatatype.ANY})
_POINTER_TYPES = frozenset({dns.rdatatype.PTR, dns.rdatatype.ANY})

Query = dns.message.Message


@dataclass(frozen=True)
class Zone:
    """The names and addresses of one network.

    `names`: addresses by absolute name in lower case; `pointers`: name by reversed address. All else below
    `domains`, and all else that is an address in `networks`, does not exist.
    """

    names: Mapping[dns.name.Name, tuple[str, ...]] = field(default_factory=dict)
    pointers: Mapping[dns.name.Name, dns.name.Name] = field(default_factory=dict)
    domains: frozenset[dns.name.Name] = frozenset()
    networks: frozenset[ipaddress.IPv4Network] = frozenset()


def zone(network: str, specs: Iterable[InstanceSpec]) -> Zone:
    """The names of the instances that have a port in the network with the uuid `network`, and of no others.

    An instance's name, alone and under its domain, is the address of its first port there; each further port
    has the name that EC2 makes of its address. The name of a public address is the port's own address, as EC2 answers
    inside of a VPC. A name that DNS cannot carry is left out.
    """
    names: dict[dns.name.Name, tuple[str, ...]] = {}
    pointers: dict[dns.name.Name, dns.name.Name] = {}
    domains: set[dns.name.Name] = set()
    networks: set[ipaddress.IPv4Network] = set()
    for spec in specs:
        nics = sorted((nic for nic in spec.nics if nic.network == network), key=lambda nic: nic.index)
        for place, nic in enumerate(nics):
            networks.add(ipaddress.IPv4Network(nic.cidr, strict=False))
            address_name = f"ip-{nic.address.replace('.', '-')}"
            bare = spec.hostname if spec.hostname and place == 0 else address_name
            try:
                domain = _name(spec.domain)
                full = _name(f"{bare}.{spec.domain}")
                alone = _name(bare)
            except dns.exception.DNSException:
                continue
            if spec.domain:
                domains.add(domain)
            public = addresses.public_name(nic.public, spec.domain)
            owner_names = {full, alone, _name(public)} if public else {full, alone}
            for name in owner_names:
                names[name] = (*names.get(name, ()), nic.address)
            pointers[dns.reversename.from_address(nic.address)] = full
    return Zone(names, pointers, frozenset(domains), frozenset(networks))


def read(wire: bytes) -> Query | None:
    """The query in `wire`; None for what is none: too long, broken, or itself an answer."""
    if not _HEADER <= len(wire) <= LARGEST_QUERY or wire[2] & _RESPONSE:
        return None
    try:
        return dns.message.from_wire(wire)
    except (dns.exception.DNSException, ValueError, struct.error, IndexError):
        return None


def answer(query: Query, zone: Zone) -> dns.message.Message | None:
    """The answer when it is known here, be it a refusal or that there is no such name; None: ask elsewhere."""
    if query.opcode() != dns.opcode.QUERY:
        return failure(query, dns.rcode.NOTIMP)
    if len(query.question) != 1:
        return failure(query, dns.rcode.FORMERR)
    if query.edns > 0:
        return failure(query, dns.rcode.BADVERS)
    question = query.question[0]
    if question.rdclass != dns.rdataclass.IN or question.rdtype in _TRANSFERS:
        return failure(query, dns.rcode.REFUSED)
    name = question.name.canonicalize()
    if name in zone.names:
        records = zone.names[name] if question.rdtype in _ADDRESS_TYPES else ()
        return _found(query, zone, dns.rdatatype.A, records)
    if name in zone.pointers:
        records = (zone.pointers[name].to_text(),) if question.rdtype in _POINTER_TYPES else ()
        return _found(query, zone, dns.rdatatype.PTR, records)
    if name in zone.domains:
        return _absent(query, zone, dns.rcode.NOERROR)
    if _apex(name, zone) is not None or _address(name, zone):
        return _absent(query, zone, dns.rcode.NXDOMAIN)
    return None if query.flags & dns.flags.RD else failure(query, dns.rcode.REFUSED)


def failure(query: Query, code: dns.rcode.Rcode = dns.rcode.SERVFAIL) -> dns.message.Message:
    """An answer that says only why there is none."""
    # Anything but the question itself is not repeated; dnspython would not answer an update as it does a query.
    response = dns.message.QueryMessage(id=query.id)
    response.flags = dns.flags.QR | dns.flags.RA | (query.flags & dns.flags.RD)
    response.set_opcode(query.opcode())
    if query.opcode() == dns.opcode.QUERY and len(query.question) == 1:
        response.question = list(query.question)
    if query.edns >= 0:
        response.use_edns(0, payload=LARGEST_DATAGRAM)
    response.set_rcode(code)
    return response


def room(query: Query, *, streamed: bool) -> int:
    """How many bytes an answer to `query` may have."""
    if streamed:
        return LARGEST_STREAMED
    return min(max(query.payload, _PLAIN), LARGEST_DATAGRAM) if query.edns >= 0 else _PLAIN


def packed(query: Query, response: dns.message.Message, *, streamed: bool) -> bytes:
    """`response` on the wire, or what `truncated` gives when it does not fit."""
    try:
        return response.to_wire(max_size=room(query, streamed=streamed))
    except dns.exception.TooBig:
        return truncated(query)


def truncated(query: Query) -> bytes:
    """A word that the answer is too long for a datagram, and is to be asked for by TCP."""
    response = failure(query, dns.rcode.NOERROR)
    response.flags |= dns.flags.TC
    return response.to_wire()


def _name(text: str) -> dns.name.Name:
    return dns.name.from_text(text).canonicalize()


def _respond(query: Query) -> dns.message.Message:
    response = failure(query, dns.rcode.NOERROR)
    response.flags |= dns.flags.AA
    return response


def _found(query: Query, zone: Zone, kind: dns.rdatatype.RdataType, values: Iterable[str]) -> dns.message.Message:
    values = sorted(values)
    if not values:
        return _absent(query, zone, dns.rcode.NOERROR)
    response = _respond(query)
    response.answer.append(dns.rrset.from_text_list(query.question[0].name, TTL, dns.rdataclass.IN, kind, values))
    return response


def _absent(query: Query, zone: Zone, code: dns.rcode.Rcode) -> dns.message.Message:
    """No such record, or no such name; the start of authority tells how long that may be kept (RFC 2308)."""
    response = _respond(query)
    response.set_rcode(code)
    name = query.question[0].name
    owner = _apex(name.canonicalize(), zone) or name
    response.authority.append(
        dns.rrset.from_text(owner, TTL, dns.rdataclass.IN, dns.rdatatype.SOA, f". . 1 {TTL} {TTL} {TTL} {TTL}")
    )
    return response


def _apex(name: dns.name.Name, zone: Zone) -> dns.name.Name | None:
    """The domain that `name` is below of, or is."""
    return next((domain for domain in zone.domains if name.is_subdomain(domain)), None)


def _address(name: dns.name.Name, zone: Zone) -> bool:
    """Whether `name` is the reverse of an IPv4 address of the network."""
    if not name.is_subdomain(dns.reversename.ipv4_reverse_domain):
        return False
    try:
        address = ipaddress.IPv4Address(dns.reversename.to_address(name))
    except (dns.exception.DNSException, ValueError):
        return False
    return any(address in network for network in zone.networks)
