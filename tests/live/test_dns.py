"""The resolver in real namespaces, on a Linux bridge for the switch; then asked by a real guest through OVN."""

from __future__ import annotations

import socket
import struct
import threading
from pathlib import Path

import dns.message
import dns.rcode
import dns.rrset
import msgspec
import pytest

from pileus.faces import metadata
from pileus.model.bounds import RESOLVER_QUESTIONS_OF_INSTANCE
from pileus.model.spec import InstanceSpec
from pileus.providers.local.guestnet import GuestNet, namespaces
from tests.live import test_guestnet as guestnet
from tests.live.cloud import LiveCloud, until
from tests.live.test_guestnet import CIDR, NETWORKS, Stage, bridged, ip, spec_of

pytestmark = [pytest.mark.cost(5), pytest.mark.allow_hosts(["127.0.0.0/8", CIDR])]

layout, stage = guestnet.layout, guestnet.stage

SERVER = ("10.77.0.2", 53)
MOST = RESOLVER_QUESTIONS_OF_INSTANCE.most


def named(spec: InstanceSpec, hostname: str) -> InstanceSpec:
    return msgspec.structs.replace(spec, hostname=hostname, domain="internal")


def by_datagram(guest: str, name: str, kind: str = "A", source: str = "0.0.0.0") -> dns.message.Message:  # noqa: S104
    query = dns.message.make_query(name, kind, use_edns=0)
    with namespaces.open_socket(guest, socket.SOCK_DGRAM) as link:
        link.settimeout(10)
        link.bind((source, 0))
        link.connect(SERVER)
        link.send(b"junk that is no query, and gets no answer")
        link.send(query.to_wire())
        answer = dns.message.from_wire(link.recv(65535))
    assert query.is_response(answer)
    return answer


def by_stream(guest: str, *names: str) -> list[dns.message.Message]:
    """The answers to several questions on one connection, sent all at once."""
    queries = [dns.message.make_query(name, "A").to_wire() for name in names]
    answers = []
    with namespaces.open_socket(guest) as link:
        link.settimeout(10)
        link.connect(SERVER)
        link.sendall(b"".join(struct.pack(">H", len(query)) + query for query in queries))
        for query in queries:
            size = struct.unpack(">H", link.recv(2, socket.MSG_WAITALL))[0]
            answers.append(dns.message.from_wire(link.recv(size, socket.MSG_WAITALL)))
            assert dns.message.from_wire(query).is_response(answers[-1])
        # What is no query ends it.
        link.sendall(struct.pack(">H", 20) + bytes(20)[:2] + b"\xff" * 18)
        assert link.recv(1) == b""
    return answers


def values(message: dns.message.Message) -> list[str]:
    return [record.to_text() for rrset in message.answer for record in rrset]


def test_guests_of_two_networks_with_the_same_addresses_learn_their_own_names(stage: Stage) -> None:
    one, other = named(spec_of(1), "web"), named(spec_of(2), "db")
    twin = named(spec_of(3, network=NETWORKS[1]), "secret")
    twin = msgspec.structs.replace(twin, nics=(msgspec.structs.replace(twin.nics[0], address=one.nics[0].address),))
    net = stage.net(one, other, twin)
    first, second = bridged(stage, one), bridged(stage, twin)
    assert values(by_datagram(first, "db.internal.")) == ["10.77.0.6"]
    assert values(by_datagram(first, "5.0.77.10.in-addr.arpa.", "PTR")) == ["web.internal."]
    assert values(by_datagram(second, "5.0.77.10.in-addr.arpa.", "PTR")) == ["secret.internal."]
    for guest, foreign in ((first, "secret"), (second, "web"), (second, "db")):
        assert by_datagram(guest, f"{foreign}.internal.").rcode() == dns.rcode.NXDOMAIN
    found = by_stream(first, "web.internal.", "db.", "nobody.internal.", "example.com.")
    assert [values(answer) for answer in found] == [["10.77.0.5"], ["10.77.0.6"], [], []]
    assert [answer.rcode() for answer in found[2:]] == [dns.rcode.NXDOMAIN, dns.rcode.SERVFAIL]
    # Nobody to ask: told at once.
    assert by_datagram(first, "example.com.").rcode() == dns.rcode.SERVFAIL
    # A name follows its instance.
    net.sync([one, named(spec_of(2), "store"), twin])
    guestnet.until(lambda: values(by_datagram(first, "store.internal.")) == ["10.77.0.6"])
    assert by_datagram(first, "db.internal.").rcode() == dns.rcode.NXDOMAIN
    net.sync([one, twin]).result(30)
    net.stop()
    net.start()


def test_who_is_no_guest_of_the_network_gets_no_answer(stage: Stage) -> None:
    spec = named(spec_of(1), "web")
    stage.net(spec)
    guest = bridged(stage, spec)
    ip("-n", guest, "addr", "add", "10.77.0.99/24", "dev", "eth0")
    with namespaces.open_socket(guest, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("10.77.0.99", 0))
        stranger.connect(SERVER)
        stranger.send(dns.message.make_query("web.internal.", "A").to_wire())
        # Answers come in the order of the questions: after the guest's own there is none for the stranger's.
        assert values(by_datagram(guest, "web.internal.", source="10.77.0.5")) == ["10.77.0.5"]
        stranger.setblocking(False)
        with pytest.raises(BlockingIOError):
            stranger.recv(1)
    with namespaces.open_socket(guest) as stranger:
        stranger.settimeout(10)
        stranger.bind(("10.77.0.99", 0))
        stranger.connect(SERVER)
        assert guestnet.broke(stranger)


def test_other_names_are_asked_of_the_hosts_resolvers(stage: Stage) -> None:
    spec = named(spec_of(1), "web")
    upstream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    upstream.bind(("127.0.0.1", 0))

    def serve() -> None:
        while wire := upstream.recvfrom(4096):
            if not wire[0]:
                return
            response = dns.message.make_response(dns.message.from_wire(wire[0]))
            response.answer.append(dns.rrset.from_text("example.com.", 5, "IN", "A", "192.0.2.1"))
            upstream.sendto(response.to_wire(), wire[1])

    thread = threading.Thread(target=serve)
    thread.start()
    server = upstream.getsockname()
    respond = metadata.bind(b"secret")
    net = GuestNet(stage.layout, lambda: {spec.uuid: spec}, respond, servers=lambda: [server], engine=stage.engine)
    net.start()
    try:
        guest = bridged(stage, spec)
        assert values(by_datagram(guest, "example.com.")) == ["192.0.2.1"]
        assert values(by_datagram(guest, "web.internal.")) == ["10.77.0.5"]
    finally:
        net.stop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", server)
        thread.join()
        upstream.close()


def test_questions_under_way_are_bounded(stage: Stage) -> None:
    spec = named(spec_of(1), "web")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        server, respond = silent.getsockname(), metadata.bind(b"secret")
        net = GuestNet(stage.layout, lambda: {spec.uuid: spec}, respond, servers=lambda: [server], engine=stage.engine)
        net.start()
        try:
            guest = bridged(stage, spec)
            with namespaces.open_socket(guest, socket.SOCK_DGRAM) as link:
                link.settimeout(10)
                link.connect(SERVER)
                queries = [dns.message.make_query(f"{number}.example.", "A", id=number) for number in range(MOST + 3)]
                for query in queries:
                    link.send(query.to_wire())
                # Those beyond the bound are told first; the guest's own network is answered all the while.
                refused = [dns.message.from_wire(link.recv(65535)) for _ in range(3)]
                assert [(answer.id, answer.rcode()) for answer in refused] == [
                    (query.id, dns.rcode.SERVFAIL) for query in queries[MOST:]
                ]
                assert values(by_datagram(guest, "web.internal.")) == ["10.77.0.5"]
                late = {dns.message.from_wire(link.recv(65535)).id for _ in range(MOST)}
                assert late == set(range(MOST))
        finally:
            net.stop()


def test_a_namespace_made_anew_is_listened_in_again(stage: Stage) -> None:
    spec = named(spec_of(1), "web")
    net = stage.net(spec)
    guest = bridged(stage, spec)
    assert values(by_datagram(guest, "web.internal.")) == ["10.77.0.5"]
    ip("netns", "del", stage.layout.network_netns(NETWORKS[0]))
    net.sync([spec]).result(30)
    assert values(by_datagram(guest, "web.internal.")) == ["10.77.0.5"]
    assert values(by_stream(guest, "web.")[0]) == ["10.77.0.5"]


@pytest.mark.cost(30)
def test_a_real_guest_resolves_names(cloud: LiveCloud, key: Path) -> None:
    made = cloud.ec2.run_instances(
        ImageId=cloud.image("tiny"), MinCount=1, MaxCount=1, InstanceType="m1.tiny", KeyName="test"
    )["Instances"][0]
    address = made["PrivateIpAddress"]
    cloud.ec2.authorize_security_group_ingress(
        GroupId=made["SecurityGroups"][0]["GroupId"],
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
    )
    name = f"ip-{address.replace('.', '-')}"
    ask = f"cat /etc/resolv.conf; nslookup {name}.internal; nslookup {address}; nslookup -type=a example.com; true"

    def told() -> bool:
        said = cloud.ssh(made["InstanceId"], key, ask)
        print(said)
        words = (f"Address: {address}", f"name = {name}.internal", "SERVFAIL")
        return all(word in said.replace("Address 1:", "Address:") for word in words)

    until("it is told its own name and address", told)
    cloud.ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
