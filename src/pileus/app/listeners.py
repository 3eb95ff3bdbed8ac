"""The listeners of a cloud's process: the port of the faces, the port for other hosts, and ports of single faces."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pileus.app import certificates, connections, faceports, hostlistener, ports, serving, tls
from pileus.app.certificates import CertificateAuthority
from pileus.app.connections import Connections
from pileus.app.http import Edge
from pileus.app.opencalls import OpenApplication
from pileus.app.serving import Ended
from pileus.app.settings import Settings
from pileus.app.state import StateDirectory
from pileus.app.tls import ListenerIdentity
from pileus.cli.problem import Problem
from pileus.model import addresses
from pileus.posix.files import write_file

if TYPE_CHECKING:
    from pileus.app.faces import MountedFace
    from pileus.app.wiring import Cloud
    from pileus.faces.wire.face import FaceDeclaration


@dataclass(frozen=True)
class HostListener:
    """The listener for hosts of other machines, and the URL by which they find it."""

    listener: socket.socket
    identity: ListenerIdentity
    authority: CertificateAuthority
    url: str


@dataclass(frozen=True)
class Listeners:
    """The listening sockets of one process, and what it proves itself with there. No identity: plain HTTP.

    `own` are those of faces that have one of their own, by the faces' names.
    """

    listener: socket.socket
    identity: ListenerIdentity | None
    for_hosts: HostListener | None
    own: Mapping[str, socket.socket]

    @property
    def join(self) -> str:
        """Where hosts join; empty: nowhere."""
        return self.for_hosts.url if self.for_hosts else ""

    @property
    def fingerprint(self) -> str:
        """By which they know the cloud."""
        return self.for_hosts.authority.fingerprint if self.for_hosts else ""

    def root(self, settings: Settings) -> str:
        """The URL of the faces' port."""
        return faceports.url(settings, self.listener, self.identity, named=bool(settings.names))

    def endpoints(self, settings: Settings, declared: Sequence[FaceDeclaration]) -> dict[str, str]:
        """The URL of every face that is served, and of the figures."""
        root = self.root(settings)
        urls: dict[str, str] = {}
        for face in declared:
            own = self.own.get(face.name)
            if face.listener is None or own is not None or face.listener.shared:
                face_root = (
                    root
                    if own is None
                    else faceports.url(settings, own, self.identity, named=self._named(own, settings))
                )
                urls |= {name: f"{face_root}{path}" for name, path in face.endpoints.items()}
        return {**urls, "metrics": f"{root}/metrics"}

    def _named(self, own: socket.socket, settings: Settings) -> bool:
        """Whether the cloud's name stands in the URL of a face's own port.

        A name of the cloud's does not lead to this machine's loopback, unless a certificate is to be checked by it.
        """
        at_loopback = ipaddress.ip_address(own.getsockname()[0].partition("%")[0]).is_loopback
        return bool(settings.names) and (self.identity is not None or not at_loopback)

    @contextlib.asynccontextmanager
    async def serving(self, edge: Edge, cloud: Cloud) -> AsyncIterator[Ended]:
        """Serve at all of them inside the block; its value is the task of the faces, which signals end."""
        context = self.identity.context if self.identity else None
        limits = connections.secondary_listener(cloud.settings)
        async with contextlib.AsyncExitStack() as open_:
            if self.for_hosts is not None:
                for_hosts = self.for_hosts
                application = open_.enter_context(
                    contextlib.closing(hostlistener.HostApplication(cloud, for_hosts.authority))
                )
                server = serving.server(application, Connections(limits, for_hosts.identity.context))
                await open_.enter_async_context(serving.serving(server, for_hosts.listener, for_hosts.identity))
            for face in cloud.faces:
                own = self.own.get(face.declaration.name)
                if own is not None:
                    listener = face.declaration.listener
                    is_open = listener is not None and listener.calls is not None
                    own_limits = limits if is_open else connections.faces(cloud.settings)
                    server = serving.server(_application(edge, cloud, face, open_), Connections(own_limits, context))
                    await open_.enter_async_context(serving.serving(server, own, None))
            server = serving.server(edge, Connections(connections.faces(cloud.settings), context))
            yield await open_.enter_async_context(serving.serving(server, self.listener, self.identity))


def prepare(
    state: StateDirectory, settings: Settings, listener: socket.socket, own: Mapping[str, socket.socket] | None = None
) -> Listeners:
    """Return the listeners that the settings ask for; write the anchor that clients check them by. Raises Problem."""
    if not settings.tls and not settings.internal:
        state.anchor.unlink(missing_ok=True)
        return Listeners(listener, None, None, own or {})
    authority = certificates.authority(state.cloud)
    identity = tls.faces(settings.tls, authority, state.cloud, _names(settings, listener))
    anchor = tls.anchor(identity) if identity is not None else None
    if anchor is not None:
        write_file(state.anchor, anchor)
    else:
        state.anchor.unlink(missing_ok=True)
    return Listeners(
        listener, identity, _host_listener(state, settings, authority) if settings.internal else None, own or {}
    )


def _application(
    edge: Edge, cloud: Cloud, face: MountedFace, closing: contextlib.AsyncExitStack
) -> Callable[..., object]:
    """The application behind a face's own listener."""
    listener = face.declaration.listener
    if listener is None or listener.calls is None:
        return edge if listener is not None and listener.shared else edge.only(face)
    return closing.enter_context(contextlib.closing(OpenApplication(cloud, face, listener.calls)))


def _host_listener(state: StateDirectory, settings: Settings, authority: CertificateAuthority) -> HostListener:
    try:
        address, port = addresses.split_socket_address(settings.internal)
        listener = ports.listen(address, [port], backlog=128, shared=True)
    except OSError as error:
        raise Problem(f"PILEUS_INTERNAL: {settings.internal} cannot be listened at: {error.strerror}.") from error
    # It asks callers for certificates of the same authority, and does without.
    names = _names(settings, listener)
    identity = tls.own(authority, state.cloud / "internal.pem", names, callers=authority.pem)
    return HostListener(listener, identity, authority, hostlistener.url(settings, listener))


def _names(settings: Settings, listener: socket.socket) -> list[str]:
    """The names and the address by which clients reach a listener."""
    return list(dict.fromkeys([*settings.server_names, str(listener.getsockname()[0])]))
