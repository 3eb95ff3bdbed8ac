"""Launching writes everything or nothing, counts right, and happens once for one token."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from pileus.faces.rest import documents
from pileus.loops import resolve
from pileus.model.caller import Caller
from pileus.model.errors import (
    DryRun,
    Duplicate,
    InvalidValue,
    NoCapacity,
    NotFound,
    PileusError,
    QuotaExceeded,
    TokenReused,
    Unavailable,
    Unsupported,
)
from pileus.model.host import LOST_AFTER, Capacity
from pileus.model.image import Image
from pileus.model.injection import InjectedFile
from pileus.model.instance import Instance, State, state
from pileus.model.port import Port
from pileus.model.volume import Volume
from pileus.rules import recount
from pileus.rules.core import Place
from pileus.rules.instance.place import DEAF
from pileus.verbs import keypair, network, securitygroup
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch, LaunchDisk, launch
from tests.site import Site

Everything = dict[str, Any]


def everything(site: Site) -> Everything:
    """All that a launch may write."""
    with site.store.read() as tx:
        rows = {cls.KIND: [row.uuid for row in tx.list(cls, dead=True)] for cls in (Instance, Port, Volume)}
        return {
            **rows,
            "claims": sorted(tx.claims()),
            "usage": tx.usage(),
            "journal": len(tx.journal(limit=None)),
            "due": tx.next_due(),
            "meta": [tx.meta("loopback"), tx.meta("counter")],
        }


def well(site: Site) -> None:
    with site.store.read() as tx:
        assert recount.differences(tx) == []


def test_one_instance_is_written_whole(site: Site, ann: Caller, tiny: Image) -> None:
    request = Launch(image=tiny.uuid, name="web", tags={"k": "v"}, port_tags={"p": "q"}, volume_tags={"d": "e"})
    row = site.launch(ann, request)[0]
    assert (row.name, row.tags, row.project, state(row)) == (
        "web",
        {"k": "v", "Name": "web"},
        ann.project,
        State.PENDING,
    )
    assert row.assigned.host == "h1"
    assert row.assigned.loopback == "127.77.0.1"
    with site.store.read() as tx:
        (port,), (volume,) = tx.referring(Port, [row.uuid]), tx.referring(Volume, [row.uuid])
        assert (port.assigned.address, port.tags, volume.tags) == ("172.31.0.4", {"p": "q"}, {"d": "e"})
        assert row.wanted.hostname == "ip-172-31-0-4"
        assert (volume.wanted.size, volume.wanted.digest) == (4, "0" * 64)
        assert tx.usage(f"project:{ann.project}")[f"project:{ann.project}", "memory"] == 512
        assert [(e.verb, e.goal, e.outcome, e.user) for e in tx.journal(row.uuid)] == [
            ("instance.launch", 1, "open", "blue"),
        ]
        assert tx.due("instance", row.uuid) == tx.due("port", port.uuid) == site.now
    well(site)


def test_many_are_in_launch_order_and_share_a_reservation(site: Site, ann: Caller, tiny: Image) -> None:
    rows = site.launch(ann, Launch(image=tiny.uuid, flavor="m1.tiny", least=7, most=7))
    assert [row.wanted.launch_index for row in rows] == list(range(7))
    assert len({row.wanted.reservation for row in rows}) == 1
    assert len({row.assigned.loopback for row in rows}) == 7
    with site.store.read() as tx:
        ports = tx.referring(Port, [row.uuid for row in rows])
    assert len({port.assigned.address for port in ports}) == len({port.assigned.mac for port in ports}) == 7
    well(site)


@pytest.mark.parametrize(("least", "most", "expected"), [(1, 9, 3), (3, 3, 3), (2, 4, 3), (1, 1, 1)])
def test_as_many_as_the_quota_leaves(site: Site, least: int, most: int, expected: int) -> None:
    ann = site.caller("green", {"instances": 3, "vcpus": 4, "memory": 4096})
    tiny = site.image(ann)
    assert len(site.launch(ann, Launch(image=tiny.uuid, least=least, most=most))) == expected
    well(site)


@pytest.mark.parametrize("resource", ["instances", "vcpus", "memory", "disk"])
def test_a_quota_that_leaves_too_few_leaves_nothing(site: Site, resource: str) -> None:
    quota = {"instances": 2, "vcpus": 2, "memory": 1024, "disk": 8}
    ann = site.caller("green", {resource: quota[resource]})
    tiny = site.image(ann)
    before = everything(site)
    with pytest.raises(QuotaExceeded) as caught:
        launch(ann, site.core, Launch(image=tiny.uuid, least=3, most=4))
    assert caught.value.reason == resource
    assert everything(site) == before
    site.launch(ann, Launch(image=tiny.uuid, least=2, most=2))
    well(site)


def test_what_ended_gives_its_quota_back_when_it_is_gone(site: Site) -> None:
    ann = site.caller("green", {"instances": 1})
    tiny = site.image(ann)
    row = site.launch(ann, Launch(image=tiny.uuid))[0]
    site.settle()
    power.terminate(ann, site.core, [row.uuid])
    with pytest.raises(QuotaExceeded):
        launch(ann, site.core, Launch(image=tiny.uuid))
    site.settle()
    assert site.row(row.uuid).gone is not None
    assert site.launch(ann, Launch(image=tiny.uuid))
    well(site)


def test_hosts_are_filled_and_not_overfilled(site: Site, ann: Caller, tiny: Image) -> None:
    site.agents.clear()
    site.plain_host("h1", 99, capacity=Capacity(memory=1024))
    site.plain_host("h2", capacity=Capacity(memory=512, vcpus=4))
    rows = site.launch(ann, Launch(image=tiny.uuid, least=1, most=9))
    assert sorted(row.assigned.host or "" for row in rows) == ["h1", "h1", "h2"]
    before = everything(site)
    with pytest.raises(NoCapacity):
        launch(ann, site.core, Launch(image=tiny.uuid))
    assert everything(site) == {**before, "journal": before["journal"] + 1}
    well(site)


def test_hosts_that_cannot_are_not_chosen(site: Site, ann: Caller, tiny: Image) -> None:
    site.now += DEAF
    for _ in range(2):
        with pytest.raises(Unavailable, match="reported lately") as caught:
            launch(ann, site.core, Launch(image=tiny.uuid))
        assert "h1" not in caught.value.message
    with site.store.read() as tx:
        (line,) = (line for line in tx.journal(ann.project) if line.outcome == "failed")
    assert line.detail == "no host can take it: 1 host known, refused 1 by alive. Nearest: h1: not heard of lately"
    site.plain_host("h3", capacity=Capacity(memory=1))
    with pytest.raises(NoCapacity, match="do not have sufficient"):
        launch(ann, site.core, Launch(image=tiny.uuid))
    site.plain_host("h2", zone="elsewhere")
    assert site.launch(ann, Launch(image=tiny.uuid))[0].assigned.host == "h2"


def test_a_cloud_that_hears_no_host_goes_by_what_it_heard_last(site: Site, ann: Caller, tiny: Image) -> None:
    """As without its broker, or just after its database was away."""
    site.now += LOST_AFTER
    site.plain_host("h2")
    site.now += DEAF - 1.0
    rows = site.launch(ann, Launch(image=tiny.uuid, least=3, most=3))
    # The first one was lost before the others were.
    assert {row.assigned.host for row in rows} == {"h2"}
    well(site)


def test_a_full_subnet_gives_what_it_has(site: Site) -> None:
    site.core = replace(site.core, place=Place(subnet_cidr="172.31.0.0/28"))
    ann = site.caller("small", {})
    tiny = site.image(ann)
    request = Launch(image=tiny.uuid, flavor="m1.tiny")
    before = everything(site)
    with pytest.raises(NoCapacity) as caught:
        launch(ann, site.core, msgspec.structs.replace(request, least=12, most=12))
    assert caught.value.reason == "addresses"
    assert everything(site) == before
    assert len(site.launch(ann, msgspec.structs.replace(request, least=1, most=20))) == 11
    with pytest.raises(NoCapacity):
        launch(ann, site.core, request)
    well(site)


def test_a_token_launches_once(site: Site, ann: Caller, tiny: Image) -> None:
    request = Launch(image=tiny.uuid, most=2, token="t")
    first = launch(ann, site.core, request)
    before = everything(site)
    assert launch(ann, site.core, request) == first
    with pytest.raises(TokenReused):
        launch(ann, site.core, msgspec.structs.replace(request, most=3))
    assert everything(site) == before
    other = site.caller("green")
    assert launch(other, site.core, msgspec.structs.replace(request, image=tiny.uuid)) != first
    assert launch(ann, site.core, msgspec.structs.replace(request, token="")) != first
    well(site)


def test_a_token_that_led_to_nothing_may_be_used_again(site: Site) -> None:
    ann = site.caller("green", {"instances": 1})
    tiny = site.image(ann)
    first = site.launch(ann, Launch(image=tiny.uuid))[0]
    site.settle()
    with pytest.raises(QuotaExceeded):
        launch(ann, site.core, Launch(image=tiny.uuid, token="t"))
    power.terminate(ann, site.core, [first.uuid])
    site.settle()
    assert len(launch(ann, site.core, Launch(image=tiny.uuid, token="t"))) == 1


def test_a_token_outlives_an_upgrade_that_adds_a_parameter(site: Site, ann: Caller, tiny: Image) -> None:
    class Later(Launch, frozen=True, kw_only=True):
        colour: str = "grey"

    first = launch(ann, site.core, Launch(image=tiny.uuid, token="t"))
    assert launch(ann, site.core, Later(image=tiny.uuid, token="t")) == first
    with pytest.raises(TokenReused):
        launch(ann, site.core, Later(image=tiny.uuid, token="t", colour="red"))


def test_a_token_outlives_its_instances(site: Site, ann: Caller, tiny: Image) -> None:
    request = Launch(image=tiny.uuid, token="t")
    row = site.launch(ann, request)[0]
    site.settle()
    power.terminate(ann, site.core, [row.uuid])
    site.settle()
    assert launch(ann, site.core, request) == [row.uuid]


def test_a_dry_run_writes_nothing(site: Site, ann: Caller, tiny: Image) -> None:
    before = everything(site)
    with pytest.raises(DryRun):
        launch(ann, site.core, Launch(image=tiny.uuid, token="t", dry_run=True))
    with pytest.raises(NotFound):
        launch(ann, site.core, Launch(image="none", dry_run=True))
    assert everything(site) == before


BAD: list[tuple[dict[str, Any], type[PileusError], str]] = [
    ({"least": 0}, InvalidValue, "least"),
    ({"least": 2, "most": 1}, InvalidValue, "least"),
    ({"least": 1, "most": 1001}, InvalidValue, "most"),
    ({"flavor": "m9.huge"}, InvalidValue, "flavor"),
    ({"image": "ami-00000000000000000"}, NotFound, ""),
    ({"image": "nothing of this name"}, NotFound, ""),
    ({"login_user": "-oProxyCommand=x"}, InvalidValue, "login-user"),
    ({"login_user": "a b"}, InvalidValue, "login-user"),
    ({"name": "n" * 257}, InvalidValue, "tag"),
    ({"name": "a\x1b[2J"}, InvalidValue, "tag"),
    ({"keypair": "none"}, NotFound, ""),
    ({"groups": ("web",)}, NotFound, ""),
    ({"subnet": "subnet-00000000000000000"}, NotFound, ""),
    ({"zone": "mars-1a"}, InvalidValue, "zone"),
    ({"address": "10.0.0.1"}, InvalidValue, "address"),
    ({"address": "172.31.0.1"}, InvalidValue, "address"),
    ({"address": "172.31.15.255"}, InvalidValue, "address"),
    ({"address": "not one"}, InvalidValue, "address"),
    ({"address": "172.31.0.9", "most": 2}, InvalidValue, "address-count"),
    ({"user_data": "not base64!"}, InvalidValue, "user-data"),
    ({"user_data": base64.b64encode(bytes(16385)).decode()}, InvalidValue, "user-data-size"),
    ({"token": "x" * 65}, InvalidValue, "token"),
    ({"tags": {"aws:x": "y"}}, InvalidValue, "tag"),
    ({"tags": {"": "y"}}, InvalidValue, "tag"),
    ({"tags": {str(i): "" for i in range(51)}}, QuotaExceeded, "tags"),
    ({"disk": 1}, InvalidValue, "disk"),
    ({"flavor": "m1.tiny"}, InvalidValue, "memory"),
]


@pytest.mark.parametrize(("wrong", "error", "reason"), BAD, ids=lambda value: str(value)[:40])
def test_bad_input_leaves_nothing(
    site: Site, ann: Caller, wrong: dict[str, Any], error: type[PileusError], reason: str
) -> None:
    tiny = site.image(ann, "large", min_disk=2)
    needy = site.image(ann, "needy", min_memory=200)
    image = needy if reason == "memory" else tiny
    before = everything(site)
    with pytest.raises(error) as caught:
        launch(ann, site.core, Launch(**{"image": image.uuid, "token": "t", **wrong}))
    assert caught.value.reason == reason
    assert everything(site) == before


def test_an_address_of_ones_own_choice(site: Site, ann: Caller, tiny: Image) -> None:
    row = site.launch(ann, Launch(image=tiny.uuid, address="172.31.0.77"))[0]
    with site.store.read() as tx:
        assert tx.referring(Port, [row.uuid])[0].assigned.address == "172.31.0.77"
    with pytest.raises(InvalidValue) as caught:
        launch(ann, site.core, Launch(image=tiny.uuid, address="172.31.0.77"))
    assert caught.value.reason == "address-in-use"
    well(site)


def test_two_projects_may_have_the_same_address_and_not_the_same_loopback(site: Site, ann: Caller, tiny: Image) -> None:
    first = site.launch(ann, Launch(image=tiny.uuid))[0]
    second = site.launch(site.caller("green"), Launch(image=tiny.uuid))[0]
    assert first.wanted.hostname == second.wanted.hostname
    assert first.assigned.loopback != second.assigned.loopback


def test_groups_by_uuid_and_by_default(site: Site, ann: Caller, tiny: Image) -> None:
    web = securitygroup.create(ann, site.core, "web", "")
    default = securitygroup.listing(ann, site.core, names=["default"])[0]
    for groups, expected in (
        ((), [default]),
        ((web.uuid, web.uuid), [web]),
        ((default.uuid, web.uuid), [default, web]),
    ):
        row = site.launch(ann, Launch(image=tiny.uuid, groups=groups))[0]
        with site.store.read() as tx:
            assert list(tx.referring(Port, [row.uuid])[0].wanted.groups) == [group.uuid for group in expected]


def test_keys_are_copied_into_the_instance(site: Site, ann: Caller, tiny: Image) -> None:
    key, _ = keypair.create(ann, site.core, "mine")
    row = site.launch(ann, Launch(image=tiny.uuid, keypair=key.uuid, public_keys=("ssh-rsa x",)))[0]
    keypair.delete(ann, site.core, key.uuid)
    assert site.row(row.uuid).wanted.public_keys == (key.wanted.public_key, "ssh-rsa x")


def test_what_is_not_ones_own_is_not_there(site: Site, ann: Caller) -> None:
    private = site.image(ann, "private")
    group = securitygroup.create(ann, site.core, "web", "")
    subnet = network.subnets(ann, site.core)[0].subnet
    bob = site.caller("green")
    own = site.image(bob)
    for wrong in (
        Launch(image=private.uuid),
        Launch(image=own.uuid, groups=(group.uuid,)),
        Launch(image=own.uuid, subnet=subnet.uuid),
    ):
        before = everything(site)
        with pytest.raises(NotFound):
            launch(bob, site.core, wrong)
        assert everything(site) == before


@pytest.mark.parametrize(
    "fields",
    [
        {"public_keys": ("ssh-ed25519 AAAA",) * 17},
        {"public_keys": ("k" * 16385,)},
        {"public_keys": ("k" * 9000, "k" * 9000)},
        {"public_keys": ("one\ntwo",)},
        {"name": "n" * 300},
        {"keypair": "k" * 300},
        {"groups": ("default",) * 1001},
        {"disk": 1 << 80},
        {"login_user": "u" * 300},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_launch_is_bounded_in_every_value(site: Site, ann: Caller, tiny: Image, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        launch(ann, site.core, Launch(image=tiny.uuid, **fields))
    with site.store.read() as tx:
        assert tx.list(Instance) == []
        assert recount.differences(tx) == []


def test_a_name_is_as_long_as_a_tags_value_at_most(site: Site, ann: Caller, tiny: Image) -> None:
    row = site.launch(ann, Launch(image=tiny.uuid, tags={"Name": "n" * 256}))[0]
    assert (row.name, row.tags["Name"]) == ("n" * 255, "n" * 256)


def test_a_password_is_kept_as_a_hash_and_told_nowhere(site: Site, ann: Caller, tiny: Image) -> None:
    file = InjectedFile(path="/etc/motd", content="c2VjcmV0")
    request = Launch(image=tiny.uuid, password="secret word", files=(file,), metadata={"a": "b"}, token="t")
    (uuid,) = launch(ann, site.core, request)
    wanted = site.row(uuid).wanted
    assert wanted.password.startswith("$6$")
    assert (wanted.files, wanted.metadata) == ((file,), {"a": "b"})
    # Not even a digest of it is remembered, so that it can differ.
    assert launch(ann, site.core, msgspec.structs.replace(request, password="another")) == [uuid]
    site.settle()
    row = site.row(uuid)
    with site.store.read() as tx:
        spec = resolve.instance(tx, row, site.core.place)
        assert "secret" not in "".join(line.detail for line in tx.journal(uuid))
    assert (spec.password, spec.files, spec.metadata) == (wanted.password, (file,), {"a": "b"})
    document = documents.document(site.row(uuid))
    assert "password" not in document["wanted"]
    assert "files" not in document["wanted"]
    power.terminate(ann, site.core, [uuid])
    site.settle()
    with site.store.read() as tx:
        (dead,) = tx.many(Instance, [uuid]).values()
    assert (dead.wanted.password, dead.wanted.files) == ("", ())


def test_a_name_is_unique_in_its_pool_alone(site: Site, ann: Caller, tiny: Image) -> None:
    request = Launch(image=tiny.uuid, name="web", name_pool="zone")
    (uuid,) = launch(ann, site.core, request)
    with pytest.raises(Duplicate) as caught:
        launch(ann, site.core, request)
    assert caught.value.ident == "web"
    launch(ann, site.core, Launch(image=tiny.uuid, name="web"))
    launch(ann, site.core, msgspec.structs.replace(request, name_pool="other"))
    stranger = site.caller("green")
    launch(stranger, site.core, msgspec.structs.replace(request, image=site.image(stranger).uuid))
    site.settle()
    power.terminate(ann, site.core, [uuid])
    site.settle()
    launch(ann, site.core, request)
    for wrong in ({"most": 2}, {"name": ""}):
        with pytest.raises(InvalidValue):
            launch(ann, site.core, msgspec.structs.replace(request, **wrong))
    well(site)


def test_further_disks_and_kernel_arguments_are_refused_with_a_word(site: Site, ann: Caller, tiny: Image) -> None:
    for fields in ({"disks": (LaunchDisk(size=1),)}, {"kernel_arguments": "quiet"}):
        with pytest.raises(Unsupported):
            launch(ann, site.core, Launch(image=tiny.uuid, **fields))
