"""The session of an instance: temporary credentials of its role, which its metadata service gives out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.errors import NotFound
from pileus.model.instance import Instance
from pileus.model.instanceprofile import InstanceProfile
from pileus.model.rolecredentials import RoleCredentials
from pileus.model.user import User
from pileus.rules import trust
from pileus.rules.session import of_role

if TYPE_CHECKING:
    from pileus.rules.core import Core

SECONDS = 6 * 3600
"""The length of a session; its host asks for another in time."""


def credentials(core: Core, host: str, uuid: str) -> RoleCredentials:
    """Return credentials for the instance `uuid`, which the host of this name asks for; empty: the cloud's own machine.

    Raises NotFound for an instance of another host, and for one whose profile has no role that EC2 may assume.
    """
    role = None
    with core.store.read() as tx:
        instance = tx.get(Instance, uuid)
        if instance is not None and instance.gone is None and host in ("", instance.assigned.host):
            profile = tx.get(InstanceProfile, instance.wanted.instanceprofile or "")
            role = tx.get(User, profile.wanted.role or "") if profile is not None else None
    if instance is None or role is None or trust.EC2 not in trust.principals(role.wanted.trust):
        raise NotFound("This host has no such instance, or it has no role.", noun=Instance.KIND, ident=uuid)
    session = of_role(core, role, instance.ec2_id, SECONDS)
    return RoleCredentials(
        access_key=session.access_key,
        secret_key=session.secret_key,
        token=session.token,
        since=session.until - SECONDS,
        until=session.until,
    )
