"""A client of a MiniCloud server: its five calls as methods."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from pileus.mcc import xmlrpc
from pileus.mcc.xmlrpc import XmlRpcFault

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Launched", "ListedInstance", "ProtocolError", "Server", "XmlRpcFault"]

SERVER = "MCC_SERVER"
"""The variable that names the server."""

TOKEN = "MCC_TOKEN"  # noqa: S105  (the variable's name)
"""The variable that holds the server's token, where it asks for one."""

CA = "MCC_CA"
"""The variable that names a file with the certificate which vouches for the server."""

TLS = "https://"
"""The prefix of a place that is reached over TLS."""

LARGEST = 64 << 20
"""Bytes of an answer."""


class ProtocolError(Exception):
    """The answer is not that of a MiniCloud server."""


class ListedInstance(NamedTuple):
    """An instance as a list shows it. `ip` and `name` are `-` where there is none."""

    id: str
    ip: str
    status: str
    ostemplate: str
    name: str


class Launched(NamedTuple):
    """The answer to a launch: the new instance's id and address."""

    id: int
    ip: str


class Server:
    """The server at `where`, HOST[:PORT] (port 80 when none is given).

    Every call raises XmlRpcFault, ProtocolError, OSError.

    `https://HOST:PORT` is one that proves itself, by the certificates in the file `ca`; without one by what this
    machine trusts, or the file that SSL_CERT_FILE names.

    `token` is sent as a bearer's, for servers that ask for one; `timeout` in seconds.
    """

    def __init__(self, where: str, *, token: str = "", timeout: float = 60.0, ca: str = "") -> None:
        self.tls = where.startswith(TLS)
        self.host, self.port = _place(where.removeprefix(TLS))
        self._token = token
        self._timeout = timeout
        self._ca = ca

    @classmethod
    def named(cls, environment: Mapping[str, str] = os.environ) -> Server:
        """The one that MCC_SERVER names, with the token of MCC_TOKEN and by MCC_CA; KeyError where none is named."""
        return cls(environment[SERVER], token=environment.get(TOKEN, ""), ca=environment.get(CA, ""))

    def images(self) -> list[str]:
        """The names of what instances start from."""
        return [str(name) for name in self._list("openvz.get_images")]

    def instance_types(self) -> list[str]:
        """The names of the sizes that they have."""
        return [str(name) for name in self._list("openvz.get_instance_types")]

    def instances(self, instance: str | None = None, *, all: bool = False) -> list[ListedInstance]:  # noqa: A002  (the protocol's word)
        """Return the running instances; with `all` the others too; or the one with the id `instance`, in any state."""
        criteria: dict[str, Any] = {"all": True} if all else {}
        if instance is not None:
            criteria = {"instance": instance}
        entries = self._list("openvz.get_instances", criteria) if criteria else self._list("openvz.get_instances")
        return [_instance(each) for each in entries]

    def run(self, image: str, instance_type: str = "basic", public_key: str = "", name: str = "") -> Launched:
        """Launch an instance; it is listed as running a moment later."""
        answer = self.call("openvz.run_instance", image, instance_type, public_key, name)
        if not isinstance(answer, dict) or not isinstance(answer.get("id"), int):
            raise ProtocolError("a launch was answered without an id")
        return Launched(answer["id"], str(answer.get("ip", "")))

    def destroy(self, instance: str | int) -> bool:
        """Have an instance destroyed; it is listed until it is."""
        return bool(self.call("openvz.destroy_instance", instance))

    def call(self, method: str, *params: Any) -> Any:
        """Call any method: parameters are str, int, bool, dict, list."""
        try:
            return xmlrpc.read_answer(xmlrpc.parse(self._post(xmlrpc.call(method, params))))
        except xmlrpc.MalformedXmlRpc as error:
            raise ProtocolError(f"the answer is no XML-RPC: {error}") from error

    def _list(self, method: str, *params: Any) -> list[Any]:
        answer = self.call(method, *params)
        if not isinstance(answer, list):
            raise ProtocolError("a list was asked for, and something else answered")
        return answer

    def _post(self, body: bytes) -> bytes:
        import http.client  # noqa: PLC0415  (who only looks at keys does not pay for it)

        headers = {"Content-Type": "text/xml; charset=utf-8", "User-Agent": "pileus-mcc", "Connection": "close"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if self.tls:
            import ssl  # noqa: PLC0415  (dear, and seldom needed)

            context = ssl.create_default_context(cafile=self._ca or None)
            link: http.client.HTTPConnection = http.client.HTTPSConnection(
                self.host, self.port, timeout=self._timeout, context=context
            )
        else:
            link = http.client.HTTPConnection(self.host, self.port, timeout=self._timeout)
        try:
            link.request("POST", "/", body, headers)
            answer = link.getresponse()
            answer_body = answer.read(LARGEST + 1)
        except http.client.HTTPException as error:
            raise ProtocolError(f"no HTTP answer: {error!r}") from error
        finally:
            link.close()
        if answer.status != 200:
            raise ProtocolError(f"HTTP {answer.status} {answer.reason}")
        if len(answer_body) > LARGEST:
            raise ProtocolError("the answer is too large")
        return answer_body


def _instance(each: Any) -> ListedInstance:
    if not isinstance(each, dict):
        raise ProtocolError("a list of instances holds something else")
    return ListedInstance(*(str(each.get(field, "")) for field in ListedInstance._fields))


def _place(where: str) -> tuple[str, int]:
    host, colon, port = where.rpartition(":") if not where.endswith("]") else (where, "", "")
    if not colon:
        host, port = where, "80"
    name = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    good = name and not set(name) & set("/@?# ") and port.isascii() and port.isdigit() and int(port) < 65536
    if not good or (":" in name and name == host):
        raise ProtocolError(f"'{where}' is no HOST:PORT")
    return name, int(port)
