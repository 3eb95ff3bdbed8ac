"""An instance that no row knows is taken in as its host's order says, with everything a user can see of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.bus.messages import Ask
from pileus.model.caller import SYSTEM
from pileus.model.credential import Credential
from pileus.model.credential import Wanted as CredentialWanted
from pileus.model.errors import Conflict, InvalidValue, NotFound
from pileus.model.host import Host
from pileus.model.host import Wanted as HostWanted
from pileus.model.ids import new_uuid
from pileus.model.instance import Instance, State, state
from pileus.model.keypair import KeyPair
from pileus.model.network import Network
from pileus.model.port import Port
from pileus.model.record import record
from pileus.model.securitygroup import SecurityGroup
from pileus.model.spec import InstanceSpec
from pileus.model.subnet import Subnet
from pileus.model.user import User
from pileus.model.user import Wanted as UserWanted
from pileus.model.volume import Volume
from pileus.rules import recount
from pileus.store import tables
from pileus.verbs import adopt, keypair, securitygroup, tag
from pileus.verbs.instance import launch, power, view
from pileus.verbs.instance.launch import Launch

if TYPE_CHECKING:
    from pileus.bus.messages import BodyReport
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from pileus.model.noun import Noun
    from pileus.store.writer import Writer
    from tests.site import Site

Held = tuple["InstanceSpec", "BodyReport"]


def erase(tx: Writer, noun: Noun) -> None:
    """Take a row out of the store without a tombstone."""
    tx.make_tombstone(noun)
    table = tables.nouns[noun.KIND]
    tx.sql.execute(table.delete().where(table.c.uuid == noun.uuid))


def forget(site: Site, uuid: str) -> None:
    """Take every row of an instance out of the store, and what they hold, as if it had never been there."""
    with site.store.write() as tx:
        for noun in [*tx.many(Instance, [uuid]).values(), *tx.referring(Port, [uuid]), *tx.referring(Volume, [uuid])]:
            erase(tx, noun)
        recount.set_right(tx)


def held(site: Site, uuid: str) -> Held:
    """What its host says of it."""
    report = site.agents["h1"].answer(Ask(call="x", orders=True))[0]
    assert report.orders is not None
    spec = report.orders[uuid].spec
    assert isinstance(spec, InstanceSpec)
    return spec, report.bodies[uuid]


@pytest.fixture
def row(site: Site, ann: Caller, tiny: Image) -> Instance:
    key, _ = keypair.create(ann, site.core, "laptop")
    group = securitygroup.create(ann, site.core, "web", "the web")
    instance = site.launch(
        ann,
        Launch(
            image=tiny.uuid,
            keypair=key.uuid,
            groups=(group.uuid,),
            tags={"Name": "one"},
            volume_tags={"disk": "yes"},
            port_tags={"nic": "yes"},
            on_shutdown="terminate",
            user_data="aGVsbG8=",
            token="once",
        ),
    )[0]
    site.settle(4)
    return site.row(instance.uuid)


def shown(site: Site, caller: Caller, uuid: str) -> object:
    """All that a user sees of it, without the store's own numbers."""
    shown_instance = view.launched(caller, site.core, [uuid])[0]
    numbers = {"id": 0, "generation": 0, "changed": 0.0, "revision": (0, 0), "seen": None}

    def plain(noun: object) -> object:
        less = dict(numbers)
        if hasattr(getattr(noun, "assigned", None), "content"):
            less["assigned"] = msgspec.structs.replace(noun.assigned, content="")  # type: ignore[attr-defined]
        return msgspec.structs.replace(noun, **less)  # type: ignore[type-var]

    nics = [(plain(nic.port), [plain(group) for group in nic.groups], plain(nic.subnet)) for nic in shown_instance.nics]
    return (
        plain(shown_instance.instance),
        shown_instance.state,
        shown_instance.flavor,
        shown_instance.image,
        nics,
        [plain(v) for v in shown_instance.volumes],
    )


def test_it_comes_back_as_it_was(site: Site, ann: Caller, row: Instance) -> None:
    before = shown(site, ann, row.uuid)
    spec, body = held(site, row.uuid)
    forget(site, row.uuid)
    adopt.adopt(SYSTEM, site.core, spec, "h1", body)
    assert shown(site, ann, row.uuid) == before
    with site.store.read() as tx:
        assert recount.differences(tx) == []
    running = site.agents["h1"].provider.logs[row.uuid][:]  # type: ignore[attr-defined]
    site.settle()
    assert shown(site, ann, row.uuid) == before
    assert site.agents["h1"].provider.logs[row.uuid] == running  # type: ignore[attr-defined]


def test_it_obeys_again(site: Site, ann: Caller, row: Instance) -> None:
    spec, body = held(site, row.uuid)
    forget(site, row.uuid)
    adopt.adopt(SYSTEM, site.core, spec, "h1", body)
    power.stop(ann, site.core, [row.uuid])
    site.settle()
    assert state(site.row(row.uuid)) is State.STOPPED
    tag.put(ann, site.core, [("instance", row.uuid)], {"more": "1"})
    power.terminate(ann, site.core, [row.uuid])
    site.settle()
    assert site.row(row.uuid).gone is not None
    assert site.agents["h1"].provider.bodies == {}  # type: ignore[attr-defined]
    with site.store.read() as tx:
        assert recount.differences(tx) == []


def test_what_is_gone_around_it_comes_with_it(site: Site, ann: Caller, row: Instance) -> None:
    spec, body = held(site, row.uuid)
    forget(site, row.uuid)
    keypair.delete(ann, site.core, keypair.listing(ann, site.core, ["laptop"])[0].uuid)
    with site.store.write() as tx:
        erase(tx, tx.need(SecurityGroup, spec.nics[0].groups[0]))
        recount.set_right(tx)
    adopt.adopt(SYSTEM, site.core, spec, "h1", body)
    assert [group.name for group in securitygroup.listing(ann, site.core)] == ["default", "web"]
    with site.store.read() as tx:
        assert [(key.name, key.wanted.public_key) for key in tx.list(KeyPair)] == [("laptop", spec.public_keys[0])]


def test_what_is_known_or_newer_than_the_store_is_not_adopted(site: Site, ann: Caller, row: Instance) -> None:
    spec, body = held(site, row.uuid)
    with pytest.raises(Conflict, match="known already"):
        adopt.adopt(SYSTEM, site.core, spec, "h1", body)
    forget(site, row.uuid)
    newer = msgspec.structs.replace(spec, revision=(spec.revision[0], spec.revision[1] + 100))
    with pytest.raises(Conflict, match="pileus recover"):
        adopt.adopt(SYSTEM, site.core, newer, "h1", body)
    with pytest.raises(InvalidValue, match="does not say"):
        adopt.adopt(SYSTEM, site.core, msgspec.structs.replace(spec, record=""), "h1", body)


def test_what_another_has_is_not_taken_from_it(site: Site, ann: Caller, tiny: Image, row: Instance) -> None:
    spec, body = held(site, row.uuid)
    forget(site, row.uuid)
    other = launch.launch(ann, site.core, Launch(image=tiny.uuid, address=spec.nics[0].address))[0]
    with pytest.raises(Conflict, match="others have what it holds"):
        adopt.adopt(SYSTEM, site.core, spec, "h1", body)
    with site.store.read() as tx:
        assert tx.get(Instance, row.uuid) is None
        assert tx.referring(Port, [other])[0].assigned.address == spec.nics[0].address
        assert recount.differences(tx) == []


def test_an_instance_of_a_network_that_is_gone_is_not_adopted(site: Site, ann: Caller, row: Instance) -> None:
    spec, body = held(site, row.uuid)
    forget(site, row.uuid)
    with site.store.write() as tx:
        erase(tx, tx.list(Subnet)[0])
        tx.make_tombstone(tx.list(Network)[0])
    with pytest.raises(NotFound, match="network"):
        adopt.adopt(SYSTEM, site.core, spec, "h1", body)
    with site.store.read() as tx:
        assert tx.get(Instance, row.uuid) is None


def test_a_host_is_believed_nothing_but_what_its_records_carry(site: Site, row: Instance) -> None:
    """A host that somebody has taken over names a user, a credential and a host in the record of an order."""
    spec, body = held(site, row.uuid)
    forget(site, row.uuid)
    user = User(uuid=new_uuid(), name="mallory", wanted=UserWanted(admin=True))
    credential = Credential(uuid=new_uuid(), wanted=CredentialWanted(user=user.uuid, type="token", key="0" * 64))
    stranger = Host(uuid=new_uuid(), name="elsewhere", wanted=HostWanted())
    more = json.loads(record([user, credential, stranger]))
    spec = msgspec.structs.replace(spec, record=json.dumps([*json.loads(spec.record), *more]))
    adopt.adopt(SYSTEM, site.core, spec, "h1", body)
    with site.store.read() as tx:
        assert tx.get(Instance, row.uuid) is not None
        assert not tx.many(User, [user.uuid])
        assert not tx.many(Credential, [credential.uuid])
        assert not tx.many(Host, [stranger.uuid])
