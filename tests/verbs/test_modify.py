"""Changing an instance: all in one transaction, reaching the engine and the host."""

from __future__ import annotations

import pytest

from pileus.model.caller import Caller
from pileus.model.errors import Conflict, InvalidValue, NotFound
from pileus.model.image import Image
from pileus.model.instance import Instance
from pileus.model.port import Port
from pileus.verbs import securitygroup
from pileus.verbs.instance.launch import Launch, launch
from pileus.verbs.instance.modify import Change, modify
from tests.site import Site


@pytest.fixture
def row(site: Site, ann: Caller, tiny: Image) -> Instance:
    """An instance of ann's."""
    (uuid,) = launch(ann, site.core, Launch(image=tiny.ec2_id))
    with site.core.store.read() as tx:
        return tx.need(Instance, uuid)


def port_of(site: Site, row: Instance) -> Port:
    with site.core.store.read() as tx:
        (port,) = tx.referring(Port, [row.uuid])
        return port


def test_other_groups_reach_the_port_and_the_store_knows_who_uses_them(site: Site, ann: Caller, row: Instance) -> None:
    group = securitygroup.create(ann, site.core, "web", "d")
    before = port_of(site, row).generation
    modify(ann, site.core, row.ec2_id, Change(groups=(group.ec2_id,)))
    port = port_of(site, row)
    assert (port.wanted.groups, port.generation) == ((group.uuid,), before + 1)
    with pytest.raises(Conflict):
        securitygroup.delete(ann, site.core, group.ec2_id)


def test_nothing_changes_when_one_part_is_wrong(site: Site, ann: Caller, row: Instance) -> None:
    with pytest.raises(NotFound):
        modify(ann, site.core, row.ec2_id, Change(protected=True, groups=("sg-0123456789abcdef0",)))
    with pytest.raises(InvalidValue):
        modify(ann, site.core, row.ec2_id, Change(groups=()))
    with pytest.raises(Conflict):
        modify(ann, site.core, row.ec2_id, Change(user_data="aGk="))
    with site.core.store.read() as tx:
        assert tx.need(Instance, row.uuid).wanted == row.wanted


def test_another_projects_instance_is_not_there(site: Site, row: Instance) -> None:
    bob = site.caller("red")
    with pytest.raises(NotFound):
        modify(bob, site.core, row.ec2_id, Change(protected=True))
