"""Credentials of an instance's role, as they come from the cloud to the host, and from there to the guest."""

from __future__ import annotations

import msgspec


class RoleCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """Temporary credentials of the role that an instance has; `since` and `until` are seconds since the epoch.

    A host has them in memory alone. No log shows them.
    """

    access_key: str
    secret_key: str
    token: str
    since: float
    until: float
