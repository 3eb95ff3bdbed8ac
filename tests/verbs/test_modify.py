"""Changing an instance: all in one transaction, reaching the engine and the host."""

from __future__ import annotations

import pytest

from pileus.loops import engine
from pileus.model.caller import Caller
from pileus.model.errors import Conflict, InvalidValue, NoCapacity, NotFound, QuotaExceeded
from pileus.model.host import Capacity, ProviderLimits
from pileus.model.ids import new_uuid
from pileus.model.image import Image
from pileus.model.instance import Instance
from pileus.model.port import Port
from pileus.model.spec import InstanceSpec, PortSpec, content_digest
from pileus.rules import recount
from pileus.verbs import securitygroup
from pileus.verbs.instance.launch import Launch, launch
from pileus.verbs.instance.modify import Change, modify
from pileus.verbs.instance.power import start, stop
from tests.site import Site


@pytest.fixture
def row(site: Site, ann: Caller, tiny: Image) -> Instance:
    """An instance of ann's."""
    (uuid,) = launch(ann, site.core, Launch(image=tiny.uuid))
    with site.core.store.read() as tx:
        return tx.need(Instance, uuid)


def port_of(site: Site, row: Instance) -> Port:
    with site.core.store.read() as tx:
        (port,) = tx.referring(Port, [row.uuid])
        return port


def test_other_groups_reach_the_port_and_the_store_knows_who_uses_them(site: Site, ann: Caller, row: Instance) -> None:
    group = securitygroup.create(ann, site.core, "web", "d")
    before = port_of(site, row).generation
    modify(ann, site.core, row.uuid, Change(groups=(group.uuid,)))
    port = port_of(site, row)
    assert (port.wanted.groups, port.generation) == ((group.uuid,), before + 1)
    with pytest.raises(Conflict):
        securitygroup.delete(ann, site.core, group.uuid)


def test_nothing_changes_when_one_part_is_wrong(site: Site, ann: Caller, row: Instance) -> None:
    with pytest.raises(NotFound):
        modify(ann, site.core, row.uuid, Change(protected=True, groups=(new_uuid(),)))
    with pytest.raises(InvalidValue):
        modify(ann, site.core, row.uuid, Change(groups=()))
    with pytest.raises(Conflict):
        modify(ann, site.core, row.uuid, Change(user_data="aGk="))
    with site.core.store.read() as tx:
        assert tx.need(Instance, row.uuid).wanted == row.wanted


def test_another_projects_instance_is_not_there(site: Site, row: Instance) -> None:
    bob = site.caller("red")
    with pytest.raises(NotFound):
        modify(bob, site.core, row.uuid, Change(protected=True))


def usage(site: Site, scope: str) -> tuple[int, int]:
    """Processors and memory in use of a scope."""
    with site.store.read() as tx:
        used = tx.usage()
    return used.get((scope, "vcpus"), 0), used.get((scope, "memory"), 0)


def test_a_stopped_machine_gets_another_size_on_its_host_and_in_its_quota(
    site: Site, ann: Caller, row: Instance
) -> None:
    with pytest.raises(Conflict, match="stop it"):
        modify(ann, site.core, row.uuid, Change(flavor="m1.large"))
    stop(ann, site.core, [row.uuid])
    site.settle()
    changed = modify(ann, site.core, row.uuid, Change(flavor="m1.large"))
    assert usage(site, "host:h1") == usage(site, f"project:{row.project}") == (2, 2048)
    start(ann, site.core, [row.uuid])
    site.settle()
    spec = site.agents["h1"].book.entries[row.uuid].spec
    assert isinstance(spec, InstanceSpec)
    assert (spec.flavor, spec.vcpus, spec.memory) == ("m1.large", 2, 2048)
    assert spec.allowance.packets == 200_000
    assert changed.uuid == row.uuid
    with site.store.read() as tx:
        (port,) = tx.referring(Port, [row.uuid])
        order = engine.KINDS[Port.KIND].spec(tx, port, site.core.place)
    assert isinstance(order, PortSpec)
    assert order.bandwidth == 2000
    assert port.assigned.content == content_digest(order), "the engine was told"
    with site.store.read() as tx:
        assert recount.differences(tx) == []


def test_a_container_gets_another_size_while_it_runs(site: Site, ann: Caller) -> None:
    site.agents["h1"].provider.limits = ProviderLimits(kinds=("machine", "container"))  # type: ignore[misc]
    site.hear("h1")
    image = site.image(ann, "box", format="tar", kind="container")
    (row,) = site.launch(ann, Launch(image=image.uuid, flavor="light"))
    site.settle()
    modify(ann, site.core, row.uuid, Change(flavor="vswap-512m"))
    site.settle()
    spec = site.agents["h1"].book.entries[row.uuid].spec
    assert isinstance(spec, InstanceSpec)
    assert (spec.machine, spec.memory, site.row(row.uuid).seen.running) == ("container", 512, True)


@pytest.mark.parametrize(("where", "refusal"), [("host", NoCapacity), ("project", QuotaExceeded)])
def test_where_there_is_no_room_nothing_changes(site: Site, where: str, refusal: type[Exception]) -> None:
    cay = site.caller("small", {"vcpus": 1} if where == "project" else None)
    (row,) = site.launch(cay, Launch(image=site.image(cay).uuid))
    site.settle()
    stop(cay, site.core, [row.uuid])
    site.settle()
    if where == "host":
        site.plain_host("h1", sequence=1000, capacity=Capacity(vcpus=1, memory=4096, disk=100))
    before = usage(site, "host:h1"), usage(site, f"project:{row.project}")
    with pytest.raises(refusal):
        modify(cay, site.core, row.uuid, Change(flavor="m1.large"))
    assert (usage(site, "host:h1"), usage(site, f"project:{row.project}")) == before
    assert site.row(row.uuid).wanted.flavor == row.wanted.flavor
