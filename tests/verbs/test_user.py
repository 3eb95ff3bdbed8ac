"""Users and their accounts."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import ANY

import msgspec
import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from pileus.bus.memory import MemoryBus
from pileus.model.caller import SYSTEM, Caller
from pileus.model.errors import Conflict, Duplicate, Forbidden, NotFound
from pileus.model.grant import Grant
from pileus.model.ids import new_uuid
from pileus.model.project import Project
from pileus.model.user import User
from pileus.model.usergroup import UserGroup
from pileus.providers.stub.provider import StubProvider
from pileus.rules import recount
from pileus.rules.core import Core
from pileus.rules.credential import FRESH, Authority
from pileus.store.migrate import migrate
from pileus.store.store import Store
from pileus.verbs import user, usergroup
from pileus.verbs.credential import create, revoke
from tests.site import Site


def test_a_user_that_exists_leaves_no_new_project_behind(site: Site) -> None:
    user.create(SYSTEM, site.core, "eve", "first")
    with pytest.raises(Duplicate):
        user.create(SYSTEM, site.core, "eve", "second")
    with site.core.store.read() as tx:
        assert "second" not in {project.name for project in tx.list(Project)}


def test_renewed_secrets_work_beside_the_old_ones(site: Site) -> None:
    first = user.create(SYSTEM, site.core, "eve")
    second = user.renew(SYSTEM, site.core, "eve")
    assert first.access_key != second.access_key
    with site.core.store.read() as tx:
        row = tx.named(User, "eve")
    assert row is not None
    assert row.uuid == first.user_id
    assert PasswordHasher().verify(row.wanted.password, second.password)
    with pytest.raises(VerifyMismatchError):
        PasswordHasher().verify(row.wanted.password, first.password)


def test_a_credential_that_another_process_revokes_opens_nothing_a_second_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes of a cloud have two stores over one database."""
    url = f"sqlite:///{tmp_path}/store.db"
    migrate(Store(url).engine)
    here, there = (Core(Store(url), MemoryBus(), StubProvider(), bytes(32)) for _ in range(2))
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    account = user.create(SYSTEM, here, "eve")
    own, other = Authority(here), Authority(there, shared=True)
    for authority in (own, other):
        assert authority.by_access_key(account.access_key, "ec2")
        assert authority.by_token(account.token, "rest")
    for key in (account.access_key, account.token):
        revoke(SYSTEM, here, key)
    now[0] += FRESH + 0.01
    for authority in (own, other):
        assert authority.by_access_key(account.access_key, "ec2") is None
        assert authority.by_token(account.token, "rest") is None


def test_a_leaked_key_is_replaced(site: Site) -> None:
    authority = Authority(site.core)
    account = user.create(SYSTEM, site.core, "eve")
    eve = authority.by_access_key(account.access_key, "ec2")
    assert eve is not None
    new = create(eve, site.core)
    assert (new.user, new.project, new.token) == ("eve", "eve", "")
    assert authority.secret(new.access_key) == new.secret_key.encode()
    assert authority.by_access_key(account.access_key, "ec2")  # both, until the old one is not used any more
    revoke(eve, site.core, account.access_key)
    assert authority.by_access_key(account.access_key, "ec2") is None
    assert authority.by_access_key(new.access_key, "ec2") == msgspec.structs.replace(
        eve, request=ANY, key=new.access_key
    )
    again = create(eve, site.core, "token")
    assert authority.by_token(again.token, "rest")
    for ident in (again.uuid, new.uuid, account.token):
        revoke(eve, site.core, ident)
        with pytest.raises(NotFound):
            revoke(eve, site.core, ident)
    assert authority.by_token(again.token, "rest") is None
    assert authority.by_access_key(new.access_key, "ec2") is None


def test_credentials_of_others_are_an_administrators(site: Site) -> None:
    authority = Authority(site.core)
    eve, bob = (user.create(SYSTEM, site.core, name, "lab") for name in ("eve", "bob"))
    caller = authority.by_token(bob.token, "rest")
    assert caller is not None
    with pytest.raises(NotFound):
        revoke(caller, site.core, eve.access_key)
    with site.store.read() as tx:
        eve_uuid = next(person.uuid for person in tx.list(User) if person.name == "eve")
    with pytest.raises(Forbidden):
        create(caller, site.core, user=eve_uuid)
    assert authority.by_access_key(eve.access_key, "ec2")
    root = site.caller("admin", admin=True)
    credential = create(root, site.core, user=eve_uuid)
    eve_caller = authority.by_access_key(credential.access_key, "ec2")
    assert eve_caller is not None
    assert (eve_caller.user_name, eve_caller.project_name, eve_caller.admin) == ("eve", "lab", False)
    revoke(root, site.core, eve.access_key)
    assert authority.by_access_key(eve.access_key, "ec2") is None
    with pytest.raises(NotFound):
        create(root, site.core, user=new_uuid())


def caller_of(site: Site, name: str, project: str = "", *, admin: bool = False) -> Caller:
    """A new user as it acts in its project."""
    account = user.create(SYSTEM, site.core, name, project, admin=admin)
    caller = Authority(site.core).by_token(account.token, "rest")
    assert caller is not None
    return caller


def test_a_disabled_user_is_refused_with_all_that_it_has(site: Site) -> None:
    authority, account = Authority(site.core), user.create(SYSTEM, site.core, "eve")
    for enabled in (False, True):
        user.modify(SYSTEM, site.core, account.user_id, enabled=enabled)
        opened = (
            authority.by_access_key(account.access_key, "ec2"),
            authority.by_token(account.token, "rest"),
            authority.by_password("eve", account.password, "rest"),
        )
        assert [caller is not None for caller in opened] == [enabled] * 3


def test_a_deleted_user_leaves_nothing_that_opens(site: Site) -> None:
    authority, eve = Authority(site.core), caller_of(site, "eve", "lab")
    kim = user.create(eve, site.core, "kim")
    group = usergroup.create(eve, site.core, "ops").uuid
    usergroup.add(eve, site.core, group, kim.user_id)
    user.delete(eve, site.core, kim.user_id)
    assert authority.by_token(kim.token, "rest") is None
    assert authority.by_access_key(kim.access_key, "ec2") is None
    with site.store.read() as tx:
        assert tx.need(UserGroup, group).wanted.members == ()
        assert [each.wanted.user for each in tx.list(Grant)] == [eve.user]
        assert recount.differences(tx) == []
    assert user.create(eve, site.core, "kim").user_id != kim.user_id  # the name is free


def test_a_projects_admin_has_no_power_over_others(site: Site) -> None:
    eve, bob = caller_of(site, "eve", "lab"), caller_of(site, "bob")
    root = caller_of(site, "root", "lab", admin=True)
    deeds: tuple[Callable[[], object], ...] = (
        lambda: user.set_password(eve, site.core, "mine from now on", root.user),
        lambda: user.modify(eve, site.core, root.user, enabled=False),
        lambda: user.delete(eve, site.core, root.user),
        lambda: user.modify(eve, site.core, eve.user, admin=True),
        lambda: user.create(eve, site.core, "new", admin=True),
        lambda: user.create(eve, site.core, "new", "bob"),
        lambda: create(eve, site.core, user=root.user),
    )
    for deed in deeds:
        with pytest.raises(Forbidden):
            deed()
    with pytest.raises(NotFound):
        user.modify(eve, site.core, bob.user, enabled=False)
    with site.store.read() as tx:
        assert {name: tx.named(User, name).wanted.enabled for name in ("root", "bob")} == {"root": True, "bob": True}  # type: ignore[union-attr]  # both exist
        assert tx.named(User, "new") is None


def test_nobody_locks_itself_out(site: Site) -> None:
    root = caller_of(site, "root", admin=True)
    deeds: tuple[Callable[[], object], ...] = (
        lambda: user.modify(root, site.core, root.user, enabled=False),
        lambda: user.modify(root, site.core, root.user, admin=False),
        lambda: user.delete(root, site.core, root.user),
    )
    for deed in deeds:
        with pytest.raises(Conflict):
            deed()
    assert user.modify(root, site.core, root.user, enabled=True).generation == 1


def test_renewing_lets_a_disabled_administrator_in_again(site: Site) -> None:
    root = caller_of(site, "root", admin=True)
    user.modify(SYSTEM, site.core, root.user, enabled=False)
    assert Authority(site.core).by_token(user.renew(SYSTEM, site.core, "root").token, "rest") is not None
