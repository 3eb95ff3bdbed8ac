"""Launching: one transaction that writes instances, ports, volumes, claims, usage and the token, or nothing."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from pileus.model import addresses, bounds, sizes, tag
from pileus.model.errors import DryRun, InvalidValue, QuotaExceeded, TokenReused, Unavailable
from pileus.model.ids import new_ec2, new_uuid
from pileus.model.image import Image, content, kind_of
from pileus.model.instance import Assigned, Instance, State, Wanted
from pileus.model.network import Network
from pileus.model.placement import Decision, Need, explanation, host_vcpus
from pileus.model.port import Assigned as PortAssigned
from pileus.model.port import Port
from pileus.model.port import Wanted as PortWanted
from pileus.model.project import Project
from pileus.model.securitygroup import SecurityGroup
from pileus.model.sizes import Base64, Description, Ident, Idents, PublicKeys, Tags, Token
from pileus.model.subnet import Subnet
from pileus.model.volume import DEFAULT_TYPE, Volume
from pileus.model.volume import Wanted as VolumeWanted
from pileus.store.writer import digest
from pileus.verbs import find, flavor, image, keypair, network, placementgroup, securitygroup
from pileus.verbs.instance import number, place, view

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.flavor import Flavor
    from pileus.model.placementgroup import PlacementGroup
    from pileus.store.writer import Writer
    from pileus.verbs.core import Core
    from pileus.verbs.instance.view import InstanceView

VERB = "instance.launch"
TRIES = 100
"""How often a launch is begun anew because others took the room that it had seen: each time one of them got it."""

GIB = 1 << 30


class Launch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The parameters of a launch. `image`, `subnet`, `groups` by EC2 id; `user_data` base64; `disk` GiB (0: as needed).

    `placementgroup` is a placement group's name or id. `numbered` ones have their numbers from the beginning, and are
    called by them in their network. `map_public`: the port's public address is the loopback one.

    As many as possible from `least` to `most` are launched, or none. Defaults are left out of the form that a client
    token remembers: a later version may add fields.
    """

    image: Ident
    flavor: Ident = "m1.small"
    least: int = 1
    most: int = 1
    name: Annotated[str, Meta(max_length=bounds.TAG_VALUE.most)] = ""
    key_name: Ident = ""
    public_keys: PublicKeys = ()
    groups: Idents = ()
    group_names: Idents = ()
    subnet: Ident = ""
    address: Ident = ""
    map_public: bool = True
    port_description: Description = ""
    zone: Ident = ""
    placementgroup: Ident = ""
    user_data: Base64 = ""
    tags: Tags = {}
    volume_tags: Tags = {}
    port_tags: Tags = {}
    token: Token = ""
    on_shutdown: Literal["stop", "terminate"] = "stop"
    protected: bool = False
    disk: Annotated[int, Meta(ge=0, le=bounds.DISK.most)] = 0
    volume_type: Ident = DEFAULT_TYPE
    metadata_v2_only: bool = False
    dry_run: bool = False
    numbered: bool = False
    login_user: Ident = ""


class _Plan(msgspec.Struct):
    """The objects and addresses that a launch resolves to, before anything is written."""

    flavor: Flavor
    image: Image
    disk: int
    public_keys: tuple[str, ...]
    subnet: Subnet
    network: Network
    groups: tuple[SecurityGroup, ...]
    together: PlacementGroup | None
    need: Need
    placed: Decision
    addresses: list[str]


def launch(caller: Caller, core: Core, asked: Launch) -> list[str]:
    """Launch; returns the uuids of the instances, in launch order. The same token again: those of the first time.

    Raises InvalidValue, NotFound, QuotaExceeded, NoCapacity, Unavailable, TokenReused, DryRun.
    """
    return _tried(caller, core, asked)[0]


def shown(caller: Caller, core: Core, asked: Launch) -> list[InstanceView]:
    """Launch, and what a face shows of the instances; their `id` is not known yet.

    Raises as `launch` does; and TokenReused when all that the token's launch made are terminated, or forgotten.
    """
    uuids, views = _tried(caller, core, asked)
    if views is None:
        views = view.launched(caller, core, uuids)
        if all(each.state is State.TERMINATED for each in views):
            text = f"The token '{asked.token}' is of a launch whose instances are terminated."
            raise TokenReused(text, noun=Instance.KIND, ident=asked.token, reason="terminated")
    return views


def _tried(caller: Caller, core: Core, asked: Launch) -> tuple[list[str], list[InstanceView] | None]:
    """The instances, and their views unless the token was an old one."""
    _check(asked)
    for _ in range(TRIES):
        try:
            return _launch(caller, core, asked)
        except place.Outrun as outrun:
            place.prepare(core, outrun.hosts)
        except (place.Nowhere, place.Silent) as nowhere:
            place.remember(caller, core, VERB, nowhere.why)
            raise
    raise Unavailable("Others launch too many instances at once; try again.", noun="instance", reason="busy")


def _launch(caller: Caller, core: Core, asked: Launch) -> tuple[list[str], list[InstanceView] | None]:
    with core.store.write() as tx:
        if asked.token:
            before = tx.repeated(caller.project, VERB, asked.token, msgspec.to_builtins(asked))
            if before is not None:
                return list(before), None
        plan = _resolve(caller, core, tx, asked)
        if asked.dry_run:
            raise DryRun("Request would have succeeded, but DryRun flag is set.")
        views = _write(caller, core, tx, asked, plan)
        uuids = [each.instance.uuid for each in views]
        if asked.token:
            tx.remember(caller.project, VERB, asked.token, msgspec.to_builtins(asked), uuids)
        return uuids, views


def check_user_data(text: str) -> None:
    """Whether `text` can be user data: base64 of at most 16 KiB. Raises InvalidValue."""
    try:
        size = len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise InvalidValue("Invalid BASE64 encoding of user data.", reason="user-data") from error
    if size > bounds.USER_DATA.most:
        raise InvalidValue(f"User data is limited to {bounds.USER_DATA.most} bytes", reason="user-data-size")


def _check(asked: Launch) -> None:
    if not 1 <= asked.least <= asked.most:
        raise InvalidValue(
            f"Invalid value '{asked.least}' for MinCount: it must be from 1 to MaxCount ({asked.most}).",
            reason="count",
        )
    if asked.most > bounds.LAUNCHES.most:
        text = f"Invalid value '{asked.most}' for MaxCount: at most {bounds.LAUNCHES.most}."
        raise InvalidValue(text, reason="count")
    if asked.address and asked.most > 1:
        raise InvalidValue("An address can be given to one instance only.", reason="address-count")
    if len(asked.token) > bounds.TOKEN.most:
        text = f"ClientToken exceeds the maximum length of {bounds.TOKEN.most} characters."
        raise InvalidValue(text, reason="token")
    check_user_data(asked.user_data)
    if len(asked.port_description) > bounds.DESCRIPTION.most:
        text = f"The description of a network interface has at most {bounds.DESCRIPTION.most} characters."
        raise InvalidValue(text, noun="port", reason="description")
    if asked.login_user:
        image.check_login(asked.login_user)
    for tags in (asked.tags, asked.volume_tags, asked.port_tags, {"Name": asked.name}):
        tag.check(tags)
    sizes.check(asked)
    _check_keys(asked.public_keys)


def _check_keys(keys: tuple[str, ...]) -> None:
    if not all(key.isprintable() for key in keys):
        raise InvalidValue("A public key is one line of printable characters.", reason="key")
    if sum(map(len, keys)) > bounds.PUBLIC_KEYS_SIZE.most:
        text = f"The public keys of an instance have at most {bounds.PUBLIC_KEYS_SIZE.most} characters."
        raise InvalidValue(text, reason="key")


def _resolve(caller: Caller, core: Core, tx: Writer, asked: Launch) -> _Plan:
    wanted_image = image.needed(caller, tx, asked.image)
    size = flavor.named(tx, asked.flavor)
    disk = _disk(asked, wanted_image, size)
    keys = asked.public_keys
    if asked.key_name:
        keys = (keypair.named(caller, tx, asked.key_name).wanted.public_key, *keys)
    if asked.zone not in ("", core.place.zone):
        raise InvalidValue(f"Invalid availability zone: [{asked.zone}]", ident=asked.zone, reason="zone")
    if asked.subnet:
        subnet = find.by_ec2(caller, tx, Subnet, [asked.subnet])[0]
    else:
        subnet = network.default_subnet(caller, tx, asked.zone)
    on = tx.need(Network, subnet.wanted.network)
    together = placementgroup.named(caller, tx, asked.placementgroup) if asked.placementgroup else None
    need = _need(asked, size, wanted_image, disk, together)
    plan = _Plan(size, wanted_image, disk, keys, subnet, on, (), together, need, Decision(), [])
    plan.groups = _groups(caller, tx, asked, on)
    most = _within_quota(caller, tx, asked, size, need)
    held = placementgroup.members(tx, together) if together else {}
    plan.placed = place.choose(tx, core, need, asked.least, most, size.name, held)
    plan.addresses = network.free_addresses(tx, subnet, asked.least, len(plan.placed.hosts), asked.address)
    plan.placed.hosts = plan.placed.hosts[: len(plan.addresses)]
    return plan


def _disk(asked: Launch, wanted: Image, size: Flavor) -> int:
    needed = max(wanted.wanted.min_disk, -(-content(wanted).virtual_size // GIB))
    if asked.disk and asked.disk < needed:
        raise InvalidValue(
            f"Volume of size {asked.disk}GB is smaller than snapshot of the image, expect size>= {needed}GB",
            reason="disk",
        )
    if wanted.wanted.min_memory > size.wanted.memory:
        raise InvalidValue(
            f"The image '{wanted.ec2_id}' needs {wanted.wanted.min_memory} MiB of memory, "
            f"the instance type '{size.name}' has {size.wanted.memory}.",
            noun="flavor",
            reason="memory",
        )
    return asked.disk or max(size.wanted.disk, needed)


def _groups(caller: Caller, tx: Writer, asked: Launch, on: Network) -> tuple[SecurityGroup, ...]:
    found = [securitygroup.one(caller, tx, ident) for ident in asked.groups]
    router = on.wanted.router or ""
    there = [group for group in tx.list(SecurityGroup, project=on.project) if group.wanted.router == router]
    named = {group.name: group for group in there if not group.wanted.gone}
    for name in asked.group_names:
        if name not in named:
            raise securitygroup.absent(name)
        found.append(named[name])
    if not found:
        found = [named["default"]] if "default" in named else []
    securitygroup.within(found, router, "subnet")
    return tuple({group.uuid: group for group in found}.values())


def _need(asked: Launch, size: Flavor, chosen: Image, disk: int, together: PlacementGroup | None) -> Need:
    return Need(
        vcpus=host_vcpus(size.wanted.vcpus, kind_of(chosen.wanted.format)),
        memory=size.wanted.memory,
        disk=disk,
        kind=chosen.wanted.kind,
        zone=asked.zone,
        traits=frozenset((*size.wanted.traits, *chosen.wanted.traits)),
        affinity=together.wanted.policy if together else "",
    )


def _within_quota(caller: Caller, tx: Writer, asked: Launch, size: Flavor, need: Need) -> int:
    project = tx.need(Project, caller.project)
    count = asked.most
    each = {
        "instances": 1,
        "ports": 1,
        "volumes": 1,
        "vcpus": size.wanted.vcpus,
        "memory": need.memory,
        "disk": need.disk,
    }
    limits = {resource: limit for resource in each if (limit := project.wanted.limit(resource)) is not None}
    used = tx.usage(f"project:{caller.project}") if limits else {}
    for resource, limit in limits.items():
        amount = each[resource]
        left = (limit - used.get((f"project:{caller.project}", resource), 0)) // amount
        if left < asked.least:
            raise QuotaExceeded(
                f"You have requested more {resource} than your current limit of {limit} allows: "
                f"{max(left, 0)} more such instances fit.",
                noun="instance",
                reason=resource,
            )
        count = min(count, left)
    return count


def _write(caller: Caller, core: Core, tx: Writer, asked: Launch, plan: _Plan) -> list[InstanceView]:
    given = plan.addresses
    reservation = new_ec2("r")
    loopbacks = network.free_loopbacks(tx, core.place.loopback_prefix, len(given))
    numbers = number.free(tx, len(given)) if asked.numbered else [0] * len(given)
    same = digest(msgspec.to_builtins(asked)) if asked.token else ""
    instances = [
        Instance(
            uuid=new_uuid(),
            created=tx.now,
            project=caller.project,
            name=(asked.name or asked.tags.get("Name", ""))[: bounds.NAME.most],
            tags=asked.tags,
            wanted=_wanted(asked, plan, reservation, index, _hostname(given[index], numbers[index]), core, same),
            assigned=Assigned(host=host, ever=True, loopback=loopbacks[index], number=numbers[index]),
        )
        for index, host in enumerate(plan.placed.hosts)
    ]
    ports = [_port(asked, plan, i, a) for i, a in zip(instances, given, strict=True)]
    volumes = [_volume(asked, plan, instance) for instance in instances]
    size, count = plan.flavor.wanted, len(instances)
    using = {(caller.project, "vcpus"): size.vcpus * count, (caller.project, "memory"): size.memory * count}
    tx.insert(instances, ports, volumes, using=using, unclaimed=True)
    place.take(tx, plan.need, plan.placed)
    for host in dict.fromkeys(plan.placed.hosts):
        here = [instance for instance in instances if instance.assigned.host == host]
        tx.record_all(caller, here, VERB, goal=1, detail=explanation(plan.placed, host))
    tx.wake_new([*instances, *ports])
    return view.joined(tx, instances, ports, volumes)


def _hostname(address: str, number: int) -> str:
    return f"mcc-id-{number}" if number else f"ip-{address.replace('.', '-')}"


def _wanted(asked: Launch, plan: _Plan, reservation: str, index: int, hostname: str, core: Core, same: str) -> Wanted:
    return Wanted(
        flavor=plan.flavor.uuid,
        image=plan.image.uuid,
        key_name=asked.key_name,
        public_keys=plan.public_keys,
        user_data=asked.user_data,
        hostname=hostname,
        on_shutdown=asked.on_shutdown,
        protected=asked.protected,
        reservation=reservation,
        launch_index=index,
        token=asked.token,
        asked=same,
        zone=core.place.zone,
        metadata_v2_only=asked.metadata_v2_only,
        placementgroup=plan.together.uuid if plan.together else None,
        login_user=asked.login_user or plan.image.wanted.login_user,
    )


def _port(asked: Launch, plan: _Plan, instance: Instance, address: str) -> Port:
    wanted = PortWanted(
        network=plan.network.uuid,
        subnet=plan.subnet.uuid,
        instance=instance.uuid,
        groups=tuple(group.uuid for group in plan.groups),
        map_public=asked.map_public,
        description=asked.port_description,
    )
    return Port(
        uuid=new_uuid(),
        created=instance.created,
        project=instance.project,
        tags=asked.port_tags,
        wanted=wanted,
        assigned=PortAssigned(mac=addresses.new_mac(), address=address),
    )


def _volume(asked: Launch, plan: _Plan, instance: Instance) -> Volume:
    wanted = VolumeWanted(
        size=plan.disk,
        instance=instance.uuid,
        image=plan.image.uuid,
        digest=content(plan.image).digest,
        format=plan.image.wanted.format,
        type=asked.volume_type,
    )
    return Volume(
        uuid=new_uuid(), created=instance.created, project=instance.project, tags=asked.volume_tags, wanted=wanted
    )
