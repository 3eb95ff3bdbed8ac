"""Access keys: disabled, enabled, rotated, and when they were used last."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from pileus.bus.memory import MemoryBus
from pileus.model.caller import SYSTEM, Caller
from pileus.model.credential import Credential
from pileus.model.errors import NotFound
from pileus.providers.stub.provider import StubProvider
from pileus.rules.core import Core
from pileus.rules.credential import FRESH, MINUTE, Authority
from pileus.store.keyuse import KeyUse, last_uses
from pileus.store.migrate import migrate
from pileus.store.store import Store
from pileus.verbs import credential, grant, user

if TYPE_CHECKING:
    from pathlib import Path

    from tests.site import Site


def row_of(site: Site, access_key: str) -> Credential:
    """The row of an access key."""
    with site.store.read() as tx:
        holder = tx.claimed("credential", access_key)
        assert holder is not None
        return tx.need(Credential, holder[1])


def use_of(site: Site, access_key: str) -> KeyUse | None:
    """The last use of an access key, as far as it is written."""
    uuid = row_of(site, access_key).uuid
    with site.store.read() as tx:
        return last_uses(tx, [uuid]).get(uuid)


def caller_of(site: Site, name: str, project: str = "") -> tuple[Caller, str]:
    """A new user, and its access key."""
    account = user.create(SYSTEM, site.core, name, project)
    caller = Authority(site.core).by_access_key(account.access_key, "ec2")
    assert caller is not None
    return caller, account.access_key


def test_a_disabled_key_opens_nothing_until_it_is_enabled(site: Site) -> None:
    eve, key = caller_of(site, "eve")
    authority = Authority(site.core)
    for enabled in (False, True):
        credential.modify(eve, site.core, key, enabled=enabled)
        assert (authority.secret(key) is not None) == enabled
        assert (authority.by_access_key(key, "ec2") is not None) == enabled


def test_what_another_process_takes_away_is_refused_within_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes of a cloud have two stores over one database: keys, users, projects and roles alike."""
    url = f"sqlite:///{tmp_path}/store.db"
    migrate(Store(url).engine)
    here, other_core = (Core(Store(url), MemoryBus(), StubProvider(), bytes(32)) for _ in range(2))
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    assert FRESH < 1.0
    other = Authority(other_core, shared=True)
    eve = user.create(SYSTEM, here, "eve")
    caller = Authority(here).by_token(eve.token, "rest")
    assert caller is not None
    changes = (
        (
            lambda: credential.modify(SYSTEM, here, eve.access_key, enabled=False),
            lambda: credential.modify(SYSTEM, here, eve.access_key, enabled=True),
        ),
        (
            lambda: user.modify(SYSTEM, here, eve.user_id, enabled=False),
            lambda: user.modify(SYSTEM, here, eve.user_id, enabled=True),
        ),
        (
            lambda: [grant.delete(SYSTEM, here, each.uuid) for each in grant.listing(caller, here)],
            lambda: grant.create(SYSTEM, here, "member", user=eve.user_id, project=caller.project),
        ),
    )
    for take, give in changes:
        assert other.by_access_key(eve.access_key, "ec2") is not None
        take()
        now[0] += FRESH + 0.01
        refused = other.by_access_key(eve.access_key, "ec2")
        assert refused is None or refused.right == "none"
        give()


def test_a_key_is_rotated_in_one_go(site: Site) -> None:
    eve, key = caller_of(site, "eve")
    new = credential.rotate(eve, site.core, key)
    authority = Authority(site.core)
    assert (new.user, new.project) == ("eve", "eve")
    assert authority.secret(new.access_key) == new.secret_key.encode()
    assert authority.secret(key) is None
    with pytest.raises(NotFound):
        credential.rotate(eve, site.core, key)


def test_keys_of_others_are_for_their_projects_admin(site: Site) -> None:
    eve, _ = caller_of(site, "eve", "lab")
    kim, kims = caller_of(site, "kim", "lab")
    bob, _ = caller_of(site, "bob")
    _, roots = caller_of(site, "other", "lab")
    for stranger in (kim, bob):
        with pytest.raises(NotFound):
            credential.modify(stranger, site.core, roots, enabled=False)
    assert not credential.modify(eve, site.core, kims, enabled=False).wanted.enabled
    user.modify(SYSTEM, site.core, row_of(site, roots).wanted.user, admin=True)
    with pytest.raises(NotFound):  # a project's admin is not the master of the cloud's administrators
        credential.rotate(eve, site.core, roots)


def test_the_last_use_is_written_at_most_once_a_minute(site: Site) -> None:
    _, key = caller_of(site, "eve")
    authority, before = Authority(site.core), row_of(site, key)
    assert use_of(site, key) is None
    for elapsed, service, expected in (
        (0.0, "ec2", KeyUse(site.now, "ec2")),
        (MINUTE - 1, "sts", KeyUse(site.now, "ec2")),
        (2.0, "sts", KeyUse(site.now + MINUTE + 1, "sts")),
    ):
        site.now += elapsed
        assert authority.by_access_key(key, service) is not None
        authority.uses.write()
        assert use_of(site, key) == expected
    assert row_of(site, key) == before


def test_a_key_that_has_ended_leaves_no_use(site: Site) -> None:
    eve, key = caller_of(site, "eve")
    authority, uuid = Authority(site.core), row_of(site, key).uuid
    authority.by_access_key(key, "ec2")
    authority.uses.write()
    credential.revoke(eve, site.core, key)
    with site.store.write() as tx:
        tx.erase(Credential, site.now + 1)
    site.store.forget_tombstones()
    with site.store.read() as tx:
        assert last_uses(tx, [uuid]) == {}
