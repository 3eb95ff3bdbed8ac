"""Instances together with all that a face shows of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pileus.model.flavor import Flavor
from pileus.model.floatingip import FloatingIp
from pileus.model.image import Image
from pileus.model.instance import Instance, State, login_user, state
from pileus.model.instanceprofile import InstanceProfile
from pileus.model.network import Network
from pileus.model.placementgroup import PlacementGroup
from pileus.model.port import Port
from pileus.model.project import Project
from pileus.model.router import Router
from pileus.model.securitygroup import SecurityGroup
from pileus.model.subnet import Subnet
from pileus.model.volume import Volume

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pileus.store.reader import Reader


class NicView(msgspec.Struct, frozen=True, kw_only=True):
    """A port with what it is on and in, and the floating addresses for its primary and its secondary addresses.

    An isolated network has no `router`.
    """

    port: Port
    subnet: Subnet
    network: Network
    router: Router | None
    groups: tuple[SecurityGroup, ...]
    floating: FloatingIp | None = None
    secondary_floating: tuple[FloatingIp, ...] = ()


class InstanceView(msgspec.Struct, frozen=True, kw_only=True):
    """An instance with what a face shows of it. `nics` is empty for a tombstone."""

    instance: Instance
    state: State
    flavor: Flavor
    image: Image | None
    project: Project
    nics: tuple[NicView, ...]
    volumes: tuple[Volume, ...]
    together: PlacementGroup | None = None
    profile: InstanceProfile | None = None
    derived: dict[str, Any] = {}
    """Values that faces made of the view, by face: views that are cached are shown again and again."""

    @property
    def login_user(self) -> str:
        """The user name for logins by ssh, as the image said when the instance was launched."""
        return login_user(self.instance, self.image)


def views_in(tx: Reader, project: str, *, cached_only: bool = False) -> list[InstanceView] | None:
    """All views of a project's instances, those that ended lately too, oldest first; cached by the process.

    With `cached_only`, None where that would need the database. Nobody may change the list.
    """
    lists = tx.lists(project)
    views: list[InstanceView] | None = lists.lists.get(Instance.KIND) if lists is not None else None
    if views is None and not cached_only:
        views = views_of(tx, tx.list(Instance, project=project, dead=True), whole_project=True)
        if lists is not None and not tx.unreadable:
            views = _unchanged(views, lists.earlier.get(Instance.KIND, ()))
            lists.put(Instance.KIND, views)
    return views


def _unchanged(views: Sequence[InstanceView], earlier: Sequence[InstanceView]) -> list[InstanceView]:
    """The views, and in the place of each that equals an earlier one that one, with what faces derived from it."""
    by_uuid = {view.instance.uuid: view for view in earlier}
    unchanged = []
    for view in views:
        before = by_uuid.get(view.instance.uuid)
        same = before is not None and msgspec.structs.replace(view, derived=before.derived) == before
        unchanged.append(before if before is not None and same else view)
    return unchanged


def views_of(tx: Reader, instances: Sequence[Instance], *, whole_project: bool = False) -> list[InstanceView]:
    """Read all that is shown of instances; with `whole_project` they are all of one project's."""
    if not instances:
        return []
    uuids = [instance.uuid for instance in instances]
    if whole_project:
        ports = tx.list(Port, project=instances[0].project)
        volumes = tx.list(Volume, project=instances[0].project)
        floating = tx.list(FloatingIp, project=instances[0].project)
    else:
        ports, volumes = tx.referring(Port, uuids), tx.referring(Volume, uuids)
        floating = tx.referring(FloatingIp, [port.uuid for port in ports])
    return joined(tx, instances, ports, volumes, floating)


def joined(
    tx: Reader,
    instances: Sequence[Instance],
    ports: Sequence[Port],
    volumes: Sequence[Volume],
    floating: Sequence[FloatingIp] = (),
) -> list[InstanceView]:
    """Instances with what is theirs, and with what else is shown of them.

    An instance is left out where its flavor or project cannot be read; a NIC where its network cannot.
    """
    flavors = tx.many(Flavor, {instance.wanted.flavor for instance in instances})
    images = tx.many(Image, {instance.wanted.image for instance in instances})
    projects = tx.many(Project, {instance.project for instance in instances})
    grouped = {instance.wanted.placementgroup for instance in instances} - {None}
    together = tx.many(PlacementGroup, [uuid for uuid in grouped if uuid]) if grouped else {}
    profiled = {instance.wanted.instanceprofile for instance in instances} - {None}
    profiles = tx.many(InstanceProfile, [uuid for uuid in profiled if uuid]) if profiled else {}
    nics: dict[str, list[NicView]] = {}
    for nic in nics_of(tx, ports, floating):
        nics.setdefault(nic.port.wanted.instance or "", []).append(nic)
    disks: dict[str, list[Volume]] = {}
    for volume in volumes:
        disks.setdefault(volume.wanted.instance or "", []).append(volume)
    return [
        InstanceView(
            instance=instance,
            state=state(instance),
            flavor=flavors[instance.wanted.flavor],
            image=images.get(instance.wanted.image),
            project=projects[instance.project],
            nics=tuple(nics.get(instance.uuid, ())),
            volumes=tuple(disks.get(instance.uuid, ())),
            together=together.get(instance.wanted.placementgroup or ""),
            profile=profiles.get(instance.wanted.instanceprofile or ""),
        )
        for instance in instances
        if instance.wanted.flavor in flavors and instance.project in projects
    ]


def nics_of(tx: Reader, ports: Sequence[Port], floating: Sequence[FloatingIp]) -> list[NicView]:
    """Ports with what they are on and in, by device index; one is left out where its network cannot be read."""
    floating_by_port = {address.wanted.port: address for address in floating if not address.wanted.private}
    secondary: dict[str | None, tuple[FloatingIp, ...]] = {}
    for address in floating:
        if address.wanted.private:
            secondary[address.wanted.port] = (*secondary.get(address.wanted.port, ()), address)
    subnets = tx.many(Subnet, {port.wanted.subnet for port in ports})
    networks = tx.many(Network, {port.wanted.network for port in ports})
    routers = tx.many(Router, {network.wanted.router or "" for network in networks.values()})
    groups = tx.many(SecurityGroup, {group for port in ports for group in port.wanted.groups})
    views = []
    for port in sorted(ports, key=lambda port: port.wanted.index):
        subnet, network = subnets.get(port.wanted.subnet), networks.get(port.wanted.network)
        router = routers.get(network.wanted.router or "") if network is not None else None
        if subnet is not None and network is not None and (router is not None or not network.wanted.router):
            views.append(
                NicView(
                    port=port,
                    subnet=subnet,
                    network=network,
                    router=router,
                    groups=tuple(groups[uuid] for uuid in port.wanted.groups if uuid in groups),
                    floating=floating_by_port.get(port.uuid),
                    secondary_floating=secondary.get(port.uuid, ()),
                )
            )
    return views
