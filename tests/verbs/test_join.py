"""Hosts are admitted once by a token, and known by the certificate that they were given last."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from pileus.model.caller import SYSTEM, Caller
from pileus.model.credential import Credential
from pileus.model.errors import Conflict, Forbidden, InvalidValue, Unsupported
from pileus.model.host import Host
from pileus.model.image import Image
from pileus.rules.core import Core
from pileus.rules.credential import Authority
from pileus.verbs import host as verbs
from pileus.verbs import join
from pileus.verbs.instance.launch import Launch
from tests.site import Site


@pytest.fixture
def core(site: Site) -> Core:
    """A core whose cloud hosts may join."""
    place = dataclasses.replace(site.core.place, join="https://127.0.0.1:8774", fingerprint="f" * 64)
    return dataclasses.replace(site.core, place=place)


serials = itertools.count(1)


def issue(name: str) -> tuple[bytes, str]:
    """A certificate with a serial number of its own."""
    return name.encode(), f"{next(serials):x}"


def redeem(core: Core, token: str, name: str = "alpha") -> Host:
    return join.redeem(core, token, name, "", issue)[0]


def test_a_token_is_used_up_by_the_host_that_it_lets_in(core: Core) -> None:
    invitation = join.invite(SYSTEM, core)
    assert invitation.token.endswith("." + "f" * 64)
    host = redeem(core, invitation.token)
    assert host.wanted.zone == core.place.zone
    with pytest.raises(Forbidden) as caught:
        redeem(core, invitation.token, "beta")
    assert caught.value.reason == "token-used"
    with core.store.read() as tx:
        credentials = [row for row in tx.list(Credential, dead=True) if row.wanted.type == "join"]
        assert [host.name for host in tx.list(Host) if host.name == "beta"] == []
    # Nothing that is stored lets anybody in.
    assert invitation.token not in str(credentials)


def test_what_is_refused_uses_nothing_up(core: Core) -> None:
    invitation = join.invite(SYSTEM, core)
    for name in ("", "10.0.0.1", "localhost", "a/b", "x" * 65):
        with pytest.raises(InvalidValue):
            redeem(core, invitation.token, name)
    redeem(core, join.invite(SYSTEM, core).token, "alpha")
    with pytest.raises(Conflict, match="already"):
        redeem(core, invitation.token, "alpha")
    assert redeem(core, invitation.token, "beta").name == "beta"


def test_a_token_ends(site: Site, core: Core) -> None:
    invitation = join.invite(SYSTEM, core, valid=60.0)
    site.now += 60.0
    with pytest.raises(Forbidden) as caught:
        redeem(core, invitation.token)
    assert caught.value.reason == "token-expired"
    for valid in (0.0, -1.0, join.LONGEST + 1):
        with pytest.raises(InvalidValue):
            join.invite(SYSTEM, core, valid=valid)


def test_a_token_is_no_bearer_token_and_none_without_a_listener(site: Site, core: Core) -> None:
    invitation = join.invite(SYSTEM, core)
    assert Authority(core).by_token(invitation.token, "rest") is None
    with pytest.raises(Unsupported, match="PILEUS_INTERNAL"):
        join.invite(SYSTEM, site.core)
    with pytest.raises(Forbidden):
        join.invite(site.caller("green"), core)


def test_only_the_certificate_that_was_given_last_is_good(core: Core) -> None:
    host = redeem(core, join.invite(SYSTEM, core).token)
    (first,) = host.wanted.certificates
    join.renew(core, "alpha", first, issue)
    lost = join.recognize(core, "alpha", first).wanted.certificates[-1]
    # The answer was lost: the old one is renewed once more, and the one that nobody got is good for nothing.
    join.renew(core, "alpha", first, issue)
    second = join.recognize(core, "alpha", first).wanted.certificates[-1]
    assert second != lost
    assert join.recognize(core, "alpha", second).wanted.certificates == (second,)
    for serial in (first, lost, "", "0"):
        with pytest.raises(Forbidden):
            join.recognize(core, "alpha", serial)
        with pytest.raises(Forbidden):
            join.renew(core, "alpha", serial, issue)


def test_a_removed_host_is_nobody_until_it_joins_again(core: Core) -> None:
    host = redeem(core, join.invite(SYSTEM, core).token)
    (serial,) = host.wanted.certificates
    verbs.remove(SYSTEM, core, "alpha")
    with pytest.raises(Forbidden, match=r"'alpha' was removed.*pileus host admit alpha") as caught:
        join.recognize(core, "alpha", serial)
    assert caught.value.reason == "removed"
    with pytest.raises(Forbidden):
        join.renew(core, "alpha", serial, issue)
    again = redeem(core, join.invite(SYSTEM, core).token)
    with pytest.raises(Forbidden):
        join.recognize(core, "alpha", serial)
    assert join.recognize(core, "alpha", again.wanted.certificates[0]).uuid == again.uuid


def test_a_host_that_is_readmitted_is_so_by_the_certificates_that_it_has(site: Site, core: Core) -> None:
    host = redeem(core, join.invite(SYSTEM, core).token)
    (serial,) = host.wanted.certificates
    verbs.set_duty(SYSTEM, core, "alpha", "drained")
    verbs.remove(SYSTEM, core, "alpha")
    site.now += 90 * 24 * 3600.0
    core.store.forget_tombstones()
    verbs.admit(SYSTEM, core, "alpha")
    again = join.recognize(core, "alpha", serial)
    assert (again.wanted.state, again.wanted.gone, again.gone) == ("drained", False, None)
    assert again.uuid != host.uuid
    renewed = join.renew(core, "alpha", serial, issue)
    assert renewed
    # And removed again, it is so for good until somebody says otherwise.
    verbs.remove(SYSTEM, core, "alpha")
    with pytest.raises(Forbidden, match="was removed"):
        join.recognize(core, "alpha", serial)


def test_a_host_may_have_what_its_own_instances_start_from(site: Site, core: Core, ann: Caller, tiny: Image) -> None:
    site.image(ann, "other", digest="1" * 64)
    assert join.objects(core, "h1") == frozenset()
    site.launch(ann, Launch(image=tiny.uuid))
    site.settle()
    assert join.objects(core, "h1") == {"0" * 64}
    assert join.objects(core, "h2") == frozenset()
