"""A cloud on several machines: guests of two hosts as one network, and what a lost host and dead processes change."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections import Counter as Count
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pileus.cli.client import Client
from pileus.providers.local.machine.domain import domain_uuid
from tests.cluster.__main__ import Console
from tests.cluster.machines import HOSTS, PORT, Cluster
from tests.cluster.wires import MANAGEMENT, OUTSIDE, RANGES
from tests.live.cloud import SSH, until
from tests.live.sessions import COUNT, Counter, counting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.allow_hosts(["127.0.0.1", f"{RANGES[MANAGEMENT]}.0/24"])]

IMAGE = Path("/var/lib/pileus/images/tiny.qcow2")
PARTED = 120.0
"""Seconds that a host is cut off from the cloud."""


class Guests:
    """What a test does with instances, as somebody who is outside."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self.ec2 = cluster, cluster.client()
        self._key = folder / "key"
        self._key.touch(mode=0o600)
        self._key.write_text(self.ec2.create_key_pair(KeyName="test", KeyType="ed25519")["KeyMaterial"])
        self.group = self.ec2.create_security_group(GroupName="guests", Description="ssh from outside")["GroupId"]
        self.ec2.authorize_security_group_ingress(
            GroupId=self.group, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp=f"{RANGES[OUTSIDE]}.0/24"
        )
        (self.image,) = (one["ImageId"] for one in self.ec2.describe_images(Owners=["self"])["Images"])

    def launch(self, count: int) -> list[str]:
        """Ask for some; their ids."""
        made = self.ec2.run_instances(
            ImageId=self.image,
            InstanceType="m1.tiny",
            MinCount=count,
            MaxCount=count,
            KeyName="test",
            SecurityGroupIds=[self.group],
        )
        return [one["InstanceId"] for one in made["Instances"]]

    def states(self, idents: list[str]) -> Count[str]:
        """How many are in which state."""
        found = self.ec2.describe_instances(InstanceIds=idents)["Reservations"]
        return Count(one["State"]["Name"] for reservation in found for one in reservation["Instances"])

    def running(self, idents: list[str], seconds: float = 240.0) -> None:
        """Wait until all of them run."""
        until(f"{idents} run", lambda: self.states(idents) == {"running": len(idents)}, seconds)

    def rows(self) -> dict[str, dict[str, Any]]:
        """The instances as the REST face has them."""
        admin = self.cluster.admin
        client = Client(f"https://{self.cluster.cloud.address()}:{PORT}/v1", admin["token"], self.cluster.state.ca)
        return {one["id"]: one for one in self.cluster.world.run(lambda: client.all("instances"))}

    def on(self, host: str, idents: list[str]) -> list[str]:
        """Those of them that a host has."""
        rows = self.rows()
        return [ident for ident in idents if rows[ident]["host"] == host]

    def private(self, ident: str) -> str:
        """An instance's own address."""
        found = self.ec2.describe_instances(InstanceIds=[ident])["Reservations"][0]["Instances"][0]
        return str(found["PrivateIpAddress"])

    def floating(self, ident: str) -> str:
        """A new address outside that leads to it."""
        made = self.ec2.allocate_address(Domain="vpc")
        self.ec2.associate_address(AllocationId=made["AllocationId"], InstanceId=ident)
        return str(made["PublicIp"])

    def words(self, address: str) -> list[str]:
        """The ssh command that a shell outside gives."""
        quiet = ["-T", "-o", "ServerAliveInterval=0"]
        return self.cluster.world.command(*SSH, *quiet, "-i", str(self._key), f"root@{address}")

    def ask(self, address: str, command: str) -> str | None:
        """What a command in a guest prints; None when it, or ssh, fails."""
        done = subprocess.run([*self.words(address), command], capture_output=True, text=True, check=False, timeout=60)
        return None if done.returncode else done.stdout.strip()

    def bodies(self) -> dict[str, Count[str]]:
        """The domains of each host, each by its uuid."""
        found = {}
        for host in HOSTS:
            uri = self.cluster.layout(host).libvirt_uri
            listed = subprocess.run(
                ["virsh", "-c", uri, "list", "--all", "--uuid"], capture_output=True, text=True, check=True
            )
            found[host] = Count(listed.stdout.split())
        return found

    def once(self) -> bool:
        """Whether every living row has one body, on its own host, and there is no other."""
        rows = [row for row in self.rows().values() if row["state"] != "terminated"]
        wanted = {host: Count(domain_uuid(row["uuid"]) for row in rows if row["host"] == host) for host in HOSTS}
        return self.bodies() == wanted


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    found = Cluster()
    try:
        found.start()
        found.pileus("cloud", "image", "add", str(IMAGE), "--name", "tiny")
        yield found
    finally:
        found.end()


@pytest.fixture(scope="module")
def guests(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Guests:
    return Guests(cluster, tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="module")
def four(guests: Guests) -> list[str]:
    """Four guests that run."""
    made = guests.launch(4)
    guests.running(made)
    return made


@pytest.fixture(scope="module")
def pair(guests: Guests, four: list[str]) -> list[tuple[str, str, str]]:
    """A guest on each host: its id, its own address, and one outside; the first one may log in to the second."""
    found = []
    for host in HOSTS:
        ident = guests.on(host, four)[0]
        found.append((ident, guests.private(ident), guests.floating(ident)))
    for _, _, outside in found:
        until(f"ssh to {outside}", lambda at=outside: guests.ask(at, "true") is not None, 240)  # type: ignore[misc]
    make = "dropbearkey -t ed25519 -f /root/.ssh/id_dropbear >/dev/null; dropbearkey -y -f /root/.ssh/id_dropbear"
    made = guests.ask(found[0][2], f"mkdir -p /root/.ssh; {make} | grep ^ssh-")
    assert made
    assert guests.ask(found[1][2], f"echo '{made}' >> /root/.ssh/authorized_keys") is not None
    return found


def across(pair: list[tuple[str, str, str]], command: str) -> str:
    """What the first guest has to be told for a command in the second."""
    return f"ssh -y root@{pair[1][1]} '{command}' 2>/dev/null"


def admit(guests: Guests, *, ssh: bool) -> None:
    """Let guests of the group log in to each other, or no more."""
    change = guests.ec2.authorize_security_group_ingress if ssh else guests.ec2.revoke_security_group_ingress
    pairs = [{"GroupId": guests.group}]
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": pairs}
    change(GroupId=guests.group, IpPermissions=[rule])


@pytest.mark.cost(180)
def test_guests_of_two_hosts_are_on_one_subnet(
    guests: Guests, four: list[str], pair: list[tuple[str, str, str]]
) -> None:
    assert all(guests.on(host, four) for host in HOSTS)
    for host, state in guests.cluster.hosts.items():
        assert "the cloud's side" in guests.cluster.pileus(host, "doctor", state=state)
    (_, _, outside), (_, _, other) = pair
    name = guests.ask(other, "hostname")
    assert name
    # What is between the guests is as their group says at the time, on both hosts.
    banner = [f"timeout 3 nc {address} 22 </dev/null | head -c 3" for _, address, _ in reversed(pair)]
    assert guests.ask(outside, banner[0]) == ""
    admit(guests, ssh=True)
    until("one logs in to the other", lambda: guests.ask(outside, across(pair, "hostname")) == name, 60)
    until("and is reached by it", lambda: guests.ask(other, banner[1]) == "SSH", 60)
    admit(guests, ssh=False)
    until("no more", lambda: guests.ask(outside, banner[0]) == "", 60)
    until("neither way", lambda: guests.ask(other, banner[1]) == "", 60)


@pytest.fixture
def sessions() -> Iterator[Callable[[Counter], Counter]]:
    """Keeps one that is open, and ends it after the test."""
    with contextlib.ExitStack() as kept:

        def keep(session: Counter) -> Counter:
            kept.callback(session.end)
            return session

        yield keep


@pytest.mark.cost(300)
def test_a_host_that_is_cut_off_is_lost_and_its_guests_go_on(
    cluster: Cluster,
    guests: Guests,
    four: list[str],
    pair: list[tuple[str, str, str]],
    sessions: Callable[[Counter], Counter],
) -> None:
    admit(guests, ssh=True)
    begun = time.monotonic()
    outer = sessions(counting(guests.words(pair[1][2])))
    inner = sessions(Counter(guests.words(pair[0][2]), across(pair, COUNT)))
    until("a session from host to host", lambda: inner.heard, 60)
    lost = guests.on("host2", four)
    with cluster.wires.parted("host2", MANAGEMENT):
        until("host2 is lost", lambda: cluster.states()["host2"] == "lost", 90)
        assert cluster.states()["host1"] == "active"
        assert _impaired(guests, lost) == set(lost)
        assert all(guests.rows()[ident]["state"] == "running" for ident in lost)
        assert "host lost" in cluster.pileus("cloud", "list")
        # What is asked for meanwhile goes where it can, and what cannot be done waits.
        (another,) = guests.launch(1)
        guests.running([another])
        assert guests.on("host1", [another]) == [another]
        gone = next(ident for ident in lost if ident != pair[1][0])
        guests.ec2.terminate_instances(InstanceIds=[gone])
        time.sleep(max(0.0, begun + PARTED - time.monotonic()))
        assert guests.states([gone]) == {"shutting-down": 1}
    until("host2 is back", lambda: cluster.states()["host2"] == "active", 60)
    until("what it was to end is ended", lambda: guests.states([gone]) == {"terminated": 1}, 60)
    until("every instance has one body", guests.once, 60)
    until("nothing is impaired", lambda: not _impaired(guests, [pair[1][0]]), 60)
    for session in (outer, inner):
        assert session.goes_on(time.monotonic() - 5)
        assert session.whole()


def _impaired(guests: Guests, idents: list[str]) -> set[str]:
    found = guests.ec2.describe_instance_status(InstanceIds=idents)["InstanceStatuses"]
    return {one["InstanceId"] for one in found if one["SystemStatus"]["Status"] == "impaired"}


@pytest.mark.cost(240)
@pytest.mark.parametrize("part", ["loops-1", "api-1", "broker", "central", "database"])
def test_a_launch_outlives_the_death_of_a_part(cluster: Cluster, guests: Guests, part: str) -> None:
    made = guests.launch(2)
    console = Console(cluster)
    assert not console.onecmd(f"kill {part}")
    if part not in ("broker", "central"):
        assert cluster.parts.get(part) is None
    if part != "database":
        made += guests.launch(1)  # whoever is left takes requests
    assert not console.onecmd(f"start {part}")
    guests.running(made)
    until("every instance has one body", guests.once, 60)
    guests.ec2.terminate_instances(InstanceIds=made)
    until("all are gone", lambda: guests.states(made) == {"terminated": len(made)}, 120)
    until("with their bodies", guests.once, 60)


@pytest.mark.cost(420)
def test_twenty_guests_land_on_both_hosts(cluster: Cluster, guests: Guests) -> None:
    """Asked for by four callers at once, at whichever `api` the kernel chose."""
    with ThreadPoolExecutor(4) as callers:
        made = [ident for some in callers.map(guests.launch, [5] * 4) for ident in some]
    assert len(set(made)) == 20
    guests.running(made, 900)
    shares = {host: len(guests.on(host, made)) for host in HOSTS}
    assert min(shares.values()) >= 8, shares
    assert guests.once()
    assert len({guests.private(ident) for ident in made}) == 20
    guests.ec2.terminate_instances(InstanceIds=made)
    until("all are gone", lambda: guests.states(made) == {"terminated": 20}, 240)
    until("with their bodies", guests.once, 60)
