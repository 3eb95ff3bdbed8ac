"""Credentials of roles on a host: asked for once they are needed, renewed in time, and forgotten with the role."""

from __future__ import annotations

import msgspec

from pileus.host.rolecredentials import RoleCredentialsKeeper
from pileus.model.errors import Fault
from pileus.model.rolecredentials import RoleCredentials
from pileus.model.spec import InstanceSpec, ProfileSpec
from tests.host.orders import to_run

HOUR = 3600.0


class Cloud:
    """The cloud's end: gives credentials of six hours, unless it is down."""

    def __init__(self) -> None:
        self.now = 1.7e9
        self.asked: list[str] = []
        self.down = False

    def fetch(self, uuid: str) -> RoleCredentials:
        """Give new credentials for an instance."""
        self.asked.append(uuid)
        if self.down:
            raise Fault("RoleUnavailable", "down")
        key = f"ASIA{len(self.asked)}"
        return RoleCredentials(
            access_key=key,
            secret_key="s",
            token="t",
            since=self.now,
            until=self.now + 6 * HOUR,
        )


def with_role(role: str = "web") -> InstanceSpec:
    """Return an order for an instance with a role."""
    profile = ProfileSpec(uuid="b" * 32, name="profile", role=role)
    spec = to_run("a" * 32, 1).spec
    assert isinstance(spec, InstanceSpec)
    return msgspec.structs.replace(spec, profile=profile)


def keeper(cloud: Cloud) -> RoleCredentialsKeeper:
    """Return a keeper that nobody started."""
    return RoleCredentialsKeeper(cloud.fetch, lambda: cloud.now)


def test_they_are_renewed_when_half_of_their_time_is_over() -> None:
    cloud, order = Cloud(), with_role()
    roles = keeper(cloud)
    roles.serve([order])
    assert roles.of(order) is None
    assert roles.renew()
    first = roles.of(order)
    assert first is not None
    cloud.now += 2 * HOUR
    assert roles.renew()
    assert roles.of(order) == first
    cloud.now += 2 * HOUR
    assert roles.renew()
    assert roles.of(order) != first


def test_those_that_ended_are_not_given_out() -> None:
    cloud, order = Cloud(), with_role()
    roles = keeper(cloud)
    roles.serve([order])
    roles.renew()
    cloud.down = True
    cloud.now += 5 * HOUR
    assert not roles.renew()
    assert roles.of(order) is not None
    cloud.now += HOUR
    assert roles.of(order) is None
    cloud.down = False
    assert roles.renew()
    assert roles.of(order) is not None


def test_another_role_has_other_credentials_and_none_has_none() -> None:
    cloud, order = Cloud(), with_role()
    roles = keeper(cloud)
    roles.serve([order])
    roles.renew()
    other = with_role("other")
    assert roles.of(other) is None
    roles.serve([other])
    assert roles.of(order) is None
    roles.renew()
    assert roles.of(other) is not None
    plain = msgspec.structs.replace(other, profile=None)
    roles.serve([plain])
    assert roles.of(plain) is None
    assert roles.of(other) is None
    roles.renew()
    assert len(cloud.asked) == 2
