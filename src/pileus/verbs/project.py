"""Projects: made with the network that their first instance lands on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model import quota
from pileus.model.errors import Duplicate, InvalidValue
from pileus.model.ids import new_account, new_uuid
from pileus.model.network import Network
from pileus.model.network import Wanted as NetworkWanted
from pileus.model.project import Project
from pileus.model.router import Router
from pileus.model.router import Wanted as RouterWanted
from pileus.model.subnet import Subnet
from pileus.model.subnet import Wanted as SubnetWanted
from pileus.rules import securitygroup
from pileus.rules.project import new_wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.writer import Writer


def ensure(caller: Caller, core: Core, name: str, limits: Mapping[str, int] | None = None) -> Project:
    """The project of this name, made with its default router, network, subnet and group if there is none yet."""
    with core.store.write() as tx:
        return ensure_in(caller, core, tx, name, quota.DEFAULTS if limits is None else limits)


def ensure_in(caller: Caller, core: Core, tx: Writer, name: str, limits: Mapping[str, int]) -> Project:
    """The same as a part of another verb's transaction."""
    return tx.named(Project, name) or _create(caller, core, tx, name, limits)


def _create(caller: Caller, core: Core, tx: Writer, name: str, limits: Mapping[str, int]) -> Project:
    if not name or len(name) > 64 or not all(c.isalnum() or c in "-_." for c in name):
        raise InvalidValue(f"'{name}' is no project name: letters, digits, - _ . only, at most 64.", ident=name)
    uuid = new_uuid()
    wanted = new_wanted(uuid, new_account(), limits)
    project = Project(uuid=uuid, project=uuid, name=name, wanted=wanted)
    try:
        project = tx.add(project)
    except Duplicate as error:
        raise Duplicate(f"The project '{name}' exists already.", noun="project", ident=name) from error
    tx.add_journal_line(caller, project, "project.create", outcome="done")
    _default_network(caller, core, tx, project)
    return project


def _default_network(caller: Caller, core: Core, tx: Writer, project: Project) -> None:
    router = tx.add(
        Router(
            uuid=new_uuid(),
            project=project.uuid,
            name="default",
            wanted=RouterWanted(cidr=core.place.vpc_cidr, default=True),
        )
    )
    network = tx.add(
        Network(uuid=new_uuid(), project=project.uuid, name="default", wanted=NetworkWanted(router=router.uuid))
    )
    subnet = tx.add(
        Subnet(
            uuid=new_uuid(),
            project=project.uuid,
            name="default",
            wanted=SubnetWanted(network=network.uuid, cidr=core.place.subnet_cidr, zone=core.place.zone, default=True),
        )
    )
    group = securitygroup.default(tx, project.uuid, router.uuid)
    for noun in (router, network, subnet, group):
        tx.add_journal_line(caller, noun, f"{noun.KIND}.create", outcome="done" if noun is subnet else "open")
        if noun is not subnet:
            tx.wake(noun)


def listing(caller: Caller, core: Core) -> list[Project]:
    """The caller's project; every one for an admin."""
    with core.store.read() as tx:
        projects = tx.list(Project)
    return [project for project in projects if caller.admin or project.uuid == caller.project]
