"""What the kill matrix does to guests while something is killed, and how a user, and the machine, see that it was done.

Each operation is made anew for each time it is done. `request` sends it and returns how often it was repeated for want
of an answer; `reached` is asked until it is true; `once` is asked afterwards, with `disturbed` for the process that
was killed.
"""

from __future__ import annotations

import socket
import subprocess
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from botocore.exceptions import ClientError

from pileus.app.state import StateDirectory
from pileus.providers.local.machine import daemon, ending
from pileus.providers.local.network.northbound import Northbound
from pileus.rules import recount
from pileus.store.store import Store
from tests.live.cloud import KINDS, SSH, Kind, until
from tests.live.layouts import Clear, Layout
from tests.live.sessions import counting, routes, talking
from tests.live.veth import within

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.live.cloud import LiveCloud

RETRIES = 9
_ENGINE = 60.0
"""Seconds that the network engine may take to answer: it may have been killed a moment ago."""

PING = {"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}


@dataclass
class Guest:
    """One instance; its addresses stay for life. `off`: it was stopped."""

    ident: str
    loopback: str
    private: str
    off: bool = False


@dataclass
class World:
    """One cloud with guests to do things to, and a survivor that nothing is done to."""

    kind: ClassVar[Kind] = KINDS[0]
    cloud: LiveCloud
    key: Path
    guests: list[Guest] = field(default_factory=list)
    layout_token: str = ""

    def __post_init__(self) -> None:
        self.state = StateDirectory(self.cloud.state)
        self.layout = self.cloud.layout
        self.ec2: Any = self.cloud.client("ec2", retries=RETRIES)
        self.image = self.cloud.image(self.kind.image)
        self.group = str(self.ec2.create_security_group(GroupName="matrix", Description="ssh")["GroupId"])
        self.ec2.authorize_security_group_ingress(
            GroupId=self.group, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
        )
        made = [self.ec2.allocate_address() for _ in range(2)]
        self.addresses = [str(one["PublicIp"]) for one in made]
        self.allocations = [str(one["AllocationId"]) for one in made]
        self.survivor = self.launched()
        self.guests.remove(self.survivor)
        self.ways = routes(self.cloud, self.survivor.ident, self.key)
        self.ec2.associate_address(AllocationId=self.allocations[1], InstanceId=self.survivor.ident)
        self.counters = {via: counting(words) for via, words in self.ways.items()}
        self.shell = talking(self.ways["switch"])
        until("the survivor is seen outside", lambda: self.banner(self.addresses[1]))

    # -- guests --------------------------------------------------------------------------------------------------

    def run(self, token: str) -> tuple[Guest, int]:
        """Ask for one guest; it, and how often the request was repeated."""
        asked = self.ec2.run_instances(
            ImageId=self.image,
            InstanceType=self.kind.flavor,
            MinCount=1,
            MaxCount=1,
            KeyName=self.key.name,
            SecurityGroupIds=[self.group],
            ClientToken=token,
        )
        (made,) = asked["Instances"]
        guest = Guest(str(made["InstanceId"]), "", str(made["PrivateIpAddress"]))
        self.guests.append(guest)
        guest.loopback = str(self.shown(guest)["PublicIpAddress"])
        return guest, retries(asked)

    def launched(self) -> Guest:
        """A new guest that answers."""
        guest, _ = self.run(uuid.uuid4().hex)
        until(f"{guest.ident} runs", lambda: self.is_in(guest, "running"))
        self.answer(guest)
        return guest

    def running(self) -> Guest:
        """A guest that runs and answers, the first one of those that are there, or a new one."""
        for guest in self.guests:
            if not guest.off:
                return guest
        return self.launched()

    def stopped(self) -> Guest:
        """A guest that is off."""
        for guest in self.guests:
            if guest.off:
                return guest
        perform(Stop(self))
        return self.stopped()

    def shown(self, guest: Guest) -> dict[str, Any]:
        """What DescribeInstances says."""
        found: dict[str, Any] = self.ec2.describe_instances(InstanceIds=[guest.ident])["Reservations"][0]
        return dict(found["Instances"][0])

    def is_in(self, guest: Guest, state: str) -> bool:
        """Whether DescribeInstances says that it is in this state."""
        return bool(self.shown(guest)["State"]["Name"] == state)

    def ssh(self, guest: Guest, command: str) -> str:
        """What a command prints in a guest; empty when it cannot be reached."""
        words = [*SSH, "-i", str(self.key), f"root@{guest.loopback}", command]
        try:
            run = subprocess.run(words, capture_output=True, text=True, check=False, timeout=20)
        except subprocess.TimeoutExpired:
            return ""
        return run.stdout.strip()

    def answer(self, guest: Guest) -> str:
        """Wait for ssh; the id of the guest's boot."""
        found: str = until(f"{guest.ident} answers", lambda: self.ssh(guest, "cat /proc/sys/kernel/random/boot_id"))
        return found

    # -- what the machine holds ----------------------------------------------------------------------------------

    def qemu(self, guest: Guest) -> int | None:
        """The process that libvirt says is the guest's."""
        return daemon._processes(self.layout).get(guest.ident)

    def bodies(self, guest: Guest) -> int:
        """How many QEMUs there are for a guest, whatever libvirt says."""
        found = 0
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                found += f"guest={guest.ident},".encode() in path.read_bytes()
            except OSError:
                continue
        return found

    def starts(self, guest: Guest) -> int:
        """How often its QEMU was started so far."""
        path = ending.domain_log(self.layout, guest.ident)
        return path.read_bytes().count(b": starting up libvirt version") if path.exists() else 0

    def domains(self, guest: Guest) -> int:
        """How many domains libvirt has for it."""
        return self.cloud.domains().count(guest.ident)

    def banner(self, address: str) -> bool:
        """Whether a guest's ssh server speaks to somebody on the outside network."""
        return within(self.layout.netns, lambda: _first_bytes(address)).startswith(b"SSH-2.0")

    def translations(self, address: str) -> int:
        """How many rows of address translation OVN has for a floating address."""
        northbound = Northbound(self.layout.northbound, _ENGINE)
        try:
            with northbound.read() as tables:
                return sum(row.external_ip == address for row in tables["NAT"].rows.values())
        finally:
            northbound.close()

    def doubled_rules(self) -> int:
        """How many access rules OVN holds that it holds already."""
        northbound = Northbound(self.layout.northbound, _ENGINE)
        try:
            with northbound.read() as tables:
                rules = [(row.direction, row.priority, row.match) for row in tables["ACL"].rows.values()]
                return len(rules) - len(set(rules))
        finally:
            northbound.close()

    def differences(self) -> list[str]:
        """Where claims and usage in the store are not what its rows say."""
        store = Store(f"sqlite:///{self.cloud.state}/cloud/pileus.db")
        try:
            with store.read() as tx:
                return recount.differences(tx)
        finally:
            store.close()

    # -- the survivor --------------------------------------------------------------------------------------------

    def hears(self, since: float) -> list[str]:
        """Wait until each session of the survivor has been heard after `since`; those that ended, now made anew."""
        lost = []
        for via, counter in self.counters.items():
            until(f"the session by {via}", lambda counter=counter: counter.goes_on(since) or not counter.open)  # type: ignore[misc]
            if not counter.open:
                lost.append(via)
        return lost

    def reopen(self, via: str) -> None:
        """Make a session that ended anew."""
        self.counters[via].end()
        self.counters[via] = counting(self.ways[via])

    def pings(self, guest: Guest) -> bool:
        """Whether the survivor's ping of a guest is answered."""
        return self.shell.ask(f"ping -c 1 -W 1 {guest.private} >/dev/null 2>&1 && echo yes || echo no") == "yes"

    def connects(self, guest: Guest) -> bool:
        """Whether the survivor reaches a guest's ssh server, which the rules always admit."""
        heard = f"nc -w 2 {guest.private} 22 </dev/null 2>/dev/null | head -n 1 | grep -q SSH"
        return self.shell.ask(f"{heard} && echo yes || echo no") == "yes"

    def end(self) -> None:
        """Remove everything that was made; the cloud is as it was."""
        if self.layout_token:
            Clear(self).request()
        for session in (*self.counters.values(), self.shell):
            session.end()
        idents = [guest.ident for guest in (*self.guests, self.survivor)]
        self.ec2.terminate_instances(InstanceIds=idents)
        for guest in (*self.guests, self.survivor):
            until(f"{guest.ident} is gone", lambda guest=guest: self.is_in(guest, "terminated"))  # type: ignore[misc]
        for allocation in self.allocations:
            self.ec2.release_address(AllocationId=allocation)
        self.ec2.delete_security_group(GroupId=self.group)


def _first_bytes(address: str) -> bytes:
    try:
        with socket.create_connection((address, 22), 1.0) as stream:
            return stream.recv(64)
    except OSError:
        return b""


def retries(answer: dict[str, Any]) -> int:
    """How often a request was repeated before it was answered so."""
    return int(answer["ResponseMetadata"]["RetryAttempts"])


def repeated(call: Callable[..., dict[str, Any]], done: str, **words: Any) -> int:
    """Send a request that cannot be done twice: an earlier try without an answer may have done it. Its repetitions."""
    try:
        return retries(call(**words))
    except ClientError as error:
        again = retries(error.response)  # type: ignore[arg-type]
        if error.response["Error"]["Code"] != done or not again:
            raise
        return again


class Operation(Protocol):
    """See the module."""

    def __init__(self, world: World) -> None: ...

    @property
    def guest(self) -> Guest | None:
        """Whom it is done to; a launch has none before it was answered."""

    def request(self) -> int:
        """Ask for it."""

    def reached(self) -> bool:
        """Whether it was done."""

    def once(self, disturbed: str) -> list[str]:
        """What is not as it is after having been done exactly once."""


def perform(operation: Operation) -> None:
    """Do it undisturbed."""
    operation.request()
    until(type(operation).__name__, operation.reached)
    wrong = operation.once("")
    assert not wrong, wrong


def _one_body(world: World, guest: Guest, disturbed: str, started: int) -> list[str]:
    world.answer(guest)
    counts = {"bodies": world.bodies(guest), "domains": world.domains(guest)}
    wrong = [f"{count} {name}" for name, count in counts.items() if count != 1]
    # A QEMU that was killed is started again, and so is one whose libvirtd died before it knew it.
    more = disturbed in ("qemu", "libvirtd")
    times = world.starts(guest)
    if not started <= times <= started + more:
        wrong.append(f"started {times} times instead of {started}")
    return wrong


class _OnGuest:
    """An operation on a guest that is there."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.guest: Guest = self.choose()
        self.before = world.starts(self.guest)

    def choose(self) -> Guest:
        return self.world.running()

    def one_body(self, disturbed: str, started: int) -> list[str]:
        """What is wrong with a guest that is to run, in one body, started so often since the request."""
        return _one_body(self.world, self.guest, disturbed, self.before + started)


class Launch:
    """RunInstances, with a client token."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.token = uuid.uuid4().hex
        self.guest: Guest | None = None

    def request(self) -> int:
        self.guest, again = self.world.run(self.token)
        return again

    def reached(self) -> bool:
        return self.guest is not None and self.world.is_in(self.guest, "running")

    def once(self, disturbed: str) -> list[str]:
        assert self.guest
        filters = [{"Name": "client-token", "Values": [self.token]}]
        found = self.world.ec2.describe_instances(Filters=filters)["Reservations"]
        rows = [one["InstanceId"] for reservation in found for one in reservation["Instances"]]
        wrong = [] if rows == [self.guest.ident] else [f"rows {rows}"]
        return wrong + _one_body(self.world, self.guest, disturbed, 1)


class Stop(_OnGuest):
    """StopInstances."""

    def request(self) -> int:
        self.guest.off = True
        return retries(self.world.ec2.stop_instances(InstanceIds=[self.guest.ident]))

    def reached(self) -> bool:
        return self.world.is_in(self.guest, "stopped")

    def once(self, disturbed: str) -> list[str]:
        del disturbed
        counts = (self.world.bodies(self.guest), self.world.domains(self.guest), self.world.starts(self.guest))
        return [] if counts == (0, 1, self.before) else [f"bodies, domains, starts: {counts}"]


class Start(_OnGuest):
    """StartInstances."""

    def choose(self) -> Guest:
        return self.world.stopped()

    def request(self) -> int:
        self.guest.off = False
        return retries(self.world.ec2.start_instances(InstanceIds=[self.guest.ident]))

    def reached(self) -> bool:
        return self.world.is_in(self.guest, "running")

    def once(self, disturbed: str) -> list[str]:
        return self.one_body(disturbed, 1)


class Reboot(_OnGuest):
    """RebootInstances, which has no token: when it is asked again, it may be done again."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.boot = world.answer(self.guest)
        self.again = 0

    def request(self) -> int:
        self.again = retries(self.world.ec2.reboot_instances(InstanceIds=[self.guest.ident]))
        return self.again

    def reached(self) -> bool:
        return self.world.starts(self.guest) > self.before and self.world.ssh(
            self.guest, "cat /proc/sys/kernel/random/boot_id"
        ) not in ("", self.boot)

    def once(self, disturbed: str) -> list[str]:
        return self.one_body("qemu" if self.again else disturbed, 1)


class Terminate(_OnGuest):
    """TerminateInstances, of the newest."""

    def choose(self) -> Guest:
        self.world.running()
        return next(guest for guest in reversed(self.world.guests) if not guest.off)

    def request(self) -> int:
        self.world.guests.remove(self.guest)
        return retries(self.world.ec2.terminate_instances(InstanceIds=[self.guest.ident]))

    def reached(self) -> bool:
        return self.world.is_in(self.guest, "terminated")

    def once(self, disturbed: str) -> list[str]:
        del disturbed
        left = self.world.cloud.left((self.guest.ident, self.guest.private, self.guest.loopback))
        return left + ["a body"] * self.world.bodies(self.guest)


class _Ruled(_OnGuest):
    """A rule that admits ping to the guests; `admitted` is what it is before."""

    admitted: bool

    def __init__(self, world: World) -> None:
        super().__init__(world)
        if self.permitted() != self.admitted:
            perform((Authorize if self.admitted else Revoke)(world))

    def permitted(self) -> int:
        (group,) = self.world.ec2.describe_security_groups(GroupIds=[self.world.group])["SecurityGroups"]
        return [rule["IpProtocol"] for rule in group["IpPermissions"]].count("icmp")

    def once(self, disturbed: str) -> list[str]:
        wrong = self.one_body(disturbed, 0)
        if (self.permitted(), self.world.doubled_rules()) != (not self.admitted, 0):
            wrong.append(f"{self.permitted()} rules, {self.world.doubled_rules()} of the engine's doubled")
        return wrong


class Authorize(_Ruled):
    """AuthorizeSecurityGroupIngress."""

    admitted = False

    def request(self) -> int:
        call, words = self.world.ec2.authorize_security_group_ingress, {"GroupId": self.world.group}
        return repeated(call, "InvalidPermission.Duplicate", **words, IpPermissions=[PING])

    def reached(self) -> bool:
        return self.world.pings(self.guest)


class Revoke(_Ruled):
    """RevokeSecurityGroupIngress."""

    admitted = True

    def request(self) -> int:
        call, words = self.world.ec2.revoke_security_group_ingress, {"GroupId": self.world.group}
        return repeated(call, "InvalidPermission.NotFound", **words, IpPermissions=[PING])

    def reached(self) -> bool:
        return self.world.connects(self.guest) and not self.world.pings(self.guest)


class _Addressed(_OnGuest):
    """A floating address; `given` is whether the guest has it before."""

    given: bool

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.address, self.allocation = world.addresses[0], world.allocations[0]
        wanted = self.guest.ident if self.given else ""
        if self.holder() not in ("", wanted):
            world.ec2.disassociate_address(PublicIp=self.address)
            until("the address leads nowhere", lambda: not world.banner(self.address))
        if self.holder() != wanted:
            world.ec2.associate_address(AllocationId=self.allocation, InstanceId=wanted)
            until("the address leads to the guest", lambda: world.banner(self.address))

    def holder(self) -> str:
        (found,) = self.world.ec2.describe_addresses(AllocationIds=[self.allocation])["Addresses"]
        return str(found.get("InstanceId", ""))

    def once(self, disturbed: str) -> list[str]:
        wrong = self.one_body(disturbed, 0)
        counts = (self.holder(), self.world.translations(self.address))
        right = ("", 0) if self.given else (self.guest.ident, 1)
        return wrong if counts == right else [*wrong, f"holder, translations: {counts}"]


class Associate(_Addressed):
    """AssociateAddress."""

    given = False

    def request(self) -> int:
        words = {"AllocationId": self.allocation, "InstanceId": self.guest.ident}
        return retries(self.world.ec2.associate_address(**words))

    def reached(self) -> bool:
        return self.world.banner(self.address)


class Disassociate(_Addressed):
    """DisassociateAddress."""

    given = True

    def request(self) -> int:
        return retries(self.world.ec2.disassociate_address(PublicIp=self.address))

    def reached(self) -> bool:
        # Silence alone may be that of a guest that is slow.
        return (
            self.world.banner(self.world.addresses[1])
            and not self.world.banner(self.address)
            and self.world.translations(self.address) == 0
        )


OPERATIONS: dict[str, type[Operation]] = {
    "launch": Launch,
    "stop": Stop,
    "start": Start,
    "reboot": Reboot,
    "terminate": Terminate,
    "authorize": Authorize,
    "revoke": Revoke,
    "associate": Associate,
    "disassociate": Disassociate,
    "layout": Layout,
    "clear": Clear,
}
