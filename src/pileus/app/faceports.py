"""The listening sockets of faces that have their own."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pileus.app import faces, ports, tls
from pileus.app.settings import variable
from pileus.cli.problem import Problem
from pileus.model import addresses
from pileus.posix.files import write_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.app.settings import Settings
    from pileus.app.state import StateDirectory
    from pileus.app.tls import ListenerIdentity
    from pileus.faces.wire.face import FaceDeclaration
    from pileus.model.kit import Kit


def choose(name: str, port: str) -> None:
    """Have a cloud that this process starts answer a face at its own loopback port. Raises Problem."""
    with_listener = [face.name for face in faces.declared() if face.listener is not None]
    if name not in with_listener or not port.isdecimal() or not 0 < int(port) < 65536:
        raise Problem(f"Give FACE=PORT, with a face among {', '.join(with_listener)} and a port below 65536.")
    os.environ[variable("listen", name)] = f"127.0.0.1:{port}"


def listen_all(state: StateDirectory, kit: Kit) -> dict[str, socket.socket]:
    """The listening sockets of all faces that have one of their own, by the faces' names. Raises Problem."""
    own_settings: Mapping[str, Any] = faces.chosen(kit=kit)
    listeners = {}
    for face in faces.declared():
        listener = listen(state, face, own_settings.get(face.name))
        if listener is not None:
            listeners[face.name] = listener
    return listeners


def listen(state: StateDirectory, face: FaceDeclaration, own: Any) -> socket.socket | None:
    """The listening socket of a face, as its settings `own` have it; None where it is not to be served on one.

    Raises Problem.
    """
    where = face.listener.address(own) if face.listener is not None else "off"
    if where == "off":
        return None
    if not addresses.is_socket_address(where):
        raise Problem(f"The face {face.name} cannot listen at '{where}': give ADDRESS:PORT.")
    address, number = addresses.split_socket_address(where)
    # A cloud that is started again is where it was, if nobody else is there.
    port_file = state.face_port(face.name)
    wanted = [number] if number else [*_before(port_file), *ports.choices()]
    try:
        listener = ports.listen(address, wanted, backlog=512)
    except OSError as error:
        raise Problem(f"{face.name}: {where} cannot be listened at: {error.strerror}.") from error
    write_file(port_file, f"{listener.getsockname()[1]}\n".encode())
    return listener


def url(settings: Settings, listener: socket.socket, identity: ListenerIdentity | None, *, named: bool) -> str:
    """How clients reach it: by the cloud's name where it is `named`, or has no address of its own."""
    address, port = listener.getsockname()[:2]
    if named or address in ("0.0.0.0", "::"):  # noqa: S104  (compared, not listened at)
        address = settings.server_names[0]
    if identity is not None:
        address = tls.shown(identity, address)
    scheme = "https" if identity else "http"
    return f"{scheme}://{f'[{address}]' if ':' in address else address}:{port}"


def _before(port_file: Path) -> list[int]:
    try:
        text = port_file.read_text().strip()
    except OSError:
        return []
    return [int(text)] if text.isdecimal() and 0 < int(text) < 65536 else []
