"""Choices of one start hold until another start changes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pileus.model.errors import InvalidValue
from pileus.model.kit import Site
from pileus.providers.local.body import resolv_conf
from pileus.providers.local.daemons import LocalMachine
from pileus.providers.local.kit import KIT
from pileus.providers.local.settings import LocalSettings
from pileus.providers.local.site import fabric_of, has_uplink


def site(kept: dict[str, str], **settings: object) -> Site:
    return Site(Path("/state"), LocalSettings(**settings), "198.51.100.0/24", kept=kept)  # type: ignore[arg-type]  # settings by name


@pytest.mark.parametrize(
    ("kept", "setting", "uplink"),
    [("", "", False), ("", "yes", True), ("yes", "", True), ("yes", "no", False), ("", "no", False)],
)
def test_the_uplink_is_as_at_the_last_start_unless_it_is_set(kept: str, setting: str, uplink: bool) -> None:  # noqa: FBT001  (a parameter of the cases)
    own = site({"internet": kept} if kept else {}, internet=setting)
    assert has_uplink(own) is uplink
    assert KIT.kept(own) == ({"internet": "yes"} if uplink else {})


@pytest.mark.parametrize(
    ("kept", "setting", "interface"),
    [("", "", ""), ("", "eth1", "eth1"), ("eth1", "", "eth1"), ("eth1", "eth2", "eth2"), ("eth1", "none", "")],
)
def test_so_is_the_outside_interface(kept: str, setting: str, interface: str) -> None:
    own = site({"outside_interface": kept} if kept else {}, outside_interface=setting)
    assert fabric_of(own).outside_interface == interface
    assert KIT.kept(own) == ({"outside_interface": interface} if interface else {})


def test_guests_resolve_the_worlds_names_where_they_reach_the_world() -> None:
    assert resolv_conf(site({})) == Path("/dev/null")
    assert resolv_conf(site({}, internet="yes")) == Path("/etc/resolv.conf")
    assert resolv_conf(site({}, internet="yes", resolv_conf="/dev/null")) == Path("/dev/null")
    assert resolv_conf(site({}, resolv_conf="/etc/other")) == Path("/etc/other")


def test_an_uplink_and_an_outside_interface_exclude_each_other() -> None:
    with pytest.raises(InvalidValue, match="leave --internet out"):
        LocalMachine(site({}, internet="yes", outside_interface="eth1")).begin(print)
