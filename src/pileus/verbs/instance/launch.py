"""Launching: one transaction that writes instances, ports, volumes, claims, usage and the token, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from pileus.model import bounds, injection, quota, sizes, tag
from pileus.model.errors import DryRun, Duplicate, InvalidValue, QuotaExceeded, TokenReused, Unsupported
from pileus.model.flavor import DEFAULT as DEFAULT_FLAVOR
from pileus.model.floatingip import FloatingIp
from pileus.model.ids import new_ec2, new_uuid
from pileus.model.image import content, kind_of
from pileus.model.injection import InjectedFiles, Password
from pileus.model.instance import LAUNCH, Assigned, Instance, Size, State, Wanted, name_pool
from pileus.model.keypair import KeyPair
from pileus.model.launchtemplate import LaunchTemplate
from pileus.model.placement import Decision, Need, explanation, host_vcpus
from pileus.model.placementgroup import PlacementGroup
from pileus.model.project import Project
from pileus.model.sizes import Base64, Description, Hops, Ident, Idents, PublicKeys, Tags, Token
from pileus.model.volume import DEFAULT_TYPE, Volume
from pileus.model.volume import Wanted as VolumeWanted
from pileus.rules import find
from pileus.rules import flavor as flavor_rules
from pileus.rules import image as image_rules
from pileus.rules import instanceprofile as profile_rules
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
from pileus.rules.rights import requires
from pileus.store.writer import digest
from pileus.verbs.instance import view

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.flavor import Flavor
    from pileus.model.image import Image
    from pileus.model.instanceprofile import InstanceProfile
    from pileus.rules.core import Core
    from pileus.rules.instance.view import InstanceView
    from pileus.store.writer import Writer


GIB = 1 << 30


class LaunchDisk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A further disk of an instance: `size` GiB, beginning as `image` (a uuid) or empty. No launch makes one yet."""

    size: Annotated[int, Meta(ge=0, le=bounds.DISK.most)] = 0
    image: Ident = ""
    device: Ident = ""
    type: Ident = DEFAULT_TYPE
    delete_on_termination: bool = True


class Launch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The parameters of a launch. Nouns are named by uuid, a flavor by its name; `user_data` is base64.

    - `disk` is GiB of the root disk, 0: as much as is needed. `disks` are further ones.
    - `interfaces` are all of an instance's, in place of `subnet`, `address`, those of IPv6, `groups`, `map_public` and
      `port_description`, which are of the only one, and as of a new port. `map_public`: the port's public address is
      the loopback one; None: as its subnet says.
    - `public_keys` may log in beside that of `keypair`. `password` is root's, or a hash of it as in shadow(5).
    - `files` are put into the guest at its first boot. `metadata` are words of the user's that it is told. With
      `config_drive` a disk tells it, where no metadata service is reached.
    - `on_failure` of what a host can never make: it is terminated (end), or stays as failed (stay).
    - `name` is unique in the project among instances of the same `name_pool`; of an empty one it need not be.
    - `numbered` ones have their numbers from the beginning, and are called by them in their network.
    - `launchtemplate` is the launch template that the parameters came from, if any: a face merges them, and the verb
      notes the template and its version.

    As many as possible from `least` to `most` are launched, or none. Defaults are left out of the form that a client
    token remembers: a later version may add fields.
    """

    image: Ident
    flavor: Ident = DEFAULT_FLAVOR
    least: int = 1
    most: int = 1
    name: Annotated[str, Meta(max_length=bounds.TAG_VALUE.most)] = ""
    name_pool: Ident = ""
    keypair: Ident = ""
    public_keys: PublicKeys = ()
    password: Password = ""
    files: InjectedFiles = ()
    groups: Idents = ()
    subnet: Ident = ""
    address: Ident = ""
    ipv6_addresses: Idents = ()
    ipv6_count: int | None = None
    map_public: bool | None = None
    port_description: Description = ""
    interfaces: Annotated[tuple[LaunchInterface, ...], Meta(max_length=bounds.INTERFACES.most)] = ()
    zone: Ident = ""
    placementgroup: Ident = ""
    instanceprofile: Ident = ""
    user_data: Base64 = ""
    metadata: Tags = {}
    config_drive: bool = False
    tags: Tags = {}
    volume_tags: Tags = {}
    port_tags: Tags = {}
    token: Token = ""
    on_shutdown: Literal["stop", "terminate"] = "stop"
    on_failure: Literal["end", "stay"] = "end"
    protected: bool = False
    disk: Annotated[int, Meta(ge=0, le=bounds.DISK.most)] = 0
    volume_type: Ident = DEFAULT_TYPE
    disks: Annotated[tuple[LaunchDisk, ...], Meta(max_length=bounds.LISTED.most)] = ()
    kernel_arguments: Description = ""
    metadata_v2_only: bool = False
    metadata_enabled: bool = True
    metadata_tags: bool = True
    metadata_hops: Hops = 1
    metadata_ipv6: bool = False
    dry_run: bool = False
    numbered: bool = False
    login_user: Ident = ""
    launchtemplate: Ident = ""
    launchtemplate_version: int = 0

    def remembered(self) -> object:
        """The parameters as a client token remembers them: of a password not even a digest is kept."""
        return msgspec.to_builtins(msgspec.structs.replace(self, password=""))


class _Sources(NamedTuple):
    """Step 1: the nouns that a launch names, and its disk's size in GiB."""

    image: Image
    flavor: Flavor
    disk: int
    keypair: KeyPair | None
    placementgroup: PlacementGroup | None
    instanceprofile: InstanceProfile | None
    interfaces: tuple[PlannedInterface, ...]


class _Places(NamedTuple):
    """Step 2: a host for each instance, and by interface the addresses of each instance."""

    decision: Decision
    hosts: list[str]
    addresses: list[list[tuple[str, ...]]]


@requires("member")
def launch(caller: Caller, core: Core, request: Launch) -> list[str]:
    """Launch; returns the uuids of the instances, in launch order. The same token again: those of the first time.

    Raises InvalidValue, NotFound, QuotaExceeded, NoCapacity, Unavailable, TokenReused, DryRun.
    """
    return _tried(caller, core, request)[0]


@requires("member")
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
    # Hashed before the turn of the writers, and before anything keeps it.
    request = msgspec.structs.replace(request, password=injection.hashed(request.password))
    try:
        return _launch(caller, core, request)
    except (place.Nowhere, place.Silent) as nowhere:
        place.remember(caller, core, LAUNCH, nowhere.why)
        raise


def _launch(caller: Caller, core: Core, request: Launch) -> tuple[list[str], list[InstanceView] | None]:
    parameters = request.remembered() if request.token else None
    with core.store.write() as tx:
        if request.token:
            before = tx.repeated(caller.project, LAUNCH, request.token, parameters)
            if before is not None:
                return list(before), None
        sources = _sources(caller, core, tx, request)
        places = _places(caller, core, tx, request, sources)
        if request.dry_run:
            raise DryRun("The launch would have succeeded.")
        instances = _instances(caller, core, tx, request, sources, places)
        views = _write(caller, tx, request, sources, places, instances)
        uuids = [instance.uuid for instance in instances]
        if request.token:
            tx.remember(caller.project, LAUNCH, request.token, parameters, uuids)
        return uuids, views


# -- what shows without the store --------------------------------------------------------------------------------------


def _check(request: Launch) -> None:
    _check_count(request)
    if request.disks:
        raise Unsupported("Instances are launched with their root disk alone: this cloud has no further disks yet.")
    if request.kernel_arguments:
        raise Unsupported("A guest boots its own kernel: arguments for it belong into the image.")
    if len(request.token) > bounds.TOKEN.most:
        text = f"A client token has at most {bounds.TOKEN.most} characters."
        raise InvalidValue(text, noun=Instance.KIND, reason="token")
    sizes.check_user_data(request.user_data)
    injection.check_files(request.files)
    interface_plan.check(request.interfaces, request.most)
    port_rules.check(
        NewPort(
            description=request.port_description, ipv6_addresses=request.ipv6_addresses, ipv6_count=request.ipv6_count
        )
    )
    if request.login_user:
        image_rules.check_login(request.login_user)
    for tags in (request.tags, request.volume_tags, request.port_tags, request.metadata, {tag.NAME: request.name}):
        tag.check(tags)
    sizes.check(request)
    _check_keys(request.public_keys)


def _check_count(request: Launch) -> None:
    if not 1 <= request.least <= request.most:
        text = f"The least number of instances is from 1 to the most ({request.most}), not {request.least}."
        raise InvalidValue(text, noun=Instance.KIND, ident=str(request.least), reason="least")
    if request.most > bounds.LAUNCHES.most:
        text = f"A launch has at most {bounds.LAUNCHES.most} instances, not {request.most}."
        raise InvalidValue(text, noun=Instance.KIND, ident=str(request.most), reason="most")
    if (request.address or request.ipv6_addresses) and request.most > 1:
        raise InvalidValue("An address can be given to one instance only.", reason="address-count")
    if request.name_pool and (not request.name or request.most > 1):
        raise InvalidValue("A unique name is given to one instance only, and is not empty.", reason="combination")


def _check_keys(keys: tuple[str, ...]) -> None:
    if not all(key.isprintable() for key in keys):
        raise InvalidValue("A public key is one line of printable characters.", reason="key")
    if sum(map(len, keys)) > bounds.PUBLIC_KEYS_SIZE.most:
        text = f"The public keys of an instance have at most {bounds.PUBLIC_KEYS_SIZE.most} characters."
        raise InvalidValue(text, reason="key")


# -- step 1: the nouns that are named ----------------------------------------------------------------------------------


def _sources(caller: Caller, core: Core, tx: Writer, request: Launch) -> _Sources:
    image = image_rules.usable(caller, tx, request.image)
    flavor = flavor_rules.named(tx, request.flavor)
    if request.zone not in ("", core.place.zone):
        raise InvalidValue(f"Invalid availability zone: [{request.zone}]", ident=request.zone, reason="zone")
    if request.launchtemplate:
        template = find.living(caller, tx, LaunchTemplate, request.launchtemplate)
        version_of(template, str(request.launchtemplate_version))
    _check_name(caller, tx, request)
    interfaces = request.interfaces or (_only(request),)
    return _Sources(
        image=image,
        flavor=flavor,
        disk=_disk(request, image, flavor),
        keypair=find.living(caller, tx, KeyPair, request.keypair) if request.keypair else None,
        placementgroup=_placementgroup(caller, tx, request),
        instanceprofile=profile_rules.usable(caller, tx, request.instanceprofile) if request.instanceprofile else None,
        interfaces=tuple(interface_plan.planned(caller, tx, each, request.zone) for each in interfaces),
    )


def _check_name(caller: Caller, tx: Writer, request: Launch) -> None:
    if request.name_pool and tx.claimed(name_pool(caller.project, request.name_pool), request.name) is not None:
        text = f"The name '{request.name}' is another instance's."
        raise Duplicate(text, noun=Instance.KIND, ident=request.name, reason="name")


def _placementgroup(caller: Caller, tx: Writer, request: Launch) -> PlacementGroup | None:
    """The group that is named, which is the caller's project's. Raises NotFound."""
    if not request.placementgroup:
        return None
    group = find.living(caller, tx, PlacementGroup, request.placementgroup)
    if group.project != caller.project:
        raise find.absent(PlacementGroup, [group.uuid])
    return group


def _only(request: Launch) -> LaunchInterface:
    """The interface of a launch that describes one, or none."""
    return LaunchInterface(
        subnet=request.subnet,
        groups=request.groups,
        address=request.address,
        ipv6_addresses=request.ipv6_addresses,
        ipv6_count=request.ipv6_count,
        map_public=request.map_public,
        description=request.port_description,
    )


def _disk(request: Launch, image: Image, flavor: Flavor) -> int:
    needed = max(image.wanted.min_disk, -(-content(image).virtual_size // GIB))
    if request.disk and request.disk < needed:
        text = f"Volume of size {request.disk}GB is smaller than snapshot of the image, expect size>= {needed}GB"
        raise InvalidValue(text, reason="disk")
    if image.wanted.min_memory > flavor.wanted.memory:
        raise InvalidValue(
            f"The {image.label} needs {image.wanted.min_memory} MiB of memory, "
            f"the instance type '{flavor.name}' has {flavor.wanted.memory}.",
            noun="flavor",
            reason="memory",
        )
    return request.disk or max(flavor.wanted.disk, needed)


# -- step 2: hosts and addresses ---------------------------------------------------------------------------------------


def _places(caller: Caller, core: Core, tx: Writer, request: Launch, sources: _Sources) -> _Places:
    flavor, group = sources.flavor, sources.placementgroup
    need = _need(request, sources)
    most = _within_quota(caller, tx, request, flavor, need)
    member_counts = placementgroup_rules.members(tx, group) if group else {}
    decision = place.choose(tx, core, need, request.least, most, flavor.name, member_counts)
    addresses = interface_plan.addressed(tx, sources.interfaces, request.least, len(decision.hosts))
    # Of an interface that is given there is one address, and one instance.
    count = min(len(own) for own in addresses)
    return _Places(decision, decision.hosts[:count], addresses)


def _need(request: Launch, sources: _Sources) -> Need:
    image, flavor, group = sources.image.wanted, sources.flavor.wanted, sources.placementgroup
    return Need(
        vcpus=host_vcpus(flavor.vcpus, kind_of(image.format)),
        memory=flavor.memory,
        disk=sources.disk,
        kind=image.kind,
        zone=request.zone,
        traits=frozenset((*flavor.traits, *image.traits)),
        affinity=group.wanted.policy if group else "",
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


# -- step 3: the rows --------------------------------------------------------------------------------------------------


def _instances(
    caller: Caller, core: Core, tx: Writer, request: Launch, sources: _Sources, places: _Places
) -> list[Instance]:
    count = len(places.hosts)
    loopbacks = network_rules.free_loopbacks(tx, core.place.loopback_prefix, count)
    numbers = number_rules.free(tx, count) if request.numbered else [0] * count
    flavor, kind = sources.flavor.wanted, kind_of(sources.image.wanted.format)
    size = Size(vcpus=flavor.vcpus, memory=flavor.memory, disk=sources.disk, kind=kind)
    wanted, hostnames = _wanted(core, request, sources), _hostnames(sources, places, numbers)
    return [
        Instance(
            uuid=new_uuid(),
            created=tx.now,
            project=caller.project,
            name=(request.name or request.tags.get(tag.NAME, ""))[: bounds.NAME.most],
            tags={**request.tags, tag.NAME: request.name} if request.name else request.tags,
            wanted=msgspec.structs.replace(wanted, launch_index=index, hostname=hostnames[index]),
            assigned=Assigned(host=host, ever=True, loopback=loopbacks[index], number=numbers[index], size=size),
        )
        for index, host in enumerate(places.hosts)
    ]


def _hostnames(sources: _Sources, places: _Places, numbers: list[int]) -> list[str]:
    """The name of each instance: by its number, if it has one, or else by its first interface's address."""
    interfaces = zip(sources.interfaces, places.addresses, strict=True)
    _, addresses = min(interfaces, key=lambda each: each[0].interface.index)
    return [
        f"mcc-id-{number}" if number else f"ip-{own[0].replace('.', '-')}"
        for number, own in zip(numbers, addresses[: len(numbers)], strict=True)
    ]


def _wanted(core: Core, request: Launch, sources: _Sources) -> Wanted:
    """The request as all of its instances have it."""
    own = (sources.keypair.wanted.public_key,) if sources.keypair else ()
    return Wanted(
        flavor=sources.flavor.uuid,
        image=sources.image.uuid,
        key_name=sources.keypair.name if sources.keypair else "",
        public_keys=(*own, *request.public_keys),
        user_data=request.user_data,
        on_shutdown=request.on_shutdown,
        protected=request.protected,
        reservation=new_ec2("r"),
        token=request.token,
        asked=digest(request.remembered()) if request.token else "",
        zone=core.place.zone,
        metadata_v2_only=request.metadata_v2_only,
        metadata_enabled=request.metadata_enabled,
        metadata_tags=request.metadata_tags,
        metadata_hops=request.metadata_hops,
        metadata_ipv6=request.metadata_ipv6,
        placementgroup=sources.placementgroup.uuid if sources.placementgroup else None,
        instanceprofile=sources.instanceprofile.uuid if sources.instanceprofile else None,
        login_user=request.login_user or sources.image.wanted.login_user,
        launchtemplate=request.launchtemplate,
        launchtemplate_version=request.launchtemplate_version,
        files=request.files,
        password=request.password,
        metadata=request.metadata,
        config_drive=request.config_drive,
        on_failure=request.on_failure,
        name_pool=request.name_pool,
    )


def _write(
    caller: Caller, tx: Writer, request: Launch, sources: _Sources, places: _Places, instances: list[Instance]
) -> list[InstanceView]:
    alone = len(sources.interfaces) == 1
    ports = [
        interface_plan.new_port(each, own[number], instance, request.port_tags, alone=alone)
        for number, instance in enumerate(instances)
        for each, own in zip(sources.interfaces, places.addresses, strict=True)
        if each.port is None
    ]
    volumes = [_volume(request, sources, instance) for instance in instances]
    tx.insert(instances, ports, volumes, unclaimed=True)
    attached_ports = [
        port_rules.attached(tx, each.port, instances[0], each.interface.index)
        for each in sources.interfaces
        if each.port
    ]
    for host in dict.fromkeys(places.hosts):
        here = [instance for instance in instances if instance.assigned.host == host]
        tx.add_journal_lines(caller, here, LAUNCH, goal=1, detail=explanation(places.decision, host))
    tx.wake_new([*instances, *ports])
    for port in attached_ports:
        tx.wake(port)
    floating = tx.referring(FloatingIp, [port.uuid for port in attached_ports]) if attached_ports else ()
    return view_rules.joined(tx, instances, [*ports, *attached_ports], volumes, floating)


def _volume(request: Launch, sources: _Sources, instance: Instance) -> Volume:
    wanted = VolumeWanted(
        size=sources.disk,
        instance=instance.uuid,
        image=sources.image.uuid,
        digest=content(sources.image).digest,
        format=sources.image.wanted.format,
        type=request.volume_type,
    )
    return Volume(
        uuid=new_uuid(), created=instance.created, project=instance.project, tags=request.volume_tags, wanted=wanted
    )
