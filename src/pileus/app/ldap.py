"""The LDAP directory of a cloud, by ldap3: entries are searched as the cloud's own login, passwords proven by binds.

Every operation has a connection of its own and bounded times, so that a directory that hangs takes nobody's place for
long. Referrals are not followed: they would carry passwords to servers that nobody named.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import structlog
from ldap3 import NONE, SUBTREE, Connection, Server, Tls
from ldap3.core.exceptions import LDAPException
from ldap3.core.results import (
    RESULT_CONSTRAINT_VIOLATION,
    RESULT_INSUFFICIENT_ACCESS_RIGHTS,
    RESULT_INVALID_CREDENTIALS,
    RESULT_NO_SUCH_OBJECT,
    RESULT_SIZE_LIMIT_EXCEEDED,
    RESULT_SUCCESS,
    RESULT_UNWILLING_TO_PERFORM,
)
from ldap3.utils.conv import escape_filter_chars

from pileus.model import bounds
from pileus.model.directory import DirectoryUser, RoleMapping, mappings
from pileus.model.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from pileus.app.settings import Settings

CONNECT, RECEIVE = 3.0, 5
"""Seconds for a connection, and for each answer: a whole number, as ldap3 packs it."""

PAGE = 500
"""Entries of one page of a search (RFC 2696)."""

_NOT_PROVEN = {
    RESULT_INVALID_CREDENTIALS,
    RESULT_CONSTRAINT_VIOLATION,
    RESULT_INSUFFICIENT_ACCESS_RIGHTS,
    RESULT_UNWILLING_TO_PERFORM,
}
"""Results of a bind with a wrong password, and of one as a user that the directory has locked."""

_MEMBERS = "(|(member={dn})(uniqueMember={dn})(memberUid={name}))"
"""How groups name their members: groupOfNames, groupOfUniqueNames (RFC 4519), posixGroup (RFC 2307)."""

log = structlog.get_logger()


class LdapDirectory:
    """A directory at the URL of the settings. Keeps no connection; any number of threads may call it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._mappings = mappings(settings.ldap_roles)
        self._tls = Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=settings.ldap_ca or None)

    @property
    def mappings(self) -> tuple[RoleMapping, ...]:
        """The roles that groups give."""
        return self._mappings

    def entry(self, name: str) -> DirectoryUser | None:
        """The entry of the user with this name; None for none. Raises Unavailable, Conflict for two of one name."""
        with self._own_login() as connection:
            condition = f"({self._settings.ldap_name}={escape_filter_chars(name)})"
            entries = self._search(connection, self._settings.ldap_base, f"(&{self._settings.ldap_filter}{condition})")
            if len(entries) > 1:
                raise Conflict("The directory has several users of this name.", noun="user", ident=name, reason="name")
            return self._user(connection, entries[0]) if entries else None

    def proves(self, entry: DirectoryUser, password: str) -> bool:
        """Whether the directory takes this password for the entry. Raises Unavailable."""
        # A bind without a password is anonymous, and always succeeds (RFC 4513, 5.1.2).
        if not password:
            return False
        with self._connected(entry.dn, password) as connection:
            connection.bind()
            result = connection.result["result"]
            if result not in _NOT_PROVEN | {RESULT_SUCCESS}:
                raise self._unavailable(connection.result["description"])
            return bool(result == RESULT_SUCCESS)

    def users(self) -> Iterator[DirectoryUser]:
        """All entries of users. Raises Unavailable, and Conflict where there are too many."""
        most = bounds.DIRECTORY_USERS.most
        with self._own_login() as connection:
            pages = connection.extend.standard.paged_search(
                self._settings.ldap_base,
                f"(&{self._settings.ldap_filter}({self._settings.ldap_name}=*))",
                SUBTREE,
                attributes=[self._settings.ldap_name],
                paged_size=PAGE,
                generator=True,
            )
            entries = []
            for entry in pages:
                if entry["type"] == "searchResEntry":
                    entries.append(entry)
                if len(entries) > most:
                    text = f"The directory has more than {most} users: narrow PILEUS_LDAP_FILTER or PILEUS_LDAP_BASE."
                    raise Conflict(text, noun="user", reason="directory-users")
            # A search that ended early returns fewer entries and no exception.
            self._check(connection)
            for entry in entries:
                yield self._user(connection, entry)

    def _user(self, connection: Any, entry: Any) -> DirectoryUser:
        name, dn = str(entry["attributes"][self._settings.ldap_name][0]), str(entry["dn"])
        names = sorted({mapping.group for mapping in self._mappings})
        if not names:
            return DirectoryUser(name, dn, ())
        any_group = "".join(f"(cn={escape_filter_chars(group)})" for group in names)
        member = _MEMBERS.format(dn=escape_filter_chars(dn), name=escape_filter_chars(name))
        base = self._settings.ldap_group_base or self._settings.ldap_base
        groups = self._search(connection, base, f"(&(|{any_group}){member})", "cn")
        present = {str(value).casefold() for group in groups for value in group["attributes"]["cn"]}
        return DirectoryUser(name, dn, tuple(group for group in names if group.casefold() in present))

    def _search(self, connection: Any, base: str, condition: str, attribute: str = "") -> list[Any]:
        """The entries below `base` that fulfil a condition. Raises Unavailable."""
        attributes = [attribute or self._settings.ldap_name]
        connection.search(base, condition, SUBTREE, attributes=attributes)
        self._check(connection)
        return [entry for entry in connection.response or () if entry["type"] == "searchResEntry"]

    def _check(self, connection: Any) -> None:
        result = connection.result["result"]
        if result == RESULT_NO_SUCH_OBJECT:
            raise self._unavailable("the base of the search does not exist")
        if result not in (RESULT_SUCCESS, RESULT_SIZE_LIMIT_EXCEEDED):
            raise self._unavailable(connection.result["description"])
        if result == RESULT_SIZE_LIMIT_EXCEEDED:
            raise self._unavailable("it returns only a part of what was searched for (sizeLimitExceeded)")

    @contextlib.contextmanager
    def _own_login(self) -> Iterator[Any]:
        """A connection as the cloud's own login, or an anonymous one. Raises Unavailable."""
        settings = self._settings
        with self._connected(settings.ldap_user, settings.ldap_password) as connection:
            if not connection.bind():
                raise self._unavailable(f"the login of PILEUS_LDAP_USER fails: {connection.result['description']}")
            yield connection

    @contextlib.contextmanager
    def _connected(self, user: str, password: str) -> Iterator[Any]:
        """A connection that is not bound yet, encrypted unless the settings say otherwise. Raises Unavailable."""
        # A new one each time: ldap3 goes on to take a server for dead for minutes after it was.
        server = Server(self._settings.ldap_url, connect_timeout=CONNECT, tls=self._tls, get_info=NONE)
        connection = Connection(
            server,
            user or None,
            password or None,
            receive_timeout=RECEIVE,
            auto_referrals=False,
            read_only=True,
            return_empty_attributes=False,
        )
        try:
            connection.open()
            if self._settings.ldap_tls == "require" and not server.ssl and not connection.start_tls():
                raise self._unavailable("it refuses StartTLS")
            yield connection
        except (LDAPException, OSError) as error:
            raise self._unavailable(type(error).__name__) from error
        finally:
            with contextlib.suppress(LDAPException, OSError):
                connection.unbind()
            # An unbind of a connection that was never bound leaves the socket open.
            if connection.socket is not None:
                connection.socket.close()

    def _unavailable(self, reason: str) -> Unavailable:
        log.warning("the directory does not answer as it should", url=self._settings.ldap_url, reason=reason)
        text = f"The directory of this cloud's users does not answer ({reason}): try again later."
        return Unavailable(text, noun="user", reason="directory")
