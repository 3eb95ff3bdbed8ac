"""Projects: made with the network that their first instance lands on."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pileus.model import quota
from pileus.model.errors import Duplicate, InvalidValue, NotFound
from pileus.model.ids import new_account, new_uuid
from pileus.model.network import Network
from pileus.model.network import Wanted as NetworkWanted
from pileus.model.project import Project, Wanted
from pileus.model.router import Router
from pileus.model.router import Wanted as RouterWanted
from pileus.model.subnet import Subnet
from pileus.model.subnet import Wanted as SubnetWanted
from pileus.verbs import securitygroup

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.model.caller import Caller
    from pileus.store.writer import Writer
    from pileus.verbs.core import Core


def ensure(caller: Caller, core: Core, name: str, limits: Mapping[str, int] | None = None) -> Project:
    """The project of this name, made with its default router, network, subnet and group if there is none yet."""
    with core.store.write() as tx:
        return ensure_in(caller, core, tx, name, quota.DEFAULTS if limits is None else limits)


def ensure_in(caller: Caller, core: Core, tx: Writer, name: str, limits: Mapping[str, int]) -> Project:
    """The same as a part of another verb's transaction."""
    holder = tx.claimed("project", name)
    return tx.need(Project, holder[1]) if holder else _create(caller, core, tx, name, limits)


def remake(caller: Caller, tx: Writer, name: str) -> Project:
    """The project of this name; made anew with its ids and without limits if its row is damaged. Raises NotFound."""
    holder = tx.claimed("project", name)
    if holder is None:
        raise NotFound(f"The project '{name}' does not exist.", noun="project", ident=name)
    uuid = holder[1]
    project = tx.get(Project, uuid)
    if project is not None:
        return project
    account = next(value for pool, value, _ in tx.claims(uuid=uuid) if pool == "account")
    project = tx.add(Project(uuid=uuid, project=uuid, name=name, wanted=_wanted(uuid, account, {})))
    tx.record(caller, project, "project.remake", outcome="done")
    return project


def _wanted(uuid: str, account: str, limits: Mapping[str, int]) -> Wanted:
    canonical = hashlib.sha256(uuid.encode()).hexdigest()
    return Wanted(account_id=account, canonical_id=canonical, quota=dict(limits))


def _create(caller: Caller, core: Core, tx: Writer, name: str, limits: Mapping[str, int]) -> Project:
    if not name or len(name) > 64 or not all(c.isalnum() or c in "-_." for c in name):
        raise InvalidValue(f"'{name}' is no project name: letters, digits, - _ . only, at most 64.", ident=name)
    uuid = new_uuid()
    wanted = _wanted(uuid, new_account(), limits)
    project = Project(uuid=uuid, project=uuid, name=name, wanted=wanted)
    try:
        project = tx.add(project)
    except Duplicate as error:
        raise Duplicate(f"The project '{name}' exists already.", noun="project", ident=name) from error
    tx.record(caller, project, "project.create", outcome="done")
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
        tx.record(caller, noun, f"{noun.KIND}.create", outcome="done" if noun is subnet else "open")
        if noun is not subnet:
            tx.wake(noun)


def listing(caller: Caller, core: Core) -> list[Project]:
    """The caller's project; every one for an admin."""
    with core.store.read() as tx:
        projects = tx.list(Project)
    return [project for project in projects if caller.admin or project.uuid == caller.project]
