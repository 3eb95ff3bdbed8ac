"""What a project owns is counted by the store itself: refused at the limit, and given back with the last of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.model import quota
from pileus.model.errors import InvalidValue, QuotaExceeded
from pileus.model.image import Wanted as ImageWanted
from pileus.model.nouns import NOUNS
from pileus.model.project import UNLIMITED, Project
from pileus.model.securitygroup import Rule
from pileus.rules import recount
from pileus.verbs import credential, image, keypair, securitygroup, user
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch
from tests import nouns

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from tests.site import Site

TAGS = {"k": "v" * 257}


def _rules(site: Site, caller: Caller, number: int) -> list[Rule]:
    group = securitygroup.listing(caller, site.core, names=["default"])[0]
    rule = Rule(id="", protocol="tcp", port_min=number, port_max=number, cidr="0.0.0.0/0")
    return securitygroup.authorize(caller, site.core, [rule], uuid=group.uuid)


def _of(kind: str) -> Callable[[Site, Caller, int], object]:
    return lambda site, caller, number: nouns.MAKE[kind](caller, site.core, f"n{number}", {})


MAKE: dict[str, Callable[[Site, Caller, int], object]] = {
    "images": lambda site, caller, number: image.register(caller, site.core, f"i{number}", ImageWanted(size=1)),
    "imagespace": lambda site, caller, number: image.register(
        caller, site.core, f"i{number}", ImageWanted(size=1 << 30)
    ),
    "rules": _rules,
    **{f"{kind}s": _of(kind) for kind in nouns.MAKE},
}
"""A way to take a little of each resource."""


def used(site: Site, caller: Caller) -> dict[str, int]:
    with site.store.read() as tx:
        return {resource: amount for (_, resource), amount in tx.usage(f"project:{caller.project}").items()}


@pytest.mark.parametrize("resource", MAKE)
def test_a_noun_more_than_the_quota_has_is_refused_and_leaves_nothing(site: Site, resource: str) -> None:
    free = used(site, site.caller("plain")).get(resource, 0)
    caller = site.caller("small", {resource: free + 2})
    for number in range(2):
        MAKE[resource](site, caller, number)
    before = used(site, caller)
    with pytest.raises(QuotaExceeded) as refused:
        MAKE[resource](site, caller, 9)
    assert refused.value.reason == resource
    assert used(site, caller) == before
    assert before[resource] == free + 2
    with site.store.read() as tx:
        assert recount.differences(tx) == []


def test_what_goes_is_given_back(site: Site, ann: Caller, tiny: Image) -> None:
    site.host()
    before = used(site, ann)
    row = site.launch(ann, Launch(image=tiny.uuid, most=1))[0]
    assert used(site, ann)["ports"] == 1
    image_row = image.register(ann, site.core, "i", ImageWanted(size=5 << 30))
    assert used(site, ann)["imagespace"] == before["imagespace"] + 5
    image.deregister(ann, site.core, image_row.uuid)
    key, _ = keypair.create(ann, site.core, "k")
    keypair.delete(ann, site.core, key.uuid)
    site.settle()
    power.terminate(ann, site.core, [row.uuid])
    site.settle()
    assert used(site, ann) == before
    with site.store.read() as tx:
        assert recount.differences(tx) == []


def test_rules_that_are_revoked_are_given_back(site: Site, ann: Caller) -> None:
    before = used(site, ann)
    rule = _rules(site, ann, 22)[0]
    assert used(site, ann)["rules"] == before["rules"] + 1
    (default,) = securitygroup.listing(ann, site.core, names=["default"])
    securitygroup.revoke(ann, site.core, rule_ids=[rule.id], uuid=default.uuid)
    assert used(site, ann) == before


def test_credentials_of_a_project_are_limited(site: Site) -> None:
    admin = site.caller("ops", {}, admin=True)
    account = user.create(admin, site.core, "cyd", limits={"credentials": 2})
    with site.store.read() as tx:
        home = tx.claimed("project", account.project)
    assert home is not None
    cyd = msgspec.structs.replace(admin, user=account.user_id, user_name="cyd", project=home[1], admin=False)
    with pytest.raises(QuotaExceeded):
        credential.create(cyd, site.core)
    credential.revoke(cyd, site.core, account.token)
    credential.create(cyd, site.core)


def nothing(_digest: str) -> None:
    """No bytes are kept."""


def test_bytes_of_deleted_images_that_disks_need_take_room(site: Site) -> None:
    """Else each instance could keep the bytes of one more image, with the quota never reached."""
    caller = site.caller("small", {**quota.DEFAULTS, "imagespace": 3})
    mine, others = "a" * 64, "b" * 64
    for digest in (mine, others):
        image_row = site.image(caller, digest[:3], digest=digest)
        site.launch(caller, Launch(image=image_row.uuid, flavor="m1.tiny"))
        image.deregister(caller, site.core, image_row.uuid)
    stored_sizes = {mine: 2 << 30}
    assert image.room(caller, site.core, stored_sizes.get) == 1 << 30
    stored_sizes[mine] += 1
    with pytest.raises(QuotaExceeded, match="3 GiB are of deleted images"):
        image.room(caller, site.core, stored_sizes.get)
    site.image(caller, "again", digest=mine, size=1)
    assert image.room(caller, site.core, stored_sizes.get) == 2 << 30


def test_an_image_of_more_bytes_than_the_quota_has_is_not_taken_in(site: Site) -> None:
    caller = site.caller("small", {"imagespace": 3, "images": 2})
    assert image.room(caller, site.core, nothing) == 3 << 30
    image.register(caller, site.core, "i", ImageWanted(size=2 << 30))
    assert image.room(caller, site.core, nothing) == 1 << 30
    image.register(caller, site.core, "j", ImageWanted(size=1))
    with pytest.raises(QuotaExceeded):
        image.room(caller, site.core, nothing)


def test_a_quota_without_limits_and_an_unlimited_resource(site: Site) -> None:
    assert image.room(site.caller("any", {}), site.core, nothing) is None
    caller = site.caller("some", {"keypairs": UNLIMITED})
    with site.store.read() as tx:
        project = tx.need(Project, caller.project)
    assert quota.limit(project, "keypairs") is None
    assert quota.limit(project, "images") == quota.DEFAULTS["images"]


def test_every_noun_of_a_project_has_a_default_limit() -> None:
    limited_kinds = {kind for kind, cls in NOUNS.items() if cls.QUOTA}
    assert {f"{kind}s" for kind in limited_kinds} <= quota.DEFAULTS.keys()
    assert limited_kinds == nouns.MAKE.keys() | nouns.OTHERWISE, "a noun is missing in tests/nouns.py"


@pytest.mark.parametrize("kind", sorted(kind for kind in nouns.MAKE if NOUNS[kind].TAGGED))
def test_a_tag_that_is_too_long_makes_nothing(site: Site, ann: Caller, kind: str) -> None:
    before = used(site, ann)
    with pytest.raises(InvalidValue, match="Tag value exceeds"):
        nouns.MAKE[kind](ann, site.core, "n", TAGS)
    assert used(site, ann) == before


def test_a_description_that_is_too_long_makes_nothing(site: Site, ann: Caller) -> None:
    with pytest.raises(InvalidValue, match="description"):
        securitygroup.create(ann, site.core, "s", "d" * 256)
    rule = Rule(id="", cidr="10.0.0.0/8", description="d" * 256)
    (default,) = securitygroup.listing(ann, site.core, names=["default"])
    with pytest.raises(InvalidValue, match="description"):
        securitygroup.authorize(ann, site.core, [rule], default.uuid)
