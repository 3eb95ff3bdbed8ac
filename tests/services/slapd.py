"""An OpenLDAP server of one's own, with users and groups."""

from __future__ import annotations

import signal
import socket
import subprocess
from typing import TYPE_CHECKING

from tests.services.process import Process

if TYPE_CHECKING:
    from collections.abc import Mapping

BASE = "dc=example,dc=com"
ADMIN, PASSWORD = f"cn=Manager,{BASE}", "a manager's password"

_CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
{tls}
sizelimit 500
database mdb
suffix "{base}"
rootdn "{admin}"
rootpw "{password}"
directory "{folder}/data"
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{admin}" write by * none
"""
_TREE = f"""\
dn: {BASE}
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: ou=Users,{BASE}
objectClass: organizationalUnit
ou: Users

dn: ou=Groups,{BASE}
objectClass: organizationalUnit
ou: Groups
"""


class Slapd:
    """Runs from construction on. With an `identity` (PEM: key, certificate and authority) it speaks TLS too."""

    def __init__(self, identity: bytes = b"") -> None:
        self.process = Process("slapd", "openldap")
        (self.process.folder / "data").mkdir()
        identity_file = self.process.folder / "identity.pem"
        identity_file.write_bytes(identity)
        tls = f"TLSCertificateFile {identity_file}\nTLSCertificateKeyFile {identity_file}" if identity else ""
        text = _CONFIGURATION.format(tls=tls, base=BASE, admin=ADMIN, password=PASSWORD, folder=self.process.folder)
        self._configuration = self.process.folder / "slapd.conf"
        self._configuration.write_text(text)
        self.process.own(self.process.folder)
        self.start()
        self.add(_TREE)

    @property
    def url(self) -> str:
        """Where it listens; StartTLS where it has an identity."""
        return f"ldap://127.0.0.1:{self.process.port}"

    def start(self) -> None:
        """Start it, again perhaps."""
        words = ("/usr/sbin/slapd", "-d", "0", "-f", str(self._configuration), "-h", self.url)
        self.process.spawn([*words], self.answers)

    def answers(self) -> bool:
        """Whether it takes connections."""
        try:
            socket.create_connection(("127.0.0.1", self.process.port), timeout=2).close()
        except OSError:
            return False
        return True

    def _tool(self, name: str, *words: str, text: str = "") -> None:
        command = [name, "-x", "-H", self.url, "-D", ADMIN, "-w", PASSWORD, *words]
        subprocess.run(command, input=text, check=True, text=True, capture_output=True, timeout=30)

    def add(self, ldif: str) -> None:
        """Add entries."""
        self._tool("ldapadd", text=ldif)

    def modify(self, ldif: str) -> None:
        """Change entries."""
        self._tool("ldapmodify", text=ldif)

    def delete(self, dn: str) -> None:
        """Delete an entry."""
        self._tool("ldapdelete", dn)

    def user(self, name: str, password: str) -> str:
        """Add a user; its distinguished name."""
        dn = f"uid={name},ou=Users,{BASE}"
        self.add(
            f"dn: {dn}\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: {name}\nuserPassword: {password}\n"
        )
        return dn

    def group(self, name: str, *members: str) -> str:
        """Add a group of members, by their distinguished names; its own."""
        dn = f"cn={name},ou=Groups,{BASE}"
        self.add(
            f"dn: {dn}\nobjectClass: groupOfNames\ncn: {name}\n" + "".join(f"member: {each}\n" for each in members)
        )
        return dn

    def settings(self, **more: str) -> Mapping[str, str]:
        """The settings of a cloud that uses it, without TLS unless `more` says otherwise."""
        own = {
            "ldap_url": self.url,
            "ldap_tls": "off",
            "ldap_user": ADMIN,
            "ldap_password": PASSWORD,
            "ldap_base": f"ou=Users,{BASE}",
            "ldap_group_base": f"ou=Groups,{BASE}",
        }
        return {**own, **more}

    def hang(self) -> None:
        """Have it take connections and answer nothing."""
        self.process.tell(signal.SIGSTOP)

    def go_on(self) -> None:
        """End its silence."""
        self.process.tell(signal.SIGCONT)

    def kill(self) -> None:
        """End it without a word."""
        self.process.end(signal.SIGKILL)

    def remove(self) -> None:
        """End it, and remove all that it has."""
        self.process.remove()
