"""UserDirectory: the protocol of an LDAP directory that proves users, and the roles that its groups give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Protocol, cast, get_args

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

MAPPINGS: Final = 1000
"""Mappings of groups to roles, at most."""


DirectoryRole = Literal["reader", "member", "admin", "administrator"]
"""A role in a project, or the rights of an administrator of the cloud."""


class RoleMapping(msgspec.Struct, frozen=True):
    """Members of the directory's `group` have the role `right` in a project, by name.

    `administrator` makes them administrators of the cloud, with the role `admin` in the project.
    """

    group: str
    project: str
    right: DirectoryRole


class DirectoryUser(msgspec.Struct, frozen=True):
    """A user's entry: the name as the directory writes it, its distinguished name, and its mapped groups."""

    name: str
    dn: str
    groups: tuple[str, ...]


class UserDirectory(Protocol):
    """A directory of users. Each call takes a bounded time, and raises Unavailable where no directory answers."""

    @property
    def mappings(self) -> tuple[RoleMapping, ...]:
        """The roles that groups give; the first mapping of a user names its home."""

    def entry(self, name: str) -> DirectoryUser | None:
        """The entry of the user with this name; None for none."""

    def proves(self, entry: DirectoryUser, password: str) -> bool:
        """Whether the directory takes this password for the entry."""

    def users(self) -> Iterator[DirectoryUser]:
        """All entries of users. Raises Conflict beyond `bounds.DIRECTORY_USERS`."""


def mappings(text: str) -> tuple[RoleMapping, ...]:
    """Read GROUP=PROJECT:ROLE, with commas between several. Raises ValueError."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if len(parts) > MAPPINGS:
        raise ValueError(f"{MAPPINGS} groups have roles at most")
    return tuple(_mapping(part) for part in parts)


def _mapping(part: str) -> RoleMapping:
    group, _, place = part.rpartition("=")
    project, _, right = place.partition(":")
    if not group or not project or right not in get_args(DirectoryRole):
        rights = ", ".join(get_args(DirectoryRole))
        raise ValueError(f"'{part[:80]}' is not GROUP=PROJECT:ROLE, with one of the roles {rights}")
    return RoleMapping(group.strip(), project.strip(), cast("DirectoryRole", right))
