"""Passwords: hashed as they were made, and looked at few at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.model import bounds
from pileus.model.caller import SYSTEM
from pileus.model.errors import Forbidden, InvalidValue, Throttled
from pileus.rules import password
from pileus.rules.credential import Authority
from pileus.rules.password import AGAIN, PasswordChecks
from pileus.verbs import user

if TYPE_CHECKING:
    from tests.site import Site


def test_a_hash_says_what_it_was_made_with() -> None:
    for hashed in (password.hash_random("a password"), PasswordChecks().hash_chosen("a password")):
        assert hashed.startswith("$argon2id$")
        assert password.matches(hashed, "a password")
        assert not password.matches(hashed, "another password")
    assert not password.matches("", "")
    assert not password.matches("plain", "plain")


@pytest.mark.parametrize("text", ["", "1234567", "x" * 129])
def test_a_password_is_neither_short_nor_endless(text: str) -> None:
    with pytest.raises(InvalidValue, match="8 to 128 characters"):
        PasswordChecks().hash_chosen(text)


def test_wrong_passwords_of_a_user_are_few_whoever_guesses() -> None:
    now = [100.0]
    checks = PasswordChecks(lambda: now[0])
    hashed = password.hash_random("right password")
    assert all(not checks.right("eve", hashed, f"guess {number}") for number in range(bounds.WRONG_PASSWORDS.most))
    with pytest.raises(Throttled, match="Too many wrong passwords"):
        checks.right("eve", hashed, "right password")
    assert checks.right("bob", hashed, "right password")
    now[0] += AGAIN
    assert not checks.right("eve", hashed, "one more")
    with pytest.raises(Throttled):
        checks.right("eve", hashed, "two more")
    now[0] += 2 * AGAIN
    assert checks.right("eve", hashed, "right password")


def test_too_many_checks_at_once_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(password, "PATIENCE", 0.0)
    checks = PasswordChecks()
    for _ in range(bounds.PASSWORD_CHECKS.most):
        assert checks._slots.acquire()
    with pytest.raises(Throttled, match="try again"):
        checks.right("eve", "", "any")
    with pytest.raises(Throttled, match="try again"):
        checks.hash_chosen("correct horse")
    checks._slots.release()
    assert not checks.right("eve", "", "any")


@pytest.mark.parametrize("user_name", ["nobody", "random", "chosen"])
def test_a_wrong_password_costs_as_much_whoever_it_is_of(
    site: Site, monkeypatch: pytest.MonkeyPatch, user_name: str
) -> None:
    """A password that was drawn at random has a cheap hash: its time must not say that the user exists."""
    user.create(SYSTEM, site.core, "random")
    user.create(SYSTEM, site.core, "chosen", password="correct horse")
    parameters: list[str] = []
    verified = password._verified

    def noted(hashed: str, text: str) -> bool:
        if hashed:
            parameters.append(password._parameters(hashed))
        return verified(hashed, text)

    monkeypatch.setattr(password, "_verified", noted)
    assert Authority(site.core).by_password(user_name, "wrong horse", "rest") is None
    assert sorted(parameters) == ["$argon2id$v=19$m=1024,t=1,p=1", "$argon2id$v=19$m=65536,t=3,p=4"]


def test_of_two_changes_by_one_old_password_one_is_made(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    user.create(SYSTEM, site.core, "eve", password="correct horse")
    eve = Authority(site.core).by_password("eve", "correct horse", "rest")
    assert eve is not None
    hash_chosen = site.core.passwords.hash_chosen

    def overtaken(text: str) -> str:
        monkeypatch.setattr(site.core.passwords, "hash_chosen", hash_chosen)
        user.set_password(eve, site.core, "battery staple", old="correct horse")
        return hash_chosen(text)

    monkeypatch.setattr(site.core.passwords, "hash_chosen", overtaken)
    with pytest.raises(Forbidden, match="old password is wrong"):
        user.set_password(eve, site.core, "stolen horse", old="correct horse")
    assert Authority(site.core).by_password("eve", "battery staple", "rest") is not None


def test_a_user_proves_itself_by_its_password(site: Site) -> None:
    authority = Authority(site.core)
    eve = user.create(SYSTEM, site.core, "eve", password="correct horse")
    caller = authority.by_password("eve", "correct horse", "rest")
    assert caller is not None
    assert (caller.user, caller.project_name, caller.role) == (eve.user_id, "eve", "admin")
    for name, text in (("eve", "wrong horse"), ("eve", ""), ("nobody", "correct horse"), ("", "")):
        assert authority.by_password(name, text, "rest") is None
    user.modify(SYSTEM, site.core, eve.user_id, enabled=False)
    assert authority.by_password("eve", "correct horse", "rest") is None


def test_a_user_changes_its_password_by_saying_the_old_one(site: Site) -> None:
    authority = Authority(site.core)
    user.create(SYSTEM, site.core, "eve", password="correct horse")
    eve = authority.by_password("eve", "correct horse", "rest")
    assert eve is not None
    with pytest.raises(Forbidden, match="old password is wrong"):
        user.set_password(eve, site.core, "battery staple", old="guess")
    user.set_password(eve, site.core, "battery staple", old="correct horse")
    assert authority.by_password("eve", "correct horse", "rest") is None
    assert authority.by_password("eve", "battery staple", "rest") is not None
