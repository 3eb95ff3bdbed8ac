"""Instance: a machine that runs, and the pure rules of its power."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import msgspec

from pileus.model.injection import InjectedFile
from pileus.model.noun import NEVER, Claim, Keeper, Noun, Part, Ref, Revision, SeenFault, Usage, host_scope
from pileus.model.placement import host_vcpus

if TYPE_CHECKING:
    from pileus.model.image import Image

PowerState = Literal["running", "stopped"]

LAUNCH = "instance.launch"
"""The name of the verb that makes instances, in the journal and of client tokens."""


class Power(Part, frozen=True, kw_only=True):
    """The wanted power and its number: every start or stop of a user raises `n`, a guest's own shutdown satisfies it.

    `keep` is for providers alone: whatever the body's power is now, leave it (its guest may just be ending itself).
    """

    state: PowerState = "running"
    n: int = 1
    keep: bool = False


class Wanted(Part, frozen=True, kw_only=True):
    """The user's request. `user_data` is base64; `token` the client's idempotency token.

    `asked` is the digest of the parameters that came with the token.
    `power_since` is the power number since which that power state is wanted: a start of what runs raises n alone.
    `metadata_hops` is how far a metadata token may go, `metadata_tags` whether the service tells the tags,
    `metadata_ipv6` whether it answers by IPv6, too.
    `login_user` is the image's at the launch, for the image may go; empty for what was launched before it was kept.
    `launchtemplate` is the uuid of the launch template of its launch, which may be gone; empty for none.
    `files` are put into the guest, and `password`, a hash as in shadow(5), is that of its root; `config_drive`: it has
    a disk that tells it what the metadata service does; `metadata` is the user's own, for both of them.
    `on_failure`: what its host can never make is terminated (end), or shown as failed (stay). Within `name_pool`, if
    that is not empty, no other instance of the project has its name.
    """

    flavor: Annotated[str, Ref("flavor", "uses")]
    image: str
    power: Power = Power()
    power_since: int = 1
    reboot: int = 0
    gone: bool = False
    key_name: str = ""
    public_keys: tuple[str, ...] = ()
    user_data: str = ""
    hostname: str = ""
    on_shutdown: Literal["stop", "terminate"] = "stop"
    protected: bool = False
    reservation: str = ""
    launch_index: int = 0
    token: str = ""
    asked: str = ""
    zone: str = ""
    reason: str = ""
    reason_message: str = ""
    metadata_v2_only: bool = False
    metadata_enabled: bool = True
    metadata_tags: bool = True
    metadata_hops: int = 1
    metadata_ipv6: bool = False
    placementgroup: Annotated[str | None, Ref("placementgroup", "uses")] = None
    instanceprofile: Annotated[str | None, Ref("instanceprofile", "uses")] = None
    login_user: str = ""
    launchtemplate: str = ""
    launchtemplate_version: int = 0
    files: tuple[InjectedFile, ...] = ()
    password: str = ""
    metadata: dict[str, str] = {}
    config_drive: bool = False
    on_failure: Literal["end", "stay"] = "end"
    name_pool: str = ""


class Size(Part, frozen=True, kw_only=True):
    """The resources of an instance, by its flavor and its disks: memory in MiB, disk in GiB."""

    vcpus: int = 0
    memory: int = 0
    disk: int = 0
    kind: Literal["machine", "container"] = "machine"


class Unheard(Part, frozen=True, kw_only=True):
    """A row's content when it may be older than its host: any difference to the present row was asked for since."""

    wanted: Wanted
    name: str = ""
    tags: dict[str, str] = {}


class Assigned(Part, frozen=True, kw_only=True):
    """Where it is. `clear` names the places that may still hold an old body, each with its removal's revision.

    `last` is the place it was moved from, told again when it goes; `carried` the satisfied n that went along with the
    last placement, or outlives an order that its host lost, as do the reboots that were done (`rebooted`); `content`
    the digest of the spec last given a revision; `loopback` the address for plain ssh. `unheard` is what
    was wanted when the store was recovered without its host: nothing is decided before that one is heard. `number` is
    the one by which mcc's clients know it, a claim; 0: they have not looked at it yet. `size` is the amount of usage
    that its project and its hosts are charged with.
    """

    host: str | None = None
    clear: dict[str, Revision] = {}
    last: str | None = None
    ever: bool = False
    carried: int = 0
    rebooted: int = 0
    content: str = ""
    loopback: str = ""
    unheard: Unheard | None = None
    number: int = 0
    size: Size = Size()


class Seen(Part, frozen=True, kw_only=True):
    """Its state, as its host reported. `revision` is the one applied; `satisfied` the power n that the guest ended.

    `up`: its guest has come up since it began to run; None where its host, of an earlier version, does not say.
    """

    revision: Revision = NEVER
    running: bool = False
    n: int = 0
    reboot: int = 0
    satisfied: int = 0
    ever: bool = False
    up: bool | None = None
    since: float = 0.0
    fault: SeenFault | None = None


class Instance(Noun, frozen=True, kw_only=True):
    """A virtual machine or a container, with its ports and volumes as nouns of their own."""

    KIND: ClassVar[str] = "instance"
    PREFIX: ClassVar[str] = "i"
    QUOTA: ClassVar[dict[str, int]] = {"instances": 20, "vcpus": 40, "memory": 32_768}
    KEEPER: ClassVar[Keeper] = "host"
    DROPPED: ClassVar[dict[str, Any]] = {"user_data": "", "public_keys": (), "files": (), "password": ""}
    SECRET: ClassVar[tuple[str, ...]] = ("files", "password")
    RENAMED: ClassVar[bool] = True
    wanted: Wanted
    assigned: Assigned = Assigned()
    seen: Seen = Seen()

    def recorded(self) -> Noun:
        """Without its place and its size, which its order tells."""
        assigned = msgspec.structs.replace(self.assigned, host=None, clear={}, last=None, size=Size(), content="")
        return msgspec.structs.replace(self, assigned=assigned)

    def assigned_over(self, row: Noun) -> Assigned:
        """With the place of `row`."""
        here = row.assigned
        return msgspec.structs.replace(self.assigned, host=here.host, clear=here.clear, last=here.last)

    def unheard(self) -> str:
        """Its host, or the first that may have a body of it, while it waits for that one."""
        if self.assigned.unheard is None:
            return ""
        return self.assigned.host or next(iter(self.assigned.clear), "")

    def claims(self) -> tuple[Claim, ...]:
        """Each host that has its body, or may have it; its loopback address, its number, and a name that is unique."""
        assigned = self.assigned
        claims = [(f"host:{host}", self.uuid) for host in dict.fromkeys((assigned.host, *assigned.clear)) if host]
        if assigned.loopback:
            claims.append(("loopback", assigned.loopback))
        if assigned.number:
            claims.append(("mcc", str(assigned.number)))
        if self.wanted.name_pool:
            claims.append((name_pool(self.project, self.wanted.name_pool), self.name))
        return tuple(claims)

    def amounts(self) -> dict[str, int]:
        """Itself, its vcpus and its memory; its disks are nouns of their own."""
        size = self.assigned.size
        return {**super().amounts(), "vcpus": size.vcpus, "memory": size.memory}

    def uses(self) -> Usage:
        """The amounts of its project, and its size on each host that has its body, or may have it."""
        assigned, size = self.assigned, self.assigned.size
        uses = super().uses()
        for host in {assigned.host, *assigned.clear} - {None}:
            scope = host_scope(host or "")
            uses[scope, "vcpus"] = host_vcpus(size.vcpus, size.kind)
            uses[scope, "memory"] = size.memory
            uses[scope, "disk"] = size.disk
        return uses

    def as_tombstone(self) -> Noun:
        """With its tags: it is shown as terminated."""
        return msgspec.structs.replace(super().as_tombstone(), tags=self.tags)


class State(StrEnum):
    """The six states of EC2's life cycle; never stored, always computed. Other faces map from these."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    SHUTTING_DOWN = "shutting-down"
    TERMINATED = "terminated"


def state(instance: Instance) -> State:
    """The state that a user sees, from the three parts."""
    wanted, seen = instance.wanted, instance.seen
    if instance.gone is not None:
        return State.TERMINATED
    if wanted.gone:
        return State.SHUTTING_DOWN
    if wanted.power.state == "stopped":
        return State.STOPPED if not seen.running and seen.n >= wanted.power_since else State.STOPPING
    if seen.running and seen.n >= wanted.power_since:
        return State.RUNNING
    if not seen.running and seen.satisfied == wanted.power.n:
        return State.STOPPED
    return State.PENDING


def failed(instance: Instance) -> bool:
    """Whether its host can never make it, and it stays all the same until it is terminated."""
    fault = instance.seen.fault
    return not instance.wanted.gone and fault is not None and fault.permanent and not instance.seen.ever


def name_pool(project: str, pool: str) -> str:
    """The pool of claims in which the names of a project's instances are unique that were launched with this pool."""
    return f"instance:{project}:{pool}"


def login_user(instance: Instance, image: Image | None) -> str:
    """The user to log in as by ssh: the image's as it was at the launch, or as it is, or root."""
    return instance.wanted.login_user or (image.wanted.login_user if image else "root")


def converged(instance: Instance) -> bool:
    """Whether no step is left: the body is as wanted, at the latest revision."""
    seen, wanted = instance.seen, instance.wanted
    if instance.gone is not None:
        return True
    if wanted.gone or instance.assigned.clear or instance.assigned.host is None:
        return False
    on = wanted.power.state == "running"
    at_power = seen.running == on and seen.n >= wanted.power.n
    ended = on and not seen.running and seen.satisfied == wanted.power.n
    return seen.revision == instance.revision and seen.reboot >= wanted.reboot and (at_power or ended)


def merged(row: Instance, host_copy: Instance) -> Instance:
    """`host_copy`, as its host has it, with what `row` wants otherwise than when the store was recovered without it.

    Counters go on from where the host's are: what was asked for since is the newer request.
    """
    before = row.assigned.unheard
    if before is None:
        return host_copy
    fields = {
        name: getattr(row.wanted, name)
        for name in Wanted.__struct_fields__
        if getattr(row.wanted, name) != getattr(before.wanted, name)
    }
    host_wanted = host_copy.wanted
    if "power" in fields:
        n = host_wanted.power.n + max(1, row.wanted.power.n - before.wanted.power.n)
        state = row.wanted.power.state
        fields["power"] = Power(state=state, n=n)
        fields["power_since"] = host_wanted.power_since if state == host_wanted.power.state else n
    if "reboot" in fields:
        fields["reboot"] = host_wanted.reboot + row.wanted.reboot - before.wanted.reboot
    return msgspec.structs.replace(
        host_copy,
        wanted=msgspec.structs.replace(host_wanted, **fields),
        name=host_copy.name if row.name == before.name else row.name,
        tags=host_copy.tags if row.tags == before.tags else row.tags,
    )


class Step(StrEnum):
    """The next step of the host with one body."""

    NONE = "none"
    MAKE = "make"
    START = "start"
    STOP = "stop"


class Body(Part, frozen=True, kw_only=True):
    """The host's memory and view of one body. `ordered_stop`: a stop was signalled since it last started.

    `held`: it is down, and is not started, until a capture of its disk has its moment. `up`: its guest has come up
    since it began to run.
    """

    exists: bool = False
    running: bool = False
    n: int = 0
    reboot: int = 0
    satisfied: int = 0
    ordered_stop: bool = False
    held: bool = False
    up: bool = False


def next_step(power: Power, reboot: int, body: Body) -> Step:
    """The one step that brings `body` closer to (`power`, `reboot`); NONE when it is there.

    A body whose guest ended power number n itself (`satisfied`) is not started again until n rises; a reboot does not
    raise it. A reboot is a stop followed by a start.
    """
    if not body.exists:
        return Step.MAKE
    if power.state == "stopped":
        return Step.STOP if body.running else Step.NONE
    if not body.running:
        return Step.NONE if body.satisfied == power.n else Step.START
    if body.reboot < reboot or body.ordered_stop:
        # A stop that was signalled under an older number cannot be taken back: let it end, then start.
        return Step.STOP
    return Step.NONE
