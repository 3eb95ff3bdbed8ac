"""Launching: one transaction that writes instances, ports, volumes, claims, usage and the token, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from pileus.model import bounds, quota, sizes, tag
from pileus.model.errors import DryRun, InvalidValue, QuotaExceeded, TokenReused
from pileus.model.floatingip import FloatingIp
from pileus.model.ids import new_ec2, new_uuid
from pileus.model.image import Image, content, kind_of
from pileus.model.instance import LAUNCH, Assigned, Instance, Size, State, Wanted
from pileus.model.launchtemplate import LaunchTemplate
from pileus.model.network import Network
from pileus.model.placement import Decision, Need, explanation, host_vcpus
from pileus.model.project import Project
from pileus.model.securitygroup import SecurityGroup
from pileus.model.sizes import Base64, Description, Hops, Ident, Idents, PublicKeys, Tags, Token
from pileus.model.subnet import Subnet
from pileus.model.volume import DEFAULT_TYPE, Volume
from pileus.model.volume import Wanted as VolumeWanted
from pileus.rules import find, keypair, securitygroup
from pileus.rules import flavor as flavor_rules
from pileus.rules import image as image_rules
from pileus.rules import network as network_rules
from pileus.rules import placementgroup as placementgroup_rules
from pileus.rules import port as port_rules
from pileus.rules.instance import interface as interface_plan
from pileus.rules.instance import number as number_rules
from pileus.rules.instance import place
from pileus.rules.instance import view as view_rules
from pileus.rules.instance.interface import LaunchInterface, PlannedInterface
from pileus.rules.launchtemplate import version_of
from pileus.rules.port import NewPort
from pileus.store.writer import digest
from pileus.verbs.instance import view

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.flavor import Flavor
    from pileus.model.placementgroup import PlacementGroup
    from pileus.rules.core import Core
    from pileus.rules.instance.view import InstanceView
    from pileus.store.writer import Writer


GIB = 1 << 30


class Launch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The parameters of a launch. `image`, `subnet`, `groups` by EC2 id; `user_data` base64; `disk` GiB (0: as needed).

    `placementgroup` is a placement group's name or id. `numbered` ones have their numbers from the beginning, and are
    called by them in their network. `map_public`: the port's public address is the loopback one; None: as its subnet
    says. `launchtemplate` is the uuid of the launch template that the parameters came from, if any: a face merges them,
    and the verb notes the template and its version.
    says. `interfaces` are all of an instance's, by uuids, in place of subnet, address, groups, `map_public` and
    `port_description`, which are of the only one.

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
    map_public: bool | None = None
    port_description: Description = ""
    interfaces: Annotated[tuple[LaunchInterface, ...], Meta(max_length=bounds.INTERFACES.most)] = ()
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
    metadata_enabled: bool = True
    metadata_tags: bool = True
    metadata_hops: Hops = 1
    dry_run: bool = False
    numbered: bool = False
    login_user: Ident = ""
    launchtemplate: Ident = ""
    launchtemplate_version: int = 0


class _Plan(msgspec.Struct):
    """The objects and addresses that a launch resolves to, before anything is written."""

    flavor: Flavor
    image: Image
    disk: int
    public_keys: tuple[str, ...]
    interfaces: list[PlannedInterface]
    together: PlacementGroup | None
    need: Need
    placed: Decision


def launch(caller: Caller, core: Core, request: Launch) -> list[str]:
    """Launch; returns the uuids of the instances, in launch order. The same token again: those of the first time.

    Raises InvalidValue, NotFound, QuotaExceeded, NoCapacity, Unavailable, TokenReused, DryRun.
    """
    return _tried(caller, core, request)[0]


def shown(caller: Caller, core: Core, request: Launch) -> list[InstanceView]:
    """Launch, and what a face shows of the instances; their `id` is not known yet.

    Raises as `launch` does; and TokenReused when all that the token's launch made are terminated, or forgotten.
    """
    uuids, views = _tried(caller, core, request)
    if views is None:
        views = view.launched(caller, core, uuids)
        if all(each.state is State.TERMINATED for each in views):
            text = f"The token '{request.token}' is of a launch whose instances are terminated."
            raise TokenReused(text, noun=Instance.KIND, ident=request.token, reason="terminated")
    return views


def _tried(caller: Caller, core: Core, request: Launch) -> tuple[list[str], list[InstanceView] | None]:
    """The instances, and their views unless the token was an old one."""
    _check(request)
    try:
        return _launch(caller, core, request)
    except (place.Nowhere, place.Silent) as nowhere:
        place.remember(caller, core, LAUNCH, nowhere.why)
        raise


def _launch(caller: Caller, core: Core, request: Launch) -> tuple[list[str], list[InstanceView] | None]:
    with core.store.write() as tx:
        if request.token:
            before = tx.repeated(caller.project, LAUNCH, request.token, msgspec.to_builtins(request))
            if before is not None:
                return list(before), None
        plan = _resolve(caller, core, tx, request)
        if request.dry_run:
            raise DryRun("Request would have succeeded, but DryRun flag is set.")
        views = _write(caller, core, tx, request, plan)
        uuids = [each.instance.uuid for each in views]
        if request.token:
            tx.remember(caller.project, LAUNCH, request.token, msgspec.to_builtins(request), uuids)
        return uuids, views


def _check(request: Launch) -> None:
    if not 1 <= request.least <= request.most:
        text = f"Invalid value '{request.least}' for MinCount: it must be from 1 to MaxCount ({request.most})."
        raise InvalidValue(text, reason="count")
    if request.most > bounds.LAUNCHES.most:
        text = f"Invalid value '{request.most}' for MaxCount: at most {bounds.LAUNCHES.most}."
        raise InvalidValue(text, reason="count")
    if request.address and request.most > 1:
        raise InvalidValue("An address can be given to one instance only.", reason="address-count")
    if len(request.token) > bounds.TOKEN.most:
        text = f"ClientToken exceeds the maximum length of {bounds.TOKEN.most} characters."
        raise InvalidValue(text, reason="token")
    sizes.check_user_data(request.user_data)
    interface_plan.check(request.interfaces, request.most)
    port_rules.check(NewPort(description=request.port_description))
    if request.login_user:
        image_rules.check_login(request.login_user)
    for tags in (request.tags, request.volume_tags, request.port_tags, {"Name": request.name}):
        tag.check(tags)
    sizes.check(request)
    _check_keys(request.public_keys)


def _check_keys(keys: tuple[str, ...]) -> None:
    if not all(key.isprintable() for key in keys):
        raise InvalidValue("A public key is one line of printable characters.", reason="key")
    if sum(map(len, keys)) > bounds.PUBLIC_KEYS_SIZE.most:
        text = f"The public keys of an instance have at most {bounds.PUBLIC_KEYS_SIZE.most} characters."
        raise InvalidValue(text, reason="key")


def _resolve(caller: Caller, core: Core, tx: Writer, request: Launch) -> _Plan:
    wanted_image = image_rules.needed(caller, tx, request.image)
    size = flavor_rules.named(tx, request.flavor)
    disk = _disk(request, wanted_image, size)
    keys = request.public_keys
    if request.key_name:
        keys = (keypair.named(caller, tx, request.key_name).wanted.public_key, *keys)
    if request.zone not in ("", core.place.zone):
        raise InvalidValue(f"Invalid availability zone: [{request.zone}]", ident=request.zone, reason="zone")
    if request.launchtemplate:
        template = find.living(caller, tx, LaunchTemplate, request.launchtemplate)
        version_of(template, str(request.launchtemplate_version))
    interfaces = [interface_plan.planned(caller, tx, each, request.zone) for each in request.interfaces]
    together = placementgroup_rules.named(caller, tx, request.placementgroup) if request.placementgroup else None
    need = _need(request, size, wanted_image, disk, together)
    plan = _Plan(size, wanted_image, disk, keys, interfaces or [_only(caller, tx, request)], together, need, Decision())
    most = _within_quota(caller, tx, request, size, need)
    member_counts = placementgroup_rules.members(tx, together) if together else {}
    plan.placed = place.choose(tx, core, need, request.least, most, size.name, member_counts)
    count = interface_plan.addressed(tx, plan.interfaces, request.least, len(plan.placed.hosts))
    plan.placed.hosts = plan.placed.hosts[:count]
    return plan


def _only(caller: Caller, tx: Writer, request: Launch) -> PlannedInterface:
    """The interface of a launch that describes one, or none."""
    if request.subnet:
        subnet = find.by_ec2(caller, tx, Subnet, [request.subnet])[0]
    else:
        subnet = network_rules.default_subnet(caller, tx, request.zone)
    network = tx.need(Network, subnet.wanted.network)
    interface = LaunchInterface(
        address=request.address, map_public=request.map_public, description=request.port_description
    )
    return PlannedInterface(interface, subnet, network, _groups(caller, tx, request, network))


def _disk(request: Launch, wanted: Image, size: Flavor) -> int:
    needed = max(wanted.wanted.min_disk, -(-content(wanted).virtual_size // GIB))
    if request.disk and request.disk < needed:
        text = f"Volume of size {request.disk}GB is smaller than snapshot of the image, expect size>= {needed}GB"
        raise InvalidValue(text, reason="disk")
    if wanted.wanted.min_memory > size.wanted.memory:
        raise InvalidValue(
            f"The image '{wanted.ec2_id}' needs {wanted.wanted.min_memory} MiB of memory, "
            f"the instance type '{size.name}' has {size.wanted.memory}.",
            noun="flavor",
            reason="memory",
        )
    return request.disk or max(size.wanted.disk, needed)


def _groups(caller: Caller, tx: Writer, request: Launch, on: Network) -> tuple[SecurityGroup, ...]:
    groups = [securitygroup.one(caller, tx, ident) for ident in request.groups]
    router = on.wanted.router or ""
    there = [group for group in tx.list(SecurityGroup, project=on.project) if (group.wanted.router or "") == router]
    named = {group.name: group for group in there if not group.wanted.gone}
    for name in request.group_names:
        if name not in named:
            raise securitygroup.absent(name)
        groups.append(named[name])
    if not groups:
        groups = [named["default"]] if "default" in named else []
    securitygroup.within(groups, router, "subnet")
    return tuple({group.uuid: group for group in groups}.values())


def _need(request: Launch, size: Flavor, chosen: Image, disk: int, together: PlacementGroup | None) -> Need:
    return Need(
        vcpus=host_vcpus(size.wanted.vcpus, kind_of(chosen.wanted.format)),
        memory=size.wanted.memory,
        disk=disk,
        kind=chosen.wanted.kind,
        zone=request.zone,
        traits=frozenset((*size.wanted.traits, *chosen.wanted.traits)),
        affinity=together.wanted.policy if together else "",
    )


def _within_quota(caller: Caller, tx: Writer, request: Launch, size: Flavor, need: Need) -> int:
    project = tx.need(Project, caller.project)
    count = request.most
    each = {
        "instances": 1,
        "ports": sum(not interface.port for interface in request.interfaces) if request.interfaces else 1,
        "volumes": 1,
        "vcpus": size.wanted.vcpus,
        "memory": need.memory,
        "disk": need.disk,
    }
    limits = {
        resource: limit
        for resource, amount in each.items()
        if amount and (limit := quota.limit(project, resource)) is not None
    }
    used = tx.usage(f"project:{caller.project}") if limits else {}
    for resource, limit in limits.items():
        amount = each[resource]
        fit_count = (limit - used.get((f"project:{caller.project}", resource), 0)) // amount
        if fit_count < request.least:
            raise QuotaExceeded(
                f"You have requested more {resource} than your current limit of {limit} allows: "
                f"{max(fit_count, 0)} more such instances fit.",
                noun="instance",
                reason=resource,
            )
        count = min(count, fit_count)
    return count


def _write(caller: Caller, core: Core, tx: Writer, request: Launch, plan: _Plan) -> list[InstanceView]:
    # A port that is given has its address already.
    primary = min(plan.interfaces, key=lambda each: each.interface.index)
    port_addresses = [own[0] for own in primary.addresses[: len(plan.placed.hosts)]]
    reservation = new_ec2("r")
    loopbacks = network_rules.free_loopbacks(tx, core.place.loopback_prefix, len(port_addresses))
    numbers = number_rules.free(tx, len(port_addresses)) if request.numbered else [0] * len(port_addresses)
    same = digest(msgspec.to_builtins(request)) if request.token else ""
    flavor, kind = plan.flavor.wanted, kind_of(plan.image.wanted.format)
    size = Size(vcpus=flavor.vcpus, memory=flavor.memory, disk=plan.disk, kind=kind)
    instances = [
        Instance(
            uuid=new_uuid(),
            created=tx.now,
            project=caller.project,
            name=(request.name or request.tags.get("Name", ""))[: bounds.NAME.most],
            tags=request.tags,
            wanted=_wanted(
                request, plan, reservation, index, _hostname(port_addresses[index], numbers[index]), core, same
            ),
            assigned=Assigned(host=host, ever=True, loopback=loopbacks[index], number=numbers[index], size=size),
        )
        for index, host in enumerate(plan.placed.hosts)
    ]
    alone = len(plan.interfaces) == 1
    ports = [
        interface_plan.new_port(each, number, instance, request.port_tags, alone=alone)
        for number, instance in enumerate(instances)
        for each in plan.interfaces
        if each.port is None
    ]
    volumes = [_volume(request, plan, instance) for instance in instances]
    tx.insert(instances, ports, volumes, unclaimed=True)
    attached_ports = [
        port_rules.attached(tx, each.port, instances[0], each.interface.index) for each in plan.interfaces if each.port
    ]
    for host in dict.fromkeys(plan.placed.hosts):
        here = [instance for instance in instances if instance.assigned.host == host]
        tx.add_journal_lines(caller, here, LAUNCH, goal=1, detail=explanation(plan.placed, host))
    tx.wake_new([*instances, *ports])
    for port in attached_ports:
        tx.wake(port)
    floating = tx.referring(FloatingIp, [port.uuid for port in attached_ports]) if attached_ports else ()
    return view_rules.joined(tx, instances, [*ports, *attached_ports], volumes, floating)


def _hostname(address: str, number: int) -> str:
    return f"mcc-id-{number}" if number else f"ip-{address.replace('.', '-')}"


def _wanted(request: Launch, plan: _Plan, reservation: str, index: int, hostname: str, core: Core, same: str) -> Wanted:
    return Wanted(
        flavor=plan.flavor.uuid,
        image=plan.image.uuid,
        key_name=request.key_name,
        public_keys=plan.public_keys,
        user_data=request.user_data,
        hostname=hostname,
        on_shutdown=request.on_shutdown,
        protected=request.protected,
        reservation=reservation,
        launch_index=index,
        token=request.token,
        asked=same,
        zone=core.place.zone,
        metadata_v2_only=request.metadata_v2_only,
        metadata_enabled=request.metadata_enabled,
        metadata_tags=request.metadata_tags,
        metadata_hops=request.metadata_hops,
        placementgroup=plan.together.uuid if plan.together else None,
        login_user=request.login_user or plan.image.wanted.login_user,
        launchtemplate=request.launchtemplate,
        launchtemplate_version=request.launchtemplate_version,
    )


def _volume(request: Launch, plan: _Plan, instance: Instance) -> Volume:
    wanted = VolumeWanted(
        size=plan.disk,
        instance=instance.uuid,
        image=plan.image.uuid,
        digest=content(plan.image).digest,
        format=plan.image.wanted.format,
        type=request.volume_type,
    )
    return Volume(
        uuid=new_uuid(), created=instance.created, project=instance.project, tags=request.volume_tags, wanted=wanted
    )
