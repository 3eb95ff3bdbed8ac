"""The users that QEMUs are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pileus.providers.local.machine import owner


@given(st.uuids(version=4).map(str))
def test_no_account_and_no_user_namespace_has_the_number_of_a_guests_user(instance: str) -> None:
    # systemd's "Users, Groups, UIDs and GIDs on systemd Systems": unused from here to there.
    assert 1879048192 <= owner.user(instance) <= 2147352575
    assert owner.user(instance) == owner.user(instance)


def test_guests_are_different_users() -> None:
    first = {owner.user(f"{number:08x}-0000-4000-8000-000000000000") for number in range(1000)}
    assert len(first) == 1000
