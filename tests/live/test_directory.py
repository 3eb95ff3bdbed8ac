"""Users of a real LDAP directory: their first logins, their groups' roles, their end, and a directory that is down."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest

from pileus.app import ldap
from pileus.app.certificates import authority as make_authority
from pileus.app.ldap import LdapDirectory
from pileus.app.settings import Settings
from pileus.model.caller import SYSTEM, Caller
from pileus.model.errors import Conflict, Forbidden, NotFound, Throttled, Unavailable, Unsupported
from pileus.model.user import User
from pileus.rules.credential import Authority
from pileus.verbs import credential, directory, token, user
from pileus.verbs.directory import DirectoryPasswords
from tests.services.slapd import BASE, Slapd
from tests.site import Site, site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pileus.rules.core import Core

__all__ = ["site"]

pytestmark = [
    pytest.mark.cost(5),
    # ldap3 leaves the socket of a handshake that failed to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SECRET = "correct horse"
ROLES = "ops=admin:administrator,devs=shop:member,leads=shop:admin,watchers=shop:reader,watchers=depot:reader"


@pytest.fixture(scope="module")
def server() -> Iterator[Slapd]:
    """A directory with five users and three groups."""
    slapd = Slapd()
    ann, bob, cat, dan = (slapd.user(name, SECRET) for name in ("ann", "bob", "cat", "dan"))
    slapd.user("eve", SECRET)
    slapd.group("devs", ann, bob)
    slapd.group("leads", bob)
    slapd.group("ops", cat)
    slapd.group("watchers", ann, dan)
    yield slapd
    slapd.remove()


def core_with(site: Site, server: Slapd, **more: Any) -> Core:
    """The site's core with the directory."""
    settings = Settings(**{**server.settings(), "ldap_roles": ROLES, **more})
    return dataclasses.replace(site.core, passwords=DirectoryPasswords(LdapDirectory(settings)))


def login(core: Core, name: str, password: str = SECRET, project: str = "") -> Caller | None:
    """The caller by a password."""
    return Authority(core).by_password(name, password, "rest", project)


def row(core: Core, name: str) -> User:
    """A user's row."""
    with core.store.read() as tx:
        user = tx.named(User, name)
    assert user is not None
    return user


def test_a_first_login_makes_the_user_with_the_roles_of_its_groups(site: Site, server: Slapd) -> None:
    core = core_with(site, server)
    ann = login(core, "ann")
    assert ann is not None
    assert (ann.user_name, ann.project_name, ann.role, ann.admin) == ("ann", "shop", "member", False)
    depot = login(core, "ann", project="depot")
    assert depot is not None
    assert depot.role == "reader"
    bob, cat = login(core, "bob"), login(core, "cat")
    assert bob is not None
    assert cat is not None
    assert (bob.role, cat.admin, cat.project_name) == ("admin", True, "admin")
    again = login(core, "ANN")
    assert again is not None
    assert again.user == ann.user
    assert row(core, "ann").generation == 1
    with pytest.raises(NotFound):
        login(core, "bob", project="depot")


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ann", "wrong"),
        ("ann", ""),
        ("nobody", SECRET),
        ("*", SECRET),
        ("ann)(uid=*", SECRET),
        ("", SECRET),
        ("a\x00nn", SECRET),
        (f"ann,ou=Users,{BASE}", SECRET),
        ("ann", "x" * 5000),
    ],
)
def test_what_the_directory_does_not_prove_opens_nothing(site: Site, server: Slapd, name: str, password: str) -> None:
    core = core_with(site, server)
    assert login(core, name, password) is None
    with core.store.read() as tx:
        assert tx.list(User) == []


def test_a_user_without_a_group_of_a_role_is_refused(site: Site, server: Slapd) -> None:
    with pytest.raises(Forbidden, match="no group that has a role"):
        login(core_with(site, server), "eve")


def test_a_user_of_the_clouds_own_is_proven_by_its_own_password(site: Site, server: Slapd) -> None:
    core = core_with(site, server)
    own = user.create(SYSTEM, core, "ann")
    assert login(core, "ann") is None
    with pytest.raises(Forbidden, match="of this cloud's own"):
        login(core, "Ann")
    caller = login(core, "ann", own.password)
    assert caller is not None
    report = directory.sync(SYSTEM, core)
    assert [skipped.name for skipped in report.skipped] == ["ann", "eve"]


def test_groups_are_read_anew_at_each_login(site: Site, server: Slapd) -> None:
    core = core_with(site, server)
    zoe = server.user("zoe", SECRET)
    chiefs = server.group("chiefs", zoe)
    core = core_with(site, server, ldap_roles=f"chiefs=hall:administrator,{ROLES}")
    caller = login(core, "zoe")
    assert caller is not None
    assert caller.admin
    issued = token.create(caller, core)
    server.delete(chiefs)
    server.modify(f"dn: cn=devs,ou=Groups,{BASE}\nchangetype: modify\nadd: member\nmember: {zoe}\n")
    caller = login(core, "zoe", project="shop")
    assert caller is not None
    assert (caller.role, caller.admin) == ("member", False)
    assert Authority(core).by_token(issued.token, "rest") is None
    with pytest.raises(NotFound):
        login(core, "zoe", project="hall")
    server.modify(f"dn: cn=devs,ou=Groups,{BASE}\nchangetype: modify\ndelete: member\nmember: {zoe}\n")
    with pytest.raises(Forbidden):
        login(core, "zoe")
    with pytest.raises(Conflict, match="which has its password"):
        user.set_password(SYSTEM, core, "another password", row(core, "zoe").uuid)
    server.delete(zoe)


def test_a_user_that_is_gone_is_refused_with_its_keys(site: Site, server: Slapd) -> None:
    core = core_with(site, server)
    dn = server.user("tom", SECRET)
    group = server.group("toms", dn)
    core = core_with(site, server, ldap_roles="toms=shop:member")
    tom = login(core, "tom")
    assert tom is not None
    made, issued = credential.create(tom, core), token.create(tom, core)
    server.delete(dn)
    authority = Authority(core)
    assert login(core, "tom") is None
    assert authority.by_access_key(made.access_key, "ec2") is None
    assert authority.by_token(issued.token, "rest") is None
    server.user("tom", SECRET)
    assert login(core, "tom") is None, "an administrator enables it again"
    user.modify(SYSTEM, core, tom.user, enabled=True)
    assert login(core, "tom") is not None
    assert authority.by_access_key(made.access_key, "ec2") is not None
    server.delete(dn)
    server.delete(group)


def test_a_synchronisation_makes_changes_and_disables_users(site: Site, server: Slapd) -> None:
    core = core_with(site, server)
    with pytest.raises(Unsupported, match="PILEUS_LDAP_URL"):
        directory.sync(SYSTEM, site.core)
    report = directory.sync(SYSTEM, core)
    assert report.created == ("ann", "bob", "cat", "dan")
    assert [skipped.name for skipped in report.skipped] == ["eve"]
    report = directory.sync(SYSTEM, core)
    assert (report.created, report.changed, report.disabled, report.current) == ((), (), (), 4)
    nobody = core_with(site, server, ldap_filter="(objectClass=device)")
    with pytest.raises(Conflict, match="nobody is disabled"):
        directory.sync(SYSTEM, nobody)
    report = directory.sync(SYSTEM, core_with(site, server, ldap_filter="(&(objectClass=person)(!(uid=dan)))"))
    assert report.disabled == ("dan",)
    assert not row(core, "dan").wanted.enabled


def test_more_users_than_a_page_are_synchronised(site: Site, server: Slapd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ldap, "PAGE", 2)
    assert directory.sync(SYSTEM, core_with(site, server)).created == ("ann", "bob", "cat", "dan")


def test_guesses_are_few_in_whatever_case(site: Site, server: Slapd) -> None:
    core = core_with(site, server)
    with contextlib.suppress(Throttled):
        for number in range(30):
            login(core, "ann" if number % 2 else "ANN", "wrong")
        pytest.fail("nothing was refused")
    with pytest.raises(Throttled):
        login(core, "Ann")


@pytest.mark.parametrize(
    "wrong",
    [{"ldap_password": "another"}, {"ldap_base": "ou=None,dc=example,dc=com"}, {"ldap_tls": "require"}],
    ids=["login", "base", "tls"],
)
def test_a_directory_that_refuses_the_cloud_lets_nobody_in(
    site: Site, server: Slapd, wrong: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        login(core_with(site, server, **wrong), "ann")
    shown = "".join(capfd.readouterr())
    assert SECRET not in shown
    assert "a manager's password" not in shown


def test_a_directory_that_is_killed_or_hangs_lets_nobody_in_and_disables_nobody(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ldap, "RECEIVE", 1)
    slapd = Slapd()
    try:
        slapd.group("devs", slapd.user("ann", SECRET))
        core = core_with(site, slapd)
        own = user.create(SYSTEM, core, "own")
        assert login(core, "ann") is not None
        slapd.hang()
        began = time.monotonic()
        with pytest.raises(Unavailable, match="try again later"):
            login(core, "ann")
        assert time.monotonic() - began < 30
        slapd.go_on()
        slapd.kill()
        with pytest.raises(Unavailable, match="try again later"):
            login(core, "ann")
        with pytest.raises(Unavailable):
            directory.sync(SYSTEM, core)
        assert row(core, "ann").wanted.enabled
        assert login(core, "own", own.password) is not None
        slapd.start()
        assert login(core, "ann") is not None
    finally:
        slapd.remove()


def test_a_connection_is_encrypted_and_the_directory_verified(site: Site, tmp_path: Path) -> None:
    issuer = make_authority(tmp_path)
    identity, anchor = tmp_path / "server.pem", tmp_path / "anchor.pem"
    identity.write_bytes(issuer.server(["127.0.0.1", "localhost"]))
    anchor.write_bytes(issuer.pem)
    other = tmp_path / "other"
    other.mkdir()
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(make_authority(other).pem)
    slapd = Slapd(identity.read_bytes())
    try:
        slapd.group("devs", slapd.user("ann", SECRET))
        secure = {
            "ldap_tls": "require",
            "ldap_ca": str(anchor),
            "ldap_url": slapd.url.replace("127.0.0.1", "localhost"),
        }
        assert login(core_with(site, slapd, **secure), "ann") is not None
        with pytest.raises(Unavailable):
            login(core_with(site, slapd, **{**secure, "ldap_ca": str(stranger)}), "ann")
    finally:
        slapd.remove()
    shutil.rmtree(other)
