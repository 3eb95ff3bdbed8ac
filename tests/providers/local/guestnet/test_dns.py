"""A resolver knows the names of its own network and no others, and no bytes from a guest make it stumble."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.reversename
import dns.rrset
import dns.update
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.model.instance import Power
from pileus.model.spec import InstanceSpec, NicSpec
from pileus.providers.local.guestnet import dns as resolver
from pileus.providers.local.guestnet import upstream

ONE, TWO = "aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"


def nic(network: str, address: str, index: int = 0) -> NicSpec:
    return NicSpec(
        uuid=f"nic-{address}", ec2_id="eni-1", mac="02:50:00:00:00:01", address=address, cidr="172.31.0.0/20",
        gateway="172.31.0.1", localport="172.31.0.2", localport_mac="02:50:00:00:00:02", network=network, index=index,
    )  # fmt: skip


def spec(hostname: str, *nics: NicSpec, domain: str = "internal") -> InstanceSpec:
    return InstanceSpec(
        uuid=hostname, power=Power(), vcpus=1, memory=1, ec2_id="i-1", nics=nics, hostname=hostname, domain=domain
    )


SPECS = (
    spec("ip-172-31-0-4", nic(ONE, "172.31.0.4")),
    spec("web", nic(ONE, "172.31.0.6", 1), nic(ONE, "172.31.0.5", 0)),
    spec("ip-172-31-0-4", nic(TWO, "172.31.0.4")),
    spec("secret", nic(TWO, "172.31.0.7")),
)
ZONE = resolver.zone(ONE, SPECS)


def asked(name: str, kind: str = "A", **options: int) -> resolver.Query:
    wire = dns.message.make_query(name, kind, **options).to_wire()  # type: ignore[arg-type]
    query = resolver.read(wire)
    assert query is not None
    return query


def said(query: resolver.Query, zone: resolver.Zone = ZONE) -> dns.message.Message:
    """The answer as a client reads it."""
    answer = resolver.answer(query, zone)
    assert answer is not None
    read = dns.message.from_wire(resolver.packed(query, answer, streamed=False))
    assert query.is_response(read)
    return read


def values(message: dns.message.Message) -> list[str]:
    return [record.to_text() for rrset in message.answer for record in rrset]


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("ip-172-31-0-4.internal.", "172.31.0.4"),
        ("IP-172-31-0-4.Internal.", "172.31.0.4"),
        ("ip-172-31-0-4.", "172.31.0.4"),
        ("web.internal.", "172.31.0.5"),
        ("web.", "172.31.0.5"),
        ("ip-172-31-0-6.internal.", "172.31.0.6"),
    ],
)
def test_names_of_the_network(name: str, address: str) -> None:
    answer = said(asked(name))
    assert (answer.rcode(), values(answer)) == (dns.rcode.NOERROR, [address])
    assert answer.flags & dns.flags.AA
    assert answer.flags & dns.flags.RA
    assert answer.answer[0].ttl == resolver.TTL


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("172.31.0.4", "ip-172-31-0-4.internal."),
        ("172.31.0.5", "web.internal."),
        ("172.31.0.6", "ip-172-31-0-6.internal."),
    ],
)
def test_addresses_of_the_network(address: str, name: str) -> None:
    assert values(said(asked(dns.reversename.from_address(address).to_text(), "PTR"))) == [name]


@pytest.mark.parametrize(
    ("name", "kind"), [("web.internal.", "AAAA"), ("web.", "MX"), ("internal.", "A"), ("4.0.31.172.in-addr.arpa.", "A")]
)
def test_a_name_without_such_a_record_is_known_all_the_same(name: str, kind: str) -> None:
    answer = said(asked(name, kind))
    assert (answer.rcode(), answer.answer) == (dns.rcode.NOERROR, [])
    assert answer.authority[0].rdtype == dns.rdatatype.SOA


@pytest.mark.parametrize(
    ("name", "kind"), [("secret.internal.", "A"), ("x.web.internal.", "AAAA"), ("7.0.31.172.in-addr.arpa.", "PTR")]
)
def test_what_is_not_of_the_network_does_not_exist(name: str, kind: str) -> None:
    answer = said(asked(name, kind))
    assert (answer.rcode(), answer.answer) == (dns.rcode.NXDOMAIN, [])
    assert answer.authority[0].rdtype == dns.rdatatype.SOA


def test_two_networks_with_the_same_addresses_know_nothing_of_each_other() -> None:
    other = resolver.zone(TWO, SPECS)
    assert values(said(asked("secret.internal."), other)) == ["172.31.0.7"]
    assert said(asked("web.internal."), other).rcode() == dns.rcode.NXDOMAIN
    for zone, foreign in ((ZONE, b"secret"), (other, b"web")):
        for name in ("ip-172-31-0-4.internal.", "nobody.internal.", "internal."):
            answer = resolver.answer(asked(name, "ANY"), zone)
            assert answer is not None
            assert foreign not in answer.to_wire()
    assert resolver.zone("cccccccc", SPECS) == resolver.Zone()


@pytest.mark.parametrize(
    ("name", "kind"),
    [("example.com.", "A"), (".", "NS"), ("secret.", "A"), ("1.0.0.10.in-addr.arpa.", "PTR"), ("arpa.", "PTR")],
)
def test_the_rest_is_asked_elsewhere_if_that_is_requested(name: str, kind: str) -> None:
    query = asked(name, kind)
    assert resolver.answer(query, ZONE) is None
    assert said(asked(name, kind, flags=0)).rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize("name", ["web.internal.", "example.com."])
def test_what_is_no_question_for_a_resolver_is_refused(name: str) -> None:
    assert said(asked(name, "AXFR")).rcode() == dns.rcode.REFUSED
    assert said(asked(name, "A", rdclass=dns.rdataclass.CH)).rcode() == dns.rcode.REFUSED
    assert said(asked(name, use_edns=1)).rcode() == dns.rcode.BADVERS
    twice = asked(name)
    twice.question *= 2
    assert resolver.answer(twice, ZONE).rcode() == dns.rcode.FORMERR  # type: ignore[union-attr]
    update = dns.update.UpdateMessage("internal.")
    update.add("web", 60, "A", "192.0.2.1")
    query = resolver.read(update.to_wire())
    assert query is not None
    answer = resolver.answer(query, ZONE)
    assert answer is not None
    assert answer.rcode() == dns.rcode.NOTIMP
    assert answer.to_wire()[2:4] == struct.pack(">H", 0x8000 | dns.opcode.UPDATE << 11 | 0x0080 | dns.rcode.NOTIMP)


def test_a_public_name_is_the_private_address_inside() -> None:
    public = msgspec.structs.replace(nic(ONE, "172.31.0.8"), public="198.51.100.20")
    said = resolver.answer(asked("ec2-198-51-100-20.internal"), resolver.zone(ONE, [spec("db", public)]))
    assert said is not None
    assert [record.to_text() for rrset in said.answer for record in rrset] == ["172.31.0.8"]


def test_a_name_that_dns_cannot_carry_is_left_out() -> None:
    zone = resolver.zone(ONE, [spec("x" * 64, nic(ONE, "172.31.0.9")), *SPECS])
    assert zone == ZONE


def test_answers_are_as_long_as_the_asker_takes() -> None:
    assert resolver.room(asked("web."), streamed=False) == 512
    assert resolver.room(asked("web.", use_edns=0, payload=100), streamed=False) == 512
    assert resolver.room(asked("web.", use_edns=0, payload=1000), streamed=False) == 1000
    assert resolver.room(asked("web.", use_edns=0, payload=65535), streamed=False) == resolver.LARGEST_DATAGRAM
    assert said(asked("web.", use_edns=0)).edns == 0
    assert said(asked("web.")).edns == -1
    crowd = resolver.zone(ONE, [spec("crowd", nic(ONE, f"172.31.1.{last}")) for last in range(200)])
    query = asked("crowd.internal.")
    answer = resolver.answer(query, crowd)
    assert answer is not None
    short = dns.message.from_wire(resolver.packed(query, answer, streamed=False))
    assert (bool(short.flags & dns.flags.TC), short.answer) == (True, [])
    assert len(values(dns.message.from_wire(resolver.packed(query, answer, streamed=True)))) == 200


def bears(wire: bytes) -> None:
    """Whatever `wire` is, there is a sound answer to it, or none."""
    query = resolver.read(wire)
    answer = None if query is None else resolver.answer(query, ZONE)
    if query is not None and answer is not None:
        assert resolver.packed(query, answer, streamed=False)[:2] == wire[:2]


@given(st.binary(max_size=600))
def test_no_bytes_make_it_stumble(wire: bytes) -> None:
    bears(wire)


@given(
    st.sampled_from(["web.internal.", "example.com.", "4.0.31.172.in-addr.arpa.", "."]),
    st.integers(0, 65535),
    st.lists(st.tuples(st.integers(2, 80), st.integers(0, 255)), max_size=6),
    st.integers(0, 80),
)
def test_no_broken_query_makes_it_stumble(name: str, kind: int, wounds: list[tuple[int, int]], cut: int) -> None:
    wire = bytearray(dns.message.make_query(name, dns.rdatatype.RdataType.make(kind), use_edns=0).to_wire())
    for place, value in wounds:
        wire[place % len(wire)] = value
    bears(bytes(wire))
    bears(bytes(wire[:cut]))


def test_answers_and_oversized_queries_are_not_read() -> None:
    wire = asked("web.").to_wire()
    assert resolver.read(wire) is not None
    assert resolver.read(wire[:2] + bytes([wire[2] | 0x80]) + wire[3:]) is None
    assert resolver.read(wire + bytes(resolver.LARGEST_QUERY)) is None


def test_the_hosts_resolvers_are_those_of_its_file(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    assert upstream.host_servers(conf) == []
    conf.write_text(
        "# nameserver 192.0.2.9\nsearch x\nnameserver 127.0.0.53\nnameserver ::1\nnameserver no\nnameserver\n"
    )
    assert upstream.host_servers(conf) == [("127.0.0.53", 53), ("::1", 53)]


class Fake:
    """A resolver on 127.0.0.1, by UDP and TCP on one port, that says what `reply` makes of a query."""

    def __init__(self, code: dns.rcode.Rcode = dns.rcode.NOERROR, *, noise: bool = False, silent: bool = False) -> None:
        self._code, self._noise, self._silent = code, noise, silent
        self.seen: list[bytes] = []
        self._stream = socket.create_server(("127.0.0.1", 0))
        self.server = ("127.0.0.1", self._stream.getsockname()[1])
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.bind(self.server)
        self._threads = [threading.Thread(target=work) for work in (self._serve_datagrams, self._serve_streams)]
        for thread in self._threads:
            thread.start()

    def reply(self, wire: bytes) -> bytes:
        self.seen.append(wire)
        query = dns.message.from_wire(wire)
        response = dns.message.make_response(query)
        response.set_rcode(self._code)
        if self._code == dns.rcode.NOERROR:
            response.answer.append(dns.rrset.from_text(query.question[0].name, 5, "IN", "A", "192.0.2.1"))
        return response.to_wire()

    def _serve_datagrams(self) -> None:
        while True:
            wire, back = self._datagrams.recvfrom(4096)
            if not wire:
                return
            answer = self.reply(wire)
            if self._noise:
                self._datagrams.sendto(b"junk", back)
                self._datagrams.sendto(bytes([wire[0] ^ 1]) + answer[1:], back)
                other = dns.message.make_response(dns.message.make_query("other.example.", "A"))
                self._datagrams.sendto(wire[:2] + other.to_wire()[2:], back)
            if not self._silent:
                self._datagrams.sendto(answer, back)

    def _serve_streams(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                link, _ = self._stream.accept()
                with link:
                    size = struct.unpack(">H", link.recv(2, socket.MSG_WAITALL))[0]
                    answer = self.reply(link.recv(size, socket.MSG_WAITALL))
                    link.sendall(struct.pack(">H", len(answer)) + answer)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.server)
        with contextlib.suppress(OSError):
            self._stream.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._stream.close()
        self._datagrams.close()


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Fake]]:
    """Those put in here are closed. They may be slow."""
    monkeypatch.setattr(upstream, "TIMEOUT", 30.0)
    made: list[Fake] = []
    yield made
    for fake in made:
        fake.close()


def forwarded(query: resolver.Query, *servers: upstream.Server, streamed: bool = False) -> dns.message.Message | None:
    wire = asyncio.run(upstream.ask(query, servers, streamed=streamed))
    return None if wire is None else dns.message.from_wire(wire)


@pytest.mark.loopback
@pytest.mark.parametrize("streamed", [False, True])
def test_what_a_resolver_says_comes_back_under_the_guests_id(fakes: list[Fake], *, streamed: bool) -> None:
    fakes.append(Fake(noise=True))
    query = asked("example.com.", use_edns=0)
    answer = forwarded(query, fakes[0].server, streamed=streamed)
    assert answer is not None
    assert query.is_response(answer)
    assert values(answer) == ["192.0.2.1"]
    assert len(fakes[0].seen) == 1


@pytest.mark.loopback
def test_only_the_question_leaves_the_host(fakes: list[Fake]) -> None:
    fakes.append(Fake())
    query = dns.message.make_query("example.com.", "A", use_edns=0, want_dnssec=True, payload=4096)
    query.use_edns(0, dns.flags.DO, 4096, options=[dns.edns.GenericOption("65001", b"marked")])
    read = resolver.read(query.to_wire())
    assert read is not None
    assert forwarded(read, fakes[0].server) is not None
    seen = dns.message.from_wire(fakes[0].seen[0])
    assert b"marked" not in fakes[0].seen[0]
    assert (seen.ednsflags & dns.flags.DO, seen.payload) == (dns.flags.DO, resolver.LARGEST_DATAGRAM)
    assert (seen.question, seen.additional) == (query.question, [])


@pytest.mark.loopback
def test_the_next_resolver_is_asked_when_one_cannot_say(fakes: list[Fake], monkeypatch: pytest.MonkeyPatch) -> None:
    fakes += [Fake(dns.rcode.SERVFAIL), Fake(), Fake(silent=True)]
    failing, good, silent = (fake.server for fake in fakes)
    bounded, bounds = asyncio.timeout, list[float]()
    monkeypatch.setattr(asyncio, "timeout", lambda _: bounded(bounds.pop(0)))

    def said(*servers: upstream.Server) -> dns.message.Message | None:
        # Nobody is waited for for long who says nothing; who answers may be slow.
        bounds[:] = [0.2 if server == silent else 30.0 for server in servers]
        return forwarded(asked("example.com."), *servers)

    for first in (failing, silent):
        answer = said(first, good)
        assert answer is not None
        assert values(answer) == ["192.0.2.1"]
    answer = said(failing, silent)
    assert answer is not None
    assert answer.rcode() == dns.rcode.SERVFAIL
    assert said(silent, silent, good) is None
    assert said() is None
