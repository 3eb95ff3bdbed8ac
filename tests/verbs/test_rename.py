"""Another name for a noun: it reaches the orders, and a unique one is nobody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.model import bounds
from pileus.model.errors import Conflict, Duplicate, Forbidden, InvalidValue, NotFound, Unsupported
from pileus.model.ids import new_uuid
from pileus.model.image import Image
from pileus.model.instance import Instance
from pileus.model.keypair import KeyPair
from pileus.model.network import Network
from pileus.model.nouns import NOUNS
from pileus.model.securitygroup import SecurityGroup
from pileus.model.user import User
from pileus.model.volume import Volume
from pileus.model.volume import Wanted as VolumeWanted
from pileus.verbs import keypair, securitygroup, tag, user, usergroup
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch
from pileus.verbs.rename import rename

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.noun import Noun
    from tests.site import Site

RENAMED = sorted(kind for kind, cls in NOUNS.items() if cls.RENAMED)


@pytest.fixture
def instance(site: Site, ann: Caller, tiny: Image) -> Instance:
    row = site.launch(ann, Launch(image=tiny.uuid, name="old"))[0]
    site.settle()
    return row


def _one(site: Site, ann: Caller, cls: type[Noun]) -> Noun:
    with site.store.read() as tx:
        return next(noun for noun in tx.list(cls, project=ann.project) if not getattr(noun.wanted, "default", False))


def test_an_instances_name_reaches_its_host(site: Site, ann: Caller, instance: Instance) -> None:
    renamed = rename(ann, site.core, Instance, instance.uuid, "new")
    assert (renamed.name, renamed.generation) == ("new", instance.generation + 1)
    site.settle()
    assert site.agents["h1"].specs()[instance.uuid].name == "new"
    with site.store.read() as tx:
        line = tx.journal(instance.uuid)[-1]
    assert (line.verb, line.outcome, line.detail) == ("instance.rename", "done", "new")


def test_people_are_renamed_by_those_who_look_after_them(site: Site, ann: Caller) -> None:
    admin = msgspec.structs.replace(ann, role="admin")
    eve = user.create_without_role(admin, site.core, "eve")
    user.create_without_role(admin, site.core, "bob")
    staff = usergroup.create(admin, site.core, "staff")
    for noun, name in ((eve, "eva"), (staff, "crew")):
        with pytest.raises(Forbidden):
            rename(ann, site.core, type(noun), noun.uuid, name)
        assert rename(admin, site.core, type(noun), noun.uuid, name).name == name
        with pytest.raises(InvalidValue):
            rename(admin, site.core, type(noun), noun.uuid, "a b")
    with pytest.raises(Duplicate, match="bob"):
        rename(admin, site.core, User, eve.uuid, "bob")
    with pytest.raises((NotFound, Forbidden)):
        rename(msgspec.structs.replace(site.caller("red"), role="admin"), site.core, User, eve.uuid, "hers")


@pytest.mark.parametrize(
    "kind", sorted({*RENAMED} - {"image", "router", "securitygroup", "subnet", "user", "usergroup"})
)
def test_nouns_of_each_kind_are_renamed(site: Site, ann: Caller, instance: Instance, kind: str) -> None:
    noun = _one(site, ann, NOUNS[kind])
    assert rename(ann, site.core, NOUNS[kind], noun.uuid, "other").name == "other"
    site.settle()
    assert instance.uuid in site.agents["h1"].specs()
    assert _one(site, ann, NOUNS[kind]).name == "other"


def test_the_same_name_again_is_no_change(site: Site, ann: Caller, instance: Instance) -> None:
    before = site.row(instance.uuid)
    assert rename(ann, site.core, Instance, instance.uuid, "old") == before


def test_a_unique_name_is_nobody_elses(site: Site, ann: Caller) -> None:
    first, second = (securitygroup.create(ann, site.core, name, "d") for name in ("a", "b"))
    with pytest.raises(Duplicate):
        rename(ann, site.core, SecurityGroup, first.uuid, "b")
    assert rename(ann, site.core, SecurityGroup, second.uuid, "c").name == "c"
    assert rename(ann, site.core, SecurityGroup, first.uuid, "b").name == "b"
    assert securitygroup.create(ann, site.core, "a", "d").name == "a"


def test_the_members_of_a_group_read_its_new_name(site: Site, ann: Caller, tiny: Image) -> None:
    group = securitygroup.create(ann, site.core, "a", "d")
    row = site.launch(ann, Launch(image=tiny.uuid, groups=(group.uuid,)))[0]
    site.settle()
    rename(ann, site.core, SecurityGroup, group.uuid, "b")
    site.settle()
    (nic,) = site.agents["h1"].specs()[row.uuid].nics
    assert nic.group_names == ("b",)


def test_the_name_of_a_default_group_stays(site: Site, ann: Caller) -> None:
    with site.store.read() as tx:
        (group,) = [group for group in tx.list(SecurityGroup, project=ann.project) if group.wanted.default]
    with pytest.raises(Conflict):
        rename(ann, site.core, SecurityGroup, group.uuid, "mine")


@pytest.mark.parametrize("name", ["default", "sg-1", "", "größe"])
def test_a_group_is_called_what_a_new_one_may_be(site: Site, ann: Caller, name: str) -> None:
    group = securitygroup.create(ann, site.core, "a", "d")
    with pytest.raises((InvalidValue, Duplicate)):
        rename(ann, site.core, SecurityGroup, group.uuid, name)


@pytest.mark.parametrize("name", ["x" * (bounds.NAME.most + 1), "a\0b"])
def test_a_name_has_bounds(site: Site, ann: Caller, instance: Instance, name: str) -> None:
    with pytest.raises(InvalidValue):
        rename(ann, site.core, Instance, instance.uuid, name)


def test_the_name_of_a_key_pair_stays(site: Site, ann: Caller) -> None:
    key, _ = keypair.create(ann, site.core, "k", "ed25519")
    with pytest.raises(Unsupported):
        rename(ann, site.core, KeyPair, key.uuid, "l")


def test_what_is_anothers_or_gone_is_not_renamed(site: Site, ann: Caller, tiny: Image, instance: Instance) -> None:
    network = _one(site, ann, Network)
    stranger = site.caller("bob")
    for cls, uuid in ((Instance, instance.uuid), (Network, network.uuid), (Instance, new_uuid())):
        with pytest.raises(NotFound):
            rename(stranger, site.core, cls, uuid, "x")
    with pytest.raises(Forbidden):
        rename(stranger, site.core, Image, tiny.uuid, "x")
    power.terminate(ann, site.core, [instance.uuid])
    with pytest.raises(NotFound):
        rename(ann, site.core, Instance, instance.uuid, "x")


def test_the_tag_name_is_the_name_whichever_verb_gives_it(site: Site, ann: Caller, instance: Instance) -> None:
    assert (instance.name, instance.tags) == ("old", {"Name": "old"})
    tag.put(ann, site.core, [("instance", instance.uuid)], {"Name": "web", "k": "v"})
    assert (site.row(instance.uuid).name, site.row(instance.uuid).tags) == ("web", {"Name": "web", "k": "v"})
    rename(ann, site.core, Instance, instance.uuid, "db")
    assert (site.row(instance.uuid).name, site.row(instance.uuid).tags) == ("db", {"Name": "db", "k": "v"})
    site.settle()
    spec = site.agents["h1"].specs()[instance.uuid]
    assert (spec.name, spec.tags) == ("db", {"Name": "db", "k": "v"})
    tag.remove(ann, site.core, [("instance", instance.uuid)], {"Name": None})
    assert (site.row(instance.uuid).name, site.row(instance.uuid).tags) == ("", {"k": "v"})


def test_the_tag_name_of_a_group_is_no_name(site: Site, ann: Caller) -> None:
    group = securitygroup.create(ann, site.core, "web", "of the web servers", None)
    tag.put(ann, site.core, [("securitygroup", group.uuid)], {"Name": "other"})
    with site.store.read() as tx:
        renamed = tx.need(SecurityGroup, group.uuid)
    assert (renamed.name, renamed.tags) == ("web", {"Name": "other"})


NAMES = st.sampled_from(["", "a", "b", "c" * (bounds.NAME.most + 1)])


@given(name=NAMES, tagged=st.none() | NAMES, changes=st.lists(st.tuples(st.booleans(), NAMES), max_size=4))
def test_name_and_tag_never_differ_after_a_change(
    name: str, tagged: str | None, changes: list[tuple[bool, str]]
) -> None:
    tags = {} if tagged is None else {"Name": tagged}
    noun = Volume(
        uuid=new_uuid(), name=name[: bounds.NAME.most], tags=tags, wanted=VolumeWanted(size=1)
    ).with_one_name()
    for by_tag, text in changes:
        change = {"tags": {"Name": text}} if by_tag else {"name": text[: bounds.NAME.most]}
        changed = msgspec.structs.replace(noun, **change).with_one_name(noun)
        if changed.name != noun.name:
            assert changed.name == changed.tags.get("Name", "")[: bounds.NAME.most]
        noun = changed
