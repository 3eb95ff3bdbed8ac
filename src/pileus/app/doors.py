"""Where a cloud's process is reached: the faces' port, and the one for hosts of other machines."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pileus.app import certificates, connections, hostdoor, mccdoor, serving, tls
from pileus.app.certificates import CertificateAuthority
from pileus.app.connections import Connections
from pileus.app.http import Edge
from pileus.app.serving import Ended
from pileus.app.settings import Settings
from pileus.app.state import StateDirectory
from pileus.app.tls import ListenerIdentity
from pileus.cli.problem import Problem
from pileus.posix.files import write_file

if TYPE_CHECKING:
    from pileus.app.wiring import Cloud


@dataclass(frozen=True)
class Inner:
    """The door for hosts of other machines, and the URL by which they find it."""

    listener: socket.socket
    identity: ListenerIdentity
    authority: CertificateAuthority
    url: str


@dataclass(frozen=True)
class Doors:
    """The listening sockets of one process, and what it proves itself with there. No identity: plain HTTP."""

    listener: socket.socket
    identity: ListenerIdentity | None
    inner: Inner | None
    mcc: socket.socket | None = None

    @property
    def join(self) -> str:
        """Where hosts join; empty: nowhere."""
        return self.inner.url if self.inner else ""

    @property
    def fingerprint(self) -> str:
        """By which they know the cloud."""
        return self.inner.authority.fingerprint if self.inner else ""

    def endpoints(self, settings: Settings) -> dict[str, str]:
        """The URL of every face that is built."""
        host, port = self.listener.getsockname()[:2]
        if settings.names or host in ("0.0.0.0", "::"):  # noqa: S104  (compared, not listened at)
            host = settings.server_names[0]
        host = tls.shown(self.identity, host) if self.identity else host
        scheme = "https" if self.identity else "http"
        root = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
        urls = {"ec2": root, "sts": root}
        if self.mcc is not None:
            urls["mcc"] = mccdoor.url(settings, self.mcc, self.identity)
        return {**urls, "rest": f"{root}/v1", "metrics": f"{root}/metrics"}

    @contextlib.asynccontextmanager
    async def serving(self, edge: Edge, cloud: Cloud) -> AsyncIterator[Ended]:
        """Serve at all of them inside the block; its value is the task of the faces, which signals end."""
        context = self.identity.context if self.identity else None
        limits = connections.door(cloud.settings)
        async with contextlib.AsyncExitStack() as open_:
            if self.inner is not None:
                inner = self.inner
                application = open_.enter_context(contextlib.closing(hostdoor.HostDoor(cloud, inner.authority)))
                server = serving.server(application, Connections(limits, inner.identity.context))
                await open_.enter_async_context(serving.serving(server, inner.listener, inner.identity))
            if self.mcc is not None:
                door = open_.enter_context(contextlib.closing(mccdoor.MccApplication(cloud)))
                server = serving.server(door, Connections(limits, context))
                await open_.enter_async_context(serving.serving(server, self.mcc, None))
            server = serving.server(edge, Connections(connections.faces(cloud.settings), context))
            yield await open_.enter_async_context(serving.serving(server, self.listener, self.identity))


def prepare(
    state: StateDirectory, settings: Settings, listener: socket.socket, mcc: socket.socket | None = None
) -> Doors:
    """The doors as the settings have them; clients are left what they need to check them. Raises Problem."""
    if not settings.tls and not settings.internal:
        state.anchor.unlink(missing_ok=True)
        return Doors(listener, None, None, mcc)
    authority = certificates.authority(state.cloud)
    names = dict.fromkeys([*settings.server_names, str(listener.getsockname()[0])])
    identity = tls.faces(settings.tls, authority, state.cloud, list(names))
    anchor = tls.anchor(identity) if identity is not None else None
    if anchor is not None:
        write_file(state.anchor, anchor)
    else:
        state.anchor.unlink(missing_ok=True)
    return Doors(listener, identity, _inner(state, settings, authority) if settings.internal else None, mcc)


def _inner(state: StateDirectory, settings: Settings, authority: CertificateAuthority) -> Inner:
    try:
        listener = hostdoor.listen(settings.internal)
    except OSError as error:
        raise Problem(f"PILEUS_INTERNAL: {settings.internal} cannot be listened at: {error.strerror}.") from error
    identity = hostdoor.prove(state, settings, authority, listener)
    return Inner(listener, identity, authority, hostdoor.url(settings, listener))
