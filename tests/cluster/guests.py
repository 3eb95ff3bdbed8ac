"""What tests do with the instances of a cloud of several machines, as somebody who is outside of it."""

from __future__ import annotations

import os
import subprocess
from collections import Counter as Count
from pathlib import Path
from typing import Any, NamedTuple

from pileus.cli.client import Client
from pileus.providers.local.machine.domain import domain_uuid
from tests.cluster.machines import HOSTS, PILEUS, PORT, Cluster
from tests.cluster.wires import OUTSIDE, RANGES
from tests.live.cloud import SSH, until

IMAGE = Path("/var/lib/pileus/images/tiny.qcow2")


class Reached(NamedTuple):
    """A guest, its own address, and one outside that leads to it."""

    ident: str
    private: str
    outside: str


def across(to: Reached, command: str) -> str:
    """What another guest has to be told for a command in this one."""
    return f"ssh -y root@{to.private} '{command}' 2>/dev/null"


class Guests:
    """What a test does with instances, as somebody who is outside."""

    def __init__(self, cluster: Cluster, folder: Path, retries: int = 2) -> None:
        self.cluster, self.ec2 = cluster, cluster.client(retries)
        self._key = folder / "key"
        self._key.touch(mode=0o600)
        self._key.write_text(self.ec2.create_key_pair(KeyName="test", KeyType="ed25519")["KeyMaterial"])
        self.group = self.ec2.create_security_group(GroupName="guests", Description="ssh from outside")["GroupId"]
        self.ec2.authorize_security_group_ingress(
            GroupId=self.group, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp=f"{RANGES[OUTSIDE]}.0/24"
        )
        (self.image,) = (one["ImageId"] for one in self.ec2.describe_images(Owners=["self"])["Images"])

    def launch(self, count: int, image: str = "") -> list[str]:
        """Ask for some, of tiny or of another image; their ids."""
        return [one["InstanceId"] for one in self.asked(count, image)["Instances"]]

    def asked(self, count: int, image: str = "") -> dict[str, Any]:
        """The answer to who asks for some, with a token."""
        made: dict[str, Any] = self.ec2.run_instances(
            ImageId=image or self.image,
            InstanceType="m1.tiny",
            MinCount=count,
            MaxCount=count,
            KeyName="test",
            SecurityGroupIds=[self.group],
        )
        return made

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
        words = [*self.words(address), command]
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        except subprocess.TimeoutExpired:
            return None
        return None if done.returncode else done.stdout.strip()

    def by_api(self, ident: str, command: str) -> str | None:
        """What a command in a guest prints to `pileus ssh` on the cloud's machine; None when it fails."""
        state = self.cluster.state.root
        words = [PILEUS, "ssh", "-i", str(self._key), "--state", str(state), ident, command]
        home = {**os.environ, "HOME": str(self._key.parent)}
        whole = self.cluster.cloud.command(*words)
        done = subprocess.run(whole, env=home, capture_output=True, text=True, check=False, timeout=60)
        return None if done.returncode else done.stdout.strip()

    def told(self, address: str, command: str) -> str:
        """What a command in a guest prints, as soon as it can be asked and prints something."""
        return str(until(f"{address} says something", lambda: self.ask(address, command)))

    def admit(self, *, ssh: bool) -> None:
        """Let guests of the group log in to each other, or no more."""
        change = self.ec2.authorize_security_group_ingress if ssh else self.ec2.revoke_security_group_ingress
        pairs = [{"GroupId": self.group}]
        rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": pairs}
        change(GroupId=self.group, IpPermissions=[rule])

    def pair(self, idents: list[str]) -> list[Reached]:
        """Of these one on each host, that answer from outside; the first one has a key of the second."""
        found = []
        for host in HOSTS:
            ident = self.on(host, idents)[0]
            found.append(Reached(ident, self.private(ident), self.floating(ident)))
        for one in found:
            until(f"ssh to {one.outside}", lambda at=one.outside: self.ask(at, "true") is not None, 240)  # type: ignore[misc]
        make = "dropbearkey -t ed25519 -f /root/.ssh/id_dropbear >/dev/null; dropbearkey -y -f /root/.ssh/id_dropbear"
        made = self.told(found[0].outside, f"mkdir -p /root/.ssh; {make} | grep ^ssh-")
        self.told(found[1].outside, f"echo '{made}' >> /root/.ssh/authorized_keys; echo done")
        return found

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
