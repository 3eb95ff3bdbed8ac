"""Looking at instances: one's own alone, in the order of their making, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.loops import runner
from pileus.model.errors import InvalidValue, NotFound
from pileus.model.image import Wanted as ImageWanted
from pileus.model.spec import InstanceSpec
from pileus.verbs import image, keypair, network, securitygroup
from pileus.verbs.instance import power, view
from pileus.verbs.instance.launch import Launch
from tests.statements import executed

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from tests.site import Site


def test_a_view_has_all_that_is_shown(site: Site, ann: Caller, tiny: Image) -> None:
    row = site.launch(ann, Launch(image=tiny.uuid))[0]
    (shown,), after = view.listing(ann, site.core)
    assert after is None
    assert (shown.instance.uuid, shown.flavor.name, shown.project.name) == (row.uuid, "m1.small", "blue")
    assert shown.image is not None
    assert shown.image.ec2_id == tiny.ec2_id
    (nic,), (volume,) = shown.nics, shown.volumes
    assert (nic.port.assigned.address, [group.name for group in nic.groups]) == ("172.31.0.4", ["default"])
    assert volume.wanted.size == 4
    assert view.launched(ann, site.core, [row.uuid]) == [shown]


def test_what_ended_is_shown_without_what_it_held(site: Site, ann: Caller, tiny: Image) -> None:
    row = site.launch(ann, Launch(image=tiny.uuid))[0]
    site.settle()
    power.terminate(ann, site.core, [row.uuid])
    site.settle()
    for ids in ((), (row.uuid,)):
        (shown,), _ = view.listing(ann, site.core, ids)
        assert (shown.state, shown.nics, shown.volumes) == ("terminated", (), ())


def test_the_login_user_outlives_the_image(site: Site, ann: Caller) -> None:
    """The image is deregistered and, a day later, forgotten: it is still known who logs in, to the guest as well."""
    about = ImageWanted(digest="1" * 64, size=1, virtual_size=1, login_user="admin")
    image_row = image.register(ann, site.core, "debian", about)
    row = site.launch(ann, Launch(image=image_row.uuid))[0]
    site.settle()
    image.deregister(ann, site.core, image_row.uuid)
    site.settle()
    site.now += 25 * 3600
    for name in site.agents:
        site.hear(name)
    runner.resync(site.core)
    site.settle()
    (shown,), _ = view.listing(ann, site.core)
    assert (shown.image, shown.login_user) == (None, "admin")
    spec = site.agents["h1"].book.entries[row.uuid].spec
    assert isinstance(spec, InstanceSpec)
    assert spec.login_user == "admin"


def test_pages_hold_everything_once(site: Site, ann: Caller, tiny: Image) -> None:
    site.launch(ann, Launch(image=tiny.uuid, flavor="m1.tiny", least=11, most=11))
    other = site.caller("green")
    site.launch(other, Launch(image=tiny.uuid))
    whole = [shown.instance.uuid for shown in view.listing(ann, site.core)[0]]
    assert len(whole) == 11
    for size in (1, 3, 5, 11, 12):
        for keep in (None, lambda shown: shown.instance.wanted.launch_index % 2 == 0):
            uuids: list[str] = []
            after: str | None = ""
            while after is not None:
                page, after = view.listing(ann, site.core, keep=keep, after=after, limit=size)
                assert len(page) <= size
                uuids += [shown.instance.uuid for shown in page]
            assert uuids == whole[:: 2 if keep else 1]


@pytest.mark.parametrize("token", ["x", "cGlsZXVz", "cGlsZXVzL3g=", "ä"])
def test_a_made_up_token_is_refused(site: Site, ann: Caller, token: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        view.listing(ann, site.core, after=token)
    assert caught.value.reason == "pagination-token"


def test_the_number_of_statements_does_not_depend_on_the_number_of_instances(
    site: Site, ann: Caller, tiny: Image
) -> None:
    seen = set()
    for _ in range(3):
        site.launch(ann, Launch(image=tiny.uuid, flavor="m1.tiny", least=5, most=5))
        view.listing(ann, site.core)  # what changed seldom is kept from here on
        with executed(site.store) as statements:
            view.listing(ann, site.core)
        seen.add(len(statements))
    assert len(seen) == 1
    assert seen != {0}


def test_two_projects_see_nothing_of_each_other(site: Site, ann: Caller, tiny: Image) -> None:
    bob = site.caller("green")
    row = site.launch(ann, Launch(image=tiny.uuid))[0]
    key, _ = keypair.create(ann, site.core, "mine")
    private = site.image(ann, "private")
    assert view.listing(bob, site.core) == ([], None)
    assert view.launched(bob, site.core, [row.uuid]) == []
    assert [shown_image.name for shown_image in image.listing(bob, site.core)] == ["tiny"]
    assert keypair.listing(bob, site.core) == []
    ours = {noun.uuid for noun in (*network.routers(ann, site.core), *network.networks(ann, site.core))}
    theirs = {noun.uuid for noun in (*network.routers(bob, site.core), *network.networks(bob, site.core))}
    assert len(ours) == len(theirs) == 2
    assert not ours & theirs
    for attempt in (
        lambda: view.listing(bob, site.core, [row.uuid]),
        lambda: image.listing(bob, site.core, [private.uuid]),
        lambda: image.deregister(bob, site.core, private.uuid),
        lambda: image.deregister(bob, site.core, tiny.uuid),
        lambda: keypair.listing(bob, site.core, uuids=[key.uuid]),
        lambda: keypair.delete(bob, site.core, key.uuid),
        lambda: network.routers(bob, site.core, [network.routers(ann, site.core)[0].uuid]),
        lambda: network.subnets(bob, site.core, [network.subnets(ann, site.core)[0].subnet.uuid]),
    ):
        with pytest.raises(NotFound):
            attempt()
    assert keypair.listing(ann, site.core) == [key]
    assert {group.project for group in securitygroup.listing(bob, site.core)} == {bob.project}


def test_subnets_tell_how_many_addresses_are_free(site: Site, ann: Caller, tiny: Image) -> None:
    before = network.subnets(ann, site.core)[0].free
    row = site.launch(ann, Launch(image=tiny.uuid))[0]
    assert network.subnets(ann, site.core)[0].free == before - 1
    power.terminate(ann, site.core, [row.uuid])
    assert network.subnets(ann, site.core)[0].free == before - 1
    site.settle()
    assert network.subnets(ann, site.core)[0].free == before
