"""Signed tokens: good until they expire or are revoked, without a row of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.model import bounds
from pileus.model.caller import SYSTEM, Caller
from pileus.model.errors import Forbidden, InvalidValue, NotFound
from pileus.model.user import User
from pileus.rules import signedtoken
from pileus.rules.cipher import cipher
from pileus.rules.credential import Authority
from pileus.verbs import grant, token, user
from tests.verbs.test_unreadable import damage

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.site import Site

KEY = bytes(32)


def caller_of(site: Site, name: str = "eve", project: str = "") -> tuple[Authority, Caller]:
    """A new user, and what looks up its tokens."""
    authority = Authority(site.core)
    caller = authority.by_token(user.create(SYSTEM, site.core, name, project).token, "rest")
    assert caller is not None
    return authority, caller


def test_a_token_is_good_for_its_time(site: Site) -> None:
    authority, eve = caller_of(site)
    issued = token.create(eve, site.core, 60.0)
    assert (issued.user, issued.project, issued.role, issued.until) == ("eve", "eve", "admin", site.now + 60)
    for elapsed, good in ((0.0, True), (59.0, True), (2.0, False)):
        site.now += elapsed
        caller = authority.by_token(issued.token, "rest")
        assert (caller is not None) == good
        assert caller is None or (caller.user, caller.project, caller.key) == (eve.user, eve.project, "")


@pytest.mark.parametrize("valid", [0.0, -1.0, bounds.TOKEN_LIFETIME.most + 1, float("nan"), float("inf")])
def test_a_token_is_good_for_a_week_at_most(site: Site, valid: float) -> None:
    _, eve = caller_of(site)
    with pytest.raises(InvalidValue, match="good for 1 to"):
        token.create(eve, site.core, valid)


def test_tokens_are_revoked_one_by_one_or_all(site: Site) -> None:
    authority, eve = caller_of(site)
    first, second, third = (token.create(eve, site.core) for _ in range(3))
    token.revoke(eve, site.core, first.id)
    assert authority.by_token(first.token, "rest") is None
    assert authority.by_token(second.token, "rest") is not None
    token.revoke_all(eve, site.core)
    assert [authority.by_token(each.token, "rest") for each in (second, third)] == [None, None]
    assert authority.by_token(token.create(eve, site.core).token, "rest") is not None


def test_a_user_makes_tokens_where_it_acts(site: Site) -> None:
    authority, eve = caller_of(site)
    _, bob = caller_of(site, "bob")
    grant.create(SYSTEM, site.core, "reader", user=bob.user, project=eve.project)
    in_eves = authority.by_token(token.create(bob, site.core).token, "rest", "eve")
    assert in_eves is not None
    caller_elsewhere = authority.by_token(token.create(in_eves, site.core).token, "rest")
    assert caller_elsewhere is not None
    assert (caller_elsewhere.user_name, caller_elsewhere.project_name, caller_elsewhere.role) == (
        "bob",
        "eve",
        "reader",
    )


def test_too_many_revoked_tokens_end_all(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "REVOKED_TOKENS", bounds.Bound("tokens", "noun", 2, "all end"))
    authority, eve = caller_of(site)
    issued = [token.create(eve, site.core) for _ in range(4)]
    for each in issued[:2]:
        token.revoke(eve, site.core, each.id)
    assert authority.by_token(issued[3].token, "rest") is not None
    token.revoke(eve, site.core, issued[2].id)
    assert authority.by_token(issued[3].token, "rest") is None
    with site.store.read() as tx:
        assert tx.need(User, eve.user).wanted.revoked == ()


def test_a_revocation_is_forgotten_once_no_such_token_is_good(site: Site) -> None:
    _, eve = caller_of(site)
    for _ in range(2):
        token.revoke(eve, site.core, token.create(eve, site.core).id)
        site.now += bounds.TOKEN_LIFETIME.most + 1
    with site.store.read() as tx:
        assert len(tx.need(User, eve.user).wanted.revoked) == 1


def test_whatever_ends_a_user_ends_its_tokens(site: Site) -> None:
    authority, eve = caller_of(site)
    endings: tuple[Callable[[], object], ...] = (
        lambda: user.set_password(SYSTEM, site.core, "another password", eve.user),
        lambda: user.modify(SYSTEM, site.core, eve.user, enabled=False),
        lambda: user.delete(SYSTEM, site.core, eve.user),
    )
    for end in endings:
        issued = token.create(eve, site.core)
        assert authority.by_token(issued.token, "rest") is not None
        end()
        assert authority.by_token(issued.token, "rest") is None
        with site.store.read() as tx:
            is_disabled = tx.many(User, [eve.user])[eve.user].wanted.enabled is False
        if is_disabled:
            user.modify(SYSTEM, site.core, eve.user, enabled=True)
            assert authority.by_token(issued.token, "rest") is None


@pytest.mark.parametrize("is_damaged", [False, True])
def test_an_administrator_made_anew_has_no_token_of_before(site: Site, *, is_damaged: bool) -> None:
    """Not even one that had ended: the count of those that had is lost with the row."""
    authority, eve = caller_of(site)
    issued = token.create(eve, site.core)
    token.revoke_all(eve, site.core)
    if is_damaged:
        damage(site, User, eve.user, "wanted")
    account = user.remake(SYSTEM, site.core, "eve")
    assert authority.by_token(account.token, "rest") is not None
    assert Authority(site.core).by_token(issued.token, "rest") is None


def test_a_recovered_store_knows_no_token_of_before(site: Site) -> None:
    """The copy that it goes on from may have forgotten which tokens were revoked."""
    _, eve = caller_of(site)
    issued = token.create(eve, site.core)
    with site.store.write() as tx:
        tx.keep_meta("incarnation", tx.incarnation + 1)
    assert Authority(site.core).by_token(issued.token, "rest") is None


def test_another_users_tokens_are_its_admins_to_revoke(site: Site) -> None:
    _, eve = caller_of(site, "eve", "lab")
    authority, kim = caller_of(site, "kim", "lab")
    _, bob = caller_of(site, "bob")
    issued = token.create(kim, site.core)
    with pytest.raises(Forbidden):
        token.revoke_all(kim, site.core, eve.user)
    with pytest.raises(NotFound):
        token.revoke_all(bob, site.core, kim.user)
    assert authority.by_token(issued.token, "rest") is not None
    token.revoke(eve, site.core, issued.id, kim.user)
    assert authority.by_token(issued.token, "rest") is None
    with pytest.raises(InvalidValue, match="32 hex digits"):
        token.revoke(eve, site.core, issued.token)


def test_what_is_sealed_for_another_purpose_is_no_token(site: Site) -> None:
    claims = signedtoken.TokenClaims("i", "u", "p", 0, 1, 2e9)
    sealed = cipher(site.core).encrypt(msgspec.msgpack.encode(claims)).decode()
    assert signedtoken.is_signed(sealed)
    assert signedtoken.read(site.core.key, sealed) is None


@given(st.text() | st.text().map(lambda text: "gAAAA" + text) | st.binary().map(lambda data: data.decode("latin-1")))
def test_no_other_text_is_a_token(text: str) -> None:
    assert signedtoken.read(KEY, text) is None
